import { clone, create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyRefusedError } from "../../../../src/control/copy/copy-refusal.js";
import {
  beginCopy,
  cancelCopy,
  cleanCopy,
  dropCopy,
  endCopy,
  markStale,
  switchCopy,
} from "../../../../src/control/copy/copy-steps.js";
import { isMember, roleOf } from "../../../../src/control/copy/shard-roles.js";
import { type PlannedCopy, startCopy } from "../../../../src/control/copy/start-copy.js";
import { markSuspect } from "../../../../src/control/tasks/index-replicas.js";
import { topologyFaults } from "../../../../src/control/topology/consistency.js";
import {
  type Index,
  IndexSchema,
  NodeState,
  ReplicaSchema,
  ReplicaState,
  ShardCopyStep,
  type Topology,
  TopologySchema,
} from "../../../../src/gen/miroir/v1/topology_pb.js";

const NODES = ["node-0", "node-1", "node-2", "node-3"];
const SHARDS = 3;
const INSTANCE = "aaaaaaaa";

/** Four nodes, one index of three shards on the first two or three of them. */
function fleet(holders: readonly string[] = ["node-0", "node-1"]): Topology {
  return create(TopologySchema, {
    replicationFactor: 2,
    defaultShards: SHARDS,
    nodes: NODES.map((id, at) => ({ id, url: `http://127.0.0.1:${9_000 + at}`, state: NodeState.ACTIVE })),
    groups: [{ id: 0, nodeIds: NODES }],
    indexes: [
      create(IndexSchema, {
        uid: "movies",
        instance: INSTANCE,
        generation: 1n,
        shards: SHARDS,
        writer: { proxyId: "proxy", session: "s" },
        placement: Array.from({ length: SHARDS }, (_, shard) => ({ shard, nodeIds: [...holders] })),
        replicas: holders.map((nodeId) => ({ nodeId, state: ReplicaState.IN_SYNC })),
      }),
    ],
  });
}

function indexOf(topology: Topology): Index {
  const [index] = topology.indexes;
  if (index === undefined) throw new Error("the fleet has no index");
  return index;
}

function copy(rest: Partial<PlannedCopy>): PlannedCopy {
  return { id: "c1", workflowId: "w1", moves: [], repairNodeIds: [], maxDocumentsPerSecond: 0, ...rest };
}

/** Applies a change as the topology manager does, and holds it to the consistency check. */
function changed(topology: Topology, mutate: (draft: Topology, index: Index) => void): Topology {
  const draft = clone(TopologySchema, topology);
  mutate(draft, indexOf(draft));
  expect(topologyFaults(topology, draft)).toEqual([]);
  return draft;
}

const bumped =
  (step: (index: Index) => void) =>
  (_: Topology, index: Index): void => {
    step(index);
    index.generation += 1n;
  };

