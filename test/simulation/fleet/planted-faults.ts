import type { TopologySource, TopologyView } from "../../../src/proxy/topology/topology-view.js";
import type { TrackerFault } from "../../../src/proxy/write/copy/copy-tracker.js";
import type { TestFaults } from "../../../src/runtime/test-faults.js";
import type { Disk } from "./node.js";
import { NO_FAULTS } from "./node-network.js";
import type { Scenario } from "./scenario.js";

/** What is switched off in a fleet, so that its checker has something to find. Nothing where a member is absent. */
export interface PlantedFault {
  /** Where it shows: runs of this scenario show nothing while nothing is switched off. */
  readonly scenario?: Scenario;
  /** Switched off in the proxies' own code. */
  readonly proxies?: TestFaults;
  /** Switched off in the rule of copies. */
  readonly copies?: ReadonlySet<TrackerFault>;
  /** What readers take a topology for. */
  readonly readersView?: (view: TopologyView) => TopologyView;
  /** The store takes writes of leaders that are none any more. */
  readonly unfencedStore?: boolean;
  /** Proxies are taken to have acknowledged what was only sent to them. */
  readonly forgedAcks?: boolean;
  /** Proxies write with the nodes' master keys. */
  readonly masterKeys?: boolean;
  /** The generation is no part of an index's name on a node. */
  readonly sameNames?: boolean;
  /** Somebody else than the writer brings replicas into line. */
  readonly strangerWrites?: boolean;
  /** Bodies that a power cut took are reported as indexed. */
  readonly hiddenLosses?: boolean;
  /** The control plane finds no documents in replicas that it compares. */
  readonly blindComparisons?: boolean;
  /** Somebody edits the stored topology: marks last copies stale, or takes back a copy that has switched. */
  readonly topologyEdit?: "last-copies-stale" | "switch-taken-back";
}

const TWO_COPIES = { copies: 2, nodes: 3, groups: 1 } as const;

/** A node is away from some proxies for a moment, and topologies take long to get to the others. */
const SLOW_STREAMS: Scenario = {
  shape: { ...TWO_COPIES, proxies: 3 },
  disturbances: ["partition", "partition", "killNode"],
  disturbedEveryMs: 700,
  lastsMs: 1_500,
  streamDelayMs: 2_000,
  clientPauseMs: 100,
};

/** Requests are executed long after their proxy has lost the index. */
const LATE_REQUESTS: Scenario = {
  shape: { ...TWO_COPIES, proxies: 3 },
  disturbances: ["killProxy", "pauseProxy", "endProxy"],
  disturbedEveryMs: 600,
  lastsMs: 1_500,
  network: { refuse: 0, notSent: 0, loseAnswer: 0, delay: 0.1, maxDelayMs: 10_000 },
  clientPauseMs: 150,
};

/** Shards move all the time, on nodes that take their time. */
const MOVES: Scenario = {
  shape: { ...TWO_COPIES, nodes: 4, maxBatchMs: 300 },
  disturbances: ["operate"],
  disturbedEveryMs: 800,
  writes: ["set", "update", "update", "update", "delete"],
  clientPauseMs: 100,
};

/** A node loses what it had acknowledged. */
function damage(...disks: readonly Disk[]): Scenario {
  return {
    shape: { ...TWO_COPIES, nodes: 2, spares: 0, maxBatchMs: 1_000 },
    disturbances: ["damageNode"],
    disturbedEveryMs: 1_000,
    lastsMs: 1_500,
    disks,
    network: NO_FAULTS,
    writes: ["update"],
    clientPauseMs: 150,
    quietWhileAway: true,
  };
}

/** Tasks that must not run twice do. */
const RUN_TWICE: Scenario = {
  shape: { ...TWO_COPIES, nodes: 2, spares: 0, maxBatchMs: 50 },
  disturbances: ["killBetweenCommits"],
  disturbedEveryMs: 2_500,
  lastsMs: 500,
  network: NO_FAULTS,
  clientPauseMs: 400,
  quietWhileAway: true,
  counts: true,
};

const READ_ALL = (view: TopologyView): TopologyView => withReplicas(view, () => "in_sync");

/** By the name under which a run is asked for. */
export const PLANTED_FAULTS: Readonly<Record<string, PlantedFault>> = {
  "1 any epoch is taken": { proxies: { anyTopology: true } },
  "2 acts before proxies have acknowledged": { forgedAcks: true, scenario: SLOW_STREAMS },
  "3 no fence in the store": { unfencedStore: true },
  "4 acknowledged by one replica": { proxies: { earlyAcknowledgement: true } },
  "5 readers see every replica": { readersView: READ_ALL },
  "6 no order of writes": { proxies: { unorderedWrites: true } },
  "7 no rename at hand-over": { sameNames: true, scenario: LATE_REQUESTS },
  "7 master key for writes": { masterKeys: true, scenario: LATE_REQUESTS },
  "8 others than the writer write": { strangerWrites: true },
  "9 a switch is taken back": { topologyEdit: "switch-taken-back", scenario: MOVES },
  "13 restarted nodes are trusted": {
    readersView: trusting,
    blindComparisons: true,
    scenario: { ...RUN_TWICE, disturbances: ["killNode", "killBetweenCommits"] },
  },
  "dirty keys cleared before the source finished": {
    copies: new Set(["reads-before-finished", "skips-recheck"]),
    scenario: MOVES,
  },
  "counts of indexed documents ignored": {
    hiddenLosses: true,
    blindComparisons: true,
    scenario: damage("payloads-lost"),
  },
  "the last replica in sync marked stale": { topologyEdit: "last-copies-stale" },
  "killed between the commits of a batch": { blindComparisons: true, scenario: RUN_TWICE },
};

/** The scenario of a planted fault with nothing switched off in it. */
export function onlyScenario({ scenario }: PlantedFault): PlantedFault {
  return scenario === undefined ? {} : { scenario };
}

/** The topology as readers see it, through a planted fault. */
export function readersSource(
  source: TopologySource,
  change: (view: TopologyView) => TopologyView,
): TopologySource {
  const seen = new WeakMap<TopologyView, TopologyView>();
  const changed = (view: TopologyView): TopologyView => {
    const known = seen.get(view) ?? change(view);
    seen.set(view, known);
    return known;
  };
  return {
    current: () => {
      const view = source.current();
      return view && changed(view);
    },
    onChange: (listener) => source.onChange((view) => listener(changed(view))),
    waitFor: async (predicate, signal) =>
      changed(await source.waitFor((view) => predicate(changed(view)), signal)),
  };
}

/** Suspicions, of nodes and of replicas, are not heeded. */
function trusting(view: TopologyView): TopologyView {
  const nodes = new Map(
    [...view.nodes].map(([id, node]) => [
      id,
      node.state === "suspect" || node.state === "unreachable" ? { ...node, state: "active" as const } : node,
    ]),
  );
  return { ...withReplicas(view, (state) => (state === "suspect" ? "in_sync" : state)), nodes };
}

type ReplicaState = TopologyView extends {
  indexes: ReadonlyMap<string, { replicas: ReadonlyMap<string, infer S> }>;
}
  ? S
  : never;

function withReplicas(view: TopologyView, change: (state: ReplicaState) => ReplicaState): TopologyView {
  const indexes = new Map(
    [...view.indexes].map(([uid, index]) => [
      uid,
      { ...index, replicas: new Map([...index.replicas].map(([id, state]) => [id, change(state)] as const)) },
    ]),
  );
  return {
    ...view,
    indexes,
    byInstance: new Map([...indexes.values()].map((index) => [index.instance, index])),
  };
}
