import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type {
  FleetWorkflowRequest,
  FleetWorkflows,
} from "../../../../src/control/cluster/fleet-workflows.js";
import { createControlMetrics } from "../../../../src/control/metrics.js";
import { AutoRepair } from "../../../../src/control/repair/auto-repair.js";
import {
  createTopologyManager,
  type TopologyManager,
} from "../../../../src/control/topology/topology-manager.js";
import { NodeState, ReplicaState, type Topology } from "../../../../src/gen/miroir/v1/topology_pb.js";
import { createNodeClient } from "../../../../src/meilisearch/node-client.js";
import { openSqliteTaskStore } from "../../../../src/store/sqlite/sqlite-task-store.js";
import { leaseScope, type TaskStore } from "../../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld } from "../../../support/manual-world.js";
import { putIndex, sampleIndex, sampleTopology } from "../../../support/topologies.js";

const logger = pino({ level: "silent" });
const GRACE_MS = 60_000;
let world: ManualWorld;
let store: TaskStore;
let topology: TopologyManager;
let repair: AutoRepair;
let begun: FleetWorkflowRequest[];
let running: { id: string; title: string } | undefined;
let deleted: string[];

const workflows: FleetWorkflows = {
  async start(request) {
    await topology.change(request.title, request.begin);
    begun.push(request);
    return `workflow-${begun.length}`;
  },
  running: () => running,
};

/** A node that holds one index which nobody knows any more. */
const leftBehind = createNodeClient(
  {
    request: async (_, { method, path }) => {
      if (method === "DELETE") deleted.push(path);
      const body = path.startsWith("/tasks")
        ? { finishedAt: "2026-01-01T00:00:00Z" }
        : method === "DELETE"
          ? { taskUid: 1 }
          : { results: [{ uid: "maaaaaaaa_3" }] };
      return { status: 200, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
    },
    close: async () => undefined,
  },
  { id: "node-1", url: "http://127.0.0.1:9001" },
);

beforeEach(async () => {
  world = createManualWorld();
  begun = [];
  deleted = [];
  running = undefined;
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
  topology = createTopologyManager({ table: store.topology, logger, initial: sampleTopology() });
  const scope = leaseScope("leader");
  const lease = await store.lease.acquire({ scope, holder: "a", ttlMs: 1_000_000, aboveTerm: 0 });
  await topology.beginTerm({ scope, holder: "a", term: lease?.term ?? 0 });
  await topology.change("an index", (draft) => putIndex(draft, sampleIndex("films")));
  repair = new AutoRepair({
    world,
    logger,
    topology,
    metrics: createControlMetrics(new Registry()),
    workflows,
    admin: () => leftBehind,
    tuning: { graceMs: GRACE_MS, settleMs: 5_000, maxBackoffMs: 40_000 },
  });
  repair.start();
});

afterEach(async () => {
  const stopping = repair.stop();
  await world.advance(0);
  await stopping;
  await store.close();
});

async function change(mutate: (draft: Topology) => void): Promise<void> {
  await topology.change("a test", mutate);
}

function setStale(draft: Topology): void {
  for (const index of draft.indexes) {
    index.generation += 1n;
    const replica = index.replicas.find(({ nodeId }) => nodeId === "node-1");
    if (replica !== undefined) replica.state = ReplicaState.STALE;
  }
}

function setAway(draft: Topology, isAway = true): void {
  const node = draft.nodes.find(({ id }) => id === "node-1");
  if (node === undefined) return;
  node.state = isAway ? NodeState.UNREACHABLE : node.evicted ? NodeState.DRAINING : NodeState.ACTIVE;
  if (isAway) node.unreachableSince = timestampFromMs(world.clock.now());
  else delete node.unreachableSince;
}

async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) await world.advance(1_000);
}

describe("a stale replica", () => {
  it("is repaired once its node has settled, and ever more rarely where that fails", async () => {
    await change(setStale);
    await advance(4_000);
    expect(begun).toEqual([]);
    await advance(3_000);
    expect(begun).toMatchObject([{ kind: "repair", nodeIds: ["node-1"], indexUids: ["films"] }]);
    await advance(8_000);
    expect(begun).toHaveLength(1);
    await advance(5_000);
    expect(begun).toHaveLength(2);
    await advance(15_000);
    expect(begun).toHaveLength(2);
    await advance(8_000);
    expect(begun).toHaveLength(3);
  });

  it("waits for its node, for a source and for the change of the fleet that is under way", async () => {
    await change((draft) => {
      setStale(draft);
      setAway(draft);
    });
    await advance(20_000);
    expect(begun).toEqual([]);
    running = { id: "w", title: "drain node-7" };
    await change((draft) => setAway(draft, false));
    await advance(20_000);
    expect(begun).toEqual([]);
    running = undefined;
    await advance(8_000);
    expect(begun).toHaveLength(1);
  });
});

describe("a node that is away for too long", () => {
  it("keeps its place where the others have no room", async () => {
    await change(setAway);
    await advance(GRACE_MS * 2);
    expect(begun).toEqual([]);
  });

  it("is replaced by the others of its group, and is an ordinary node without data when it returns", async () => {
    await change((draft) => {
      draft.replicationFactor = 1;
      setAway(draft);
    });
    await advance(GRACE_MS - 5_000);
    expect(begun).toEqual([]);
    await advance(10_000);
    expect(begun).toMatchObject([{ kind: "drain-node", nodeIds: ["node-1"] }]);
    const replica = () => topology.current().indexes[0]?.replicas.find(({ nodeId }) => nodeId === "node-1");
    expect(replica()?.state).toBe(ReplicaState.SUSPECT);
    await change((draft) => {
      draft.indexes = [];
    });
    await change((draft) => {
      const node = draft.nodes.find(({ id }) => id === "node-1");
      if (node !== undefined) delete node.unreachableSince;
    });
    await advance(3_000);
    expect(deleted).toEqual(["/indexes/maaaaaaaa_3"]);
    expect(topology.current().nodes[1]).toMatchObject({ state: NodeState.ACTIVE, evicted: false });
    expect(begun).toHaveLength(1);
  });

  it("is repaired where it is back before the others hold everything and nobody works on that", async () => {
    await change((draft) => {
      draft.replicationFactor = 1;
      setAway(draft);
    });
    await advance(GRACE_MS + 5_000);
    expect(begun).toHaveLength(1);
    await change((draft) => {
      setStale(draft);
      setAway(draft, false);
    });
    await advance(10_000);
    expect(deleted).toEqual([]);
    expect(begun.map(({ kind }) => kind)).toEqual(["drain-node", "repair"]);
  });
});