describe("a move", () => {
  const move = copy({ moves: [{ shard: 1, from: "node-0", to: "node-2" }] });

  it("goes from step to step, and leaves the placement that was planned", () => {
    let topology = changed(fleet(), (draft) => startCopy(draft, INSTANCE, move));
    expect(indexOf(topology).copy?.step).toBe(ShardCopyStep.PLANNED);
    topology = changed(
      topology,
      bumped((index) => beginCopy(index, "c1")),
    );
    expect(indexOf(topology).placement[1]).toMatchObject({
      nodeIds: ["node-0", "node-1"],
      joiningNodeIds: ["node-2"],
    });
    expect(indexOf(topology).replicas[2]).toMatchObject({ nodeId: "node-2", state: ReplicaState.JOINING });
    topology = changed(topology, (_, index) => switchCopy(index, "c1"));
    expect(indexOf(topology).placement[1]).toMatchObject({
      nodeIds: ["node-1", "node-2"],
      joiningNodeIds: [],
      leavingNodeIds: ["node-0"],
    });
    expect(indexOf(topology).replicas[2]?.state).toBe(ReplicaState.IN_SYNC);
    topology = changed(
      topology,
      bumped((index) => dropCopy(index, "c1")),
    );
    topology = changed(topology, (_, index) => cleanCopy(index, "c1"));
    expect(indexOf(topology).placement[1]).toMatchObject({
      leavingNodeIds: [],
      leftoverNodeIds: ["node-0"],
    });
    topology = changed(topology, (_, index) => endCopy(index, "c1"));
    expect(indexOf(topology).placement[1]).toMatchObject({
      nodeIds: ["node-1", "node-2"],
      leftoverNodeIds: [],
    });
    expect(indexOf(topology).copy).toBeUndefined();
  });

  it("takes a step once, however often it is asked for", () => {
    let topology = changed(fleet(), (draft) => startCopy(draft, INSTANCE, move));
    const twice = (step: (index: Index, id: string) => void, bump = false) => {
      topology = changed(topology, (_, index) => {
        step(index, "c1");
        if (bump) index.generation += 1n;
      });
      expect(changed(topology, (_, index) => step(index, "c1"))).toEqual(topology);
    };
    expect(changed(topology, (draft) => startCopy(draft, INSTANCE, move))).toEqual(topology);
    twice(beginCopy, true);
    twice(switchCopy);
    twice(dropCopy, true);
    twice(cleanCopy);
    twice(endCopy);
  });

  it("gives up a node's last shard together with its replica", () => {
    const moves = [0, 1, 2].map((shard) => ({ shard, from: "node-0", to: "node-2" }));
    const topology = [
      (draft: Topology) => startCopy(draft, INSTANCE, copy({ moves })),
      bumped((index) => beginCopy(index, "c1")),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
      bumped((index) => dropCopy(index, "c1")),
      (_: Topology, index: Index) => cleanCopy(index, "c1"),
    ].reduce(changed, fleet());
    expect(indexOf(topology).replicas.map(({ nodeId }) => nodeId)).toEqual(["node-1", "node-2"]);
    expect(indexOf(topology).placement.flatMap(({ leftoverNodeIds }) => leftoverNodeIds)).toEqual([]);
  });

  it("is refused after the switch, when somebody wants to cancel it (invariant 9)", () => {
    const topology = [
      (draft: Topology) => startCopy(draft, INSTANCE, move),
      bumped((index) => beginCopy(index, "c1")),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
    ].reduce(changed, fleet());
    expect(() => cancelCopy(indexOf(topology), "c1")).toThrow(/has switched already and only goes forward/);
  });

  it("leaves nothing when it is cancelled while copying, but documents to delete where the target serves others", () => {
    const started = [
      (draft: Topology) =>
        startCopy(
          draft,
          INSTANCE,
          copy({
            moves: [
              { shard: 0, from: "node-1", to: "node-3" },
              { shard: 1, from: "node-0", to: "node-3" },
            ],
          }),
        ),
      bumped((index) => beginCopy(index, "c1")),
    ].reduce(changed, fleet(["node-0", "node-1"]));
    const cancelled = changed(started, (_, index) => cancelCopy(index, "c1"));
    expect(indexOf(cancelled).copy).toBeUndefined();
    expect(indexOf(cancelled).placement).toEqual(indexOf(fleet()).placement);
    expect(indexOf(cancelled).replicas).toEqual(indexOf(fleet()).replicas);
  });

  it("goes back to a leaving replica where its target was the only one and is lost", () => {
    const alone = fleet(["node-0"]);
    const switched = [
      (draft: Topology) => startCopy(draft, INSTANCE, move),
      bumped((index) => beginCopy(index, "c1")),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
      bumped((index) => markStale(index, new Set(["node-2"]))),
    ].reduce(changed, alone);
    expect(indexOf(switched).placement[1]).toMatchObject({
      nodeIds: ["node-0", "node-2"],
      leavingNodeIds: [],
    });
  });
});

describe("a copy that gives replicas up, of which others were lost since it was planned", () => {
  /** The second shard has a third replica, on node 2. */
  const uneven = (): Topology => {
    const topology = fleet();
    for (const placement of indexOf(topology).placement) {
      if (placement.shard === 1) placement.nodeIds = ["node-0", "node-1", "node-2"];
    }
    indexOf(topology).replicas = ["node-0", "node-1", "node-2"].map((nodeId) =>
      create(ReplicaSchema, { nodeId, state: ReplicaState.IN_SYNC }),
    );
    return topology;
  };

  it("leaves a shard its last replica in sync, and gives up the others", () => {
    const moves = [0, 1].map((shard) => ({ shard, from: "node-0" }));
    const switched = [
      (draft: Topology) => startCopy(draft, INSTANCE, copy({ moves })),
      bumped((index) => markStale(index, new Set(["node-1"]))),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
    ].reduce(changed, uneven());
    const { copy: begun, placement } = indexOf(switched);
    expect(begun?.moves.map(({ shard }) => shard)).toEqual([1]);
    expect(placement[0]).toMatchObject({ nodeIds: ["node-0", "node-1"], leavingNodeIds: [] });
    expect(placement[1]).toMatchObject({ nodeIds: ["node-1", "node-2"], leavingNodeIds: ["node-0"] });
  });

  /** Only the first node's replica is given up, of one shard. */
  const one = copy({ moves: [{ shard: 0, from: "node-0" }] });
  const suspect = (_: Topology, index: Index): void => {
    const replica = index.replicas.find(({ nodeId }) => nodeId === "node-1");
    if (replica !== undefined) replica.state = ReplicaState.SUSPECT;
  };
  const away: ReadonlySet<string> = new Set(["node-1"]);
  const start = (draft: Topology) => startCopy(draft, INSTANCE, one);
  const switched = (_: Topology, index: Index) => switchCopy(index, "c1");
  const dropped = bumped((index) => dropCopy(index, "c1"));

  it.each([
    ["is suspect before the switch", [start, suspect, switched]],
    ["is away before the switch", [start, (_: Topology, index: Index) => switchCopy(index, "c1", away)]],
    [
      "is suspect before the leaving one's name changes",
      [start, switched, suspect, dropped, (_: Topology, index: Index) => cleanCopy(index, "c1")],
    ],
    [
      "is away when the leaving one's name changes",
      [
        start,
        switched,
        bumped((index) => dropCopy(index, "c1", away)),
        (_: Topology, index: Index) => cleanCopy(index, "c1"),
      ],
    ],
    [
      "is suspect before the leaving one is cleaned",
      [start, switched, dropped, suspect, (_: Topology, index: Index) => cleanCopy(index, "c1")],
    ],
    [
      "is away before the leaving one is cleaned",
      [start, switched, dropped, (_: Topology, index: Index) => cleanCopy(index, "c1", away)],
    ],
  ])("keeps a shard's good one where the other %s", (_, changes) => {
    const kept = changes.reduce(changed, fleet());
    expect(indexOf(kept).placement[0]).toMatchObject({
      nodeIds: ["node-0", "node-1"],
      leavingNodeIds: [],
      leftoverNodeIds: [],
    });
    const ended = changed(kept, (_, index) => endCopy(index, "c1"));
    expect(indexOf(ended).copy).toBeUndefined();
  });

  it("cannot begin where what would stay is suspect or away", () => {
    const doubtful = fleet();
    suspect(doubtful, indexOf(doubtful));
    expect(() => start(doubtful)).toThrow(/shard 0 would have no copy in sync left/);
    const lonely = fleet();
    for (const node of lonely.nodes) if (node.id === "node-1") node.state = NodeState.UNREACHABLE;
    expect(() => start(lonely)).toThrow(/shard 0 would have no copy in sync left/);
  });

  it("gives a suspect one up for another that is suspect", () => {
    const doubtful = fleet();
    for (const replica of indexOf(doubtful).replicas) replica.state = ReplicaState.SUSPECT;
    const given = [start, switched, dropped, (_: Topology, index: Index) => cleanCopy(index, "c1")].reduce(
      changed,
      doubtful,
    );
    expect(indexOf(given).placement[0]).toMatchObject({ nodeIds: ["node-1"], leftoverNodeIds: ["node-0"] });
  });

  it("is gone where it would give up nothing but last replicas in sync", () => {
    const moves = [0, 1, 2].map((shard) => ({ shard, from: "node-0" }));
    const switched = [
      (draft: Topology) => startCopy(draft, INSTANCE, copy({ moves })),
      bumped((index) => markStale(index, new Set(["node-1"]))),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
    ].reduce(changed, fleet());
    expect(indexOf(switched).copy).toBeUndefined();
    expect(indexOf(switched).placement).toEqual(indexOf(fleet()).placement);
  });
});

describe("a split", () => {
  const split = copy({ splitShards: SHARDS * 2 });

  it("puts every new shard where the old one of its documents was, without moving anything", () => {
    const before = fleet();
    const topology = [
      (draft: Topology) => startCopy(draft, INSTANCE, split),
      bumped((index) => beginCopy(index, "c1")),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
      (_: Topology, index: Index) => endCopy(index, "c1"),
    ].reduce(changed, before);
    const { copy: left, placement, shards } = indexOf(topology);
    expect([left, shards, placement.length]).toEqual([undefined, SHARDS * 2, SHARDS * 2]);
    for (const { nodeIds, shard } of placement)
      expect(nodeIds).toEqual(indexOf(before).placement[shard % SHARDS]?.nodeIds);
  });

  it("that is cancelled stays until its documents are written back, and goes at once before it began", () => {
    const planned = changed(fleet(), (draft) => startCopy(draft, INSTANCE, split));
    expect(indexOf(changed(planned, (_, index) => cancelCopy(index, "c1"))).copy).toBeUndefined();
    const begun = changed(
      planned,
      bumped((index) => beginCopy(index, "c1")),
    );
    const cancelled = changed(begun, (_, index) => cancelCopy(index, "c1"));
    expect(indexOf(cancelled).copy?.step).toBe(ShardCopyStep.CLEANING);
    const ended = changed(cancelled, (_, index) => endCopy(index, "c1"));
    expect(indexOf(ended)).toMatchObject({ shards: SHARDS, placement: indexOf(fleet()).placement });
  });

  it("goes on where a replica is lost on the way", () => {
    const lost = [
      (draft: Topology) => startCopy(draft, INSTANCE, split),
      bumped((index) => beginCopy(index, "c1")),
      bumped((index) => markStale(index, new Set(["node-1"]))),
      (_: Topology, index: Index) => switchCopy(index, "c1"),
    ].reduce(changed, fleet());
    expect(indexOf(lost).shards).toBe(SHARDS * 2);
  });
});

describe("what is refused", () => {
  const reasonOf = (topology: Topology, planned: PlannedCopy): string => {
    try {
      startCopy(clone(TopologySchema, topology), INSTANCE, planned);
    } catch (error) {
      if (error instanceof CopyRefusedError) return error.reason;
      throw error;
    }
    return "accepted";
  };

  it.each([
    ["nothing to do", {}, "invalid"],
    ["a shard that is none", { moves: [{ shard: 9, to: "node-2" }] }, "invalid"],
    ["a source that does not hold it", { moves: [{ shard: 0, from: "node-3", to: "node-2" }] }, "invalid"],
    ["a target that holds it", { moves: [{ shard: 0, from: "node-0", to: "node-1" }] }, "invalid"],
    ["a node that there is not", { moves: [{ shard: 0, from: "node-0", to: "node-9" }] }, "target"],
    ["a split into no multiple", { splitShards: 4 }, "invalid"],
    ["a split and a move", { splitShards: 6, moves: [{ shard: 0, to: "node-2" }] }, "invalid"],
    ["a repair of what is in sync", { repairNodeIds: ["node-0"] }, "invalid"],
    [
      "the last copies",
      {
        moves: [
          { shard: 0, from: "node-0" },
          { shard: 0, from: "node-1" },
        ],
      },
      "last_copy",
    ],
  ])("%s", (_, rest, reason) => {
    expect(reasonOf(fleet(), copy(rest))).toBe(reason);
  });

  it("a second copy of the index", () => {
    const first = copy({ moves: [{ shard: 0, from: "node-0", to: "node-2" }] });
    const topology = changed(fleet(), (draft) => startCopy(draft, INSTANCE, first));
    expect(reasonOf(topology, { ...first, id: "c2" })).toBe("busy");
  });

  it("a target that is being drained", () => {
    const topology = fleet();
    for (const node of topology.nodes) if (node.id === "node-2") node.state = NodeState.DRAINING;
    expect(reasonOf(topology, copy({ moves: [{ shard: 0, to: "node-2" }] }))).toBe("target");
  });
});

/** What nodes really hold: the promises of the roles, kept by a writer that does what the steps say. */
class Contents {
  /** `node shard` pairs that have all acknowledged writes. */
  readonly whole = new Set<string>();
  /** Pairs of which the node may hold documents. */
  readonly held = new Set<string>();

  constructor(topology: Topology) {
    for (const { shard, nodeIds } of indexOf(topology).placement) {
      for (const id of nodeIds) {
        this.whole.add(`${id} ${shard}`);
        this.held.add(`${id} ${shard}`);
      }
    }
  }

  /** The writer has filled every target, so that it may ask for the switch. */
  filled(index: Index): void {
    for (const id of index.copy?.repairNodeIds ?? []) {
      for (const { shard, nodeIds, joiningNodeIds } of index.placement) {
        if (nodeIds.includes(id) || joiningNodeIds.includes(id)) this.whole.add(`${id} ${shard}`);
        else this.held.delete(`${id} ${shard}`);
      }
    }
    for (const { shard, joiningNodeIds } of index.placement)
      for (const id of joiningNodeIds) this.whole.add(`${id} ${shard}`);
  }

  /** The writer has deleted what was left. */
  cleaned(index: Index): void {
    for (const { shard, leftoverNodeIds } of index.placement)
      for (const id of leftoverNodeIds) this.held.delete(`${id} ${shard}`);
  }

  /** A write to every shard, and then a look at what readers of this topology may be given. */
  wrote(index: Index): void {
    const states = new Map(index.replicas.map(({ nodeId, state }) => [nodeId, state]));
    for (const placement of index.placement) {
      for (const id of NODES) {
        const role = roleOf(placement, id);
        const pair = `${id} ${placement.shard}`;
        const receives =
          role !== undefined && role !== "leftoverNodeIds" && states.get(id) !== ReplicaState.STALE;
        if (receives) this.held.add(pair);
        else this.whole.delete(pair);
        if (states.get(id) === undefined) this.held.delete(pair);
        const serves = isMember(states.get(id));
        if (serves && role === "nodeIds") expect(this.whole, pair).toContain(pair);
        // A node that serves is searched without a filter only where it has no role beside serving.
        if (serves && role === undefined) expect(this.held, pair).not.toContain(pair);
      }
      const whole = placement.nodeIds.filter((id) => this.whole.has(`${id} ${placement.shard}`));
      expect(whole.length, `shard ${placement.shard}`).toBeGreaterThan(0);
    }
  }
}

const nodeArbitrary = fc.constantFrom(...NODES);
/** Chosen among those that hold the shard, and among those that do not, when it is started. */
const choiceArbitrary = fc.record({
  shard: fc.integer({ min: 0, max: SHARDS - 1 }),
  from: fc.option(fc.nat(3), { nil: undefined, freq: 4 }),
  to: fc.option(fc.nat(3), { nil: undefined, freq: 4 }),
});

function chosen(
  index: Index,
  { shard, from, to }: { shard: number; from: number | undefined; to: number | undefined },
) {
  const holders = index.placement[shard]?.nodeIds ?? [];
  const others = NODES.filter((id) => !holders.includes(id));
  return {
    shard,
    from: from === undefined ? undefined : holders[from % holders.length],
    to: to === undefined ? undefined : others[to % Math.max(1, others.length)],
  };
}
const actionArbitrary = fc.oneof(
  fc.record({
    kind: fc.constant("start" as const),
    moves: fc.uniqueArray(choiceArbitrary, { maxLength: 3, selector: ({ shard }) => shard }),
    repair: fc.boolean(),
  }),
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("forward" as const),
      away: fc.option(nodeArbitrary, { nil: undefined, freq: 4 }),
    }),
  },
  fc.record({ kind: fc.constant("doubt" as const), node: nodeArbitrary }),
  fc.record({ kind: fc.constant("cancel" as const) }),
  fc.record({ kind: fc.constant("lose" as const), node: nodeArbitrary }),
);

const away = (action: { readonly away?: string | undefined }): ReadonlySet<string> =>
  new Set(action.away === undefined ? [] : [action.away]);

describe("any sequence of steps, cancels, losses and doubts", () => {
  it("keeps the consistency check, a whole serving copy of every shard, and filters where they are needed", () => {
    let switches = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(["node-0"], ["node-0", "node-1"], ["node-0", "node-1", "node-2"]),
        fc.array(actionArbitrary, { minLength: 20, maxLength: 40 }),
        (holders, actions) => {
          let topology = fleet(holders);
          const contents = new Contents(topology);
          let ids = 0;
          for (const action of actions) {
            const before = indexOf(topology);
            const id = before.copy?.id ?? "none";
            const attempt = (mutate: (draft: Topology, index: Index) => void): boolean => {
              try {
                topology = changed(topology, mutate);
                return true;
              } catch (error) {
                if (error instanceof CopyRefusedError) return false;
                throw error;
              }
            };
            if (action.kind === "start") {
              ids += 1;
              const stale = before.replicas.filter(({ state }) => state === ReplicaState.STALE);
              attempt((draft) =>
                startCopy(
                  draft,
                  INSTANCE,
                  copy({
                    id: `c${ids}`,
                    moves: action.moves.map((choice) => chosen(before, choice)),
                    repairNodeIds: action.repair ? stale.map(({ nodeId }) => nodeId) : [],
                  }),
                ),
              );
            } else if (action.kind === "cancel") {
              attempt((_, index) => cancelCopy(index, id));
            } else if (action.kind === "lose") {
              const lost = new Set([action.node]);
              const draft = clone(TopologySchema, topology);
              bumped((index) => markStale(index, lost))(draft, indexOf(draft));
              // What the control plane refuses: the last copy never goes stale.
              if (topologyFaults(topology, draft).length === 0) topology = draft;
            } else if (action.kind === "doubt") {
              attempt((draft) => markSuspect(draft, INSTANCE, [action.node]));
            } else if (before.copy?.step === ShardCopyStep.PLANNED) {
              if (!attempt(bumped((index) => beginCopy(index, id))))
                attempt((_, index) => switchCopy(index, id, away(action)));
            } else if (before.copy?.step === ShardCopyStep.COPYING) {
              contents.filled(before);
              if (attempt((_, index) => switchCopy(index, id, away(action)))) switches += 1;
            } else if (before.copy?.step === ShardCopyStep.SWITCHED) {
              if (!attempt((_, index) => endCopy(index, id)))
                attempt(bumped((index) => dropCopy(index, id, away(action))));
            } else if (before.copy?.step === ShardCopyStep.DROPPING) {
              attempt((_, index) => cleanCopy(index, id, away(action)));
            } else if (before.copy?.step === ShardCopyStep.CLEANING) {
              contents.cleaned(before);
              attempt((_, index) => endCopy(index, id));
            }
            contents.wrote(indexOf(topology));
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(switches).toBeGreaterThan(100);
  });
});
