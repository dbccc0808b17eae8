import { create } from "@bufbuild/protobuf";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LostTask } from "../../../src/control/audit/audit-options.js";
import { IndexLookup } from "../../../src/control/tasks/index-replicas.js";
import { TaskRegistry } from "../../../src/control/tasks/task-registry.js";
import {
  createTopologyManager,
  type TopologyManager,
} from "../../../src/control/topology/topology-manager.js";
import {
  IndexSchema,
  NodeState,
  ReplicaState,
  TopologySchema,
} from "../../../src/gen/miroir/v1/topology_pb.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import {
  type FencingToken,
  indexInstance,
  leaseScope,
  type NodeTaskUpdate,
  nodeId,
  nodeTaskUid,
  StoreUnavailableError,
  type TaskStore,
  taskUid,
} from "../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

const INSTANCE = "abcdefgh";
const UID = taskUid(7);

let world: ManualWorld;
let store: TaskStore;
let fence: FencingToken;
let topology: TopologyManager;
/** Makes the next calls of these methods fail: before they take effect, or after. */
let failing: Map<string, "before" | "after">;

beforeEach(async () => {
  world = createManualWorld();
  const whole = await openSqliteTaskStore({ path: ":memory:", clock: world.clock, timers: world.timers });
  failing = new Map();
  const tasks = new Proxy(whole.tasks, {
    get: (table, member) => {
      const method = Reflect.get(table, member) as (...parameters: unknown[]) => Promise<unknown>;
      return async (...parameters: unknown[]) => {
        const fault = failing.get(String(member));
        failing.delete(String(member));
        if (fault === "before") throw new StoreUnavailableError("no connection", "certainly-aborted");
        const answer = await method.apply(table, parameters);
        if (fault === "after") throw new StoreUnavailableError("the connection broke", "maybe-executed");
        return answer;
      };
    },
  });
  store = { ...whole, tasks };
  const scope = leaseScope("leader");
  const lease = await store.lease.acquire({ scope, holder: "h", ttlMs: 3_600_000 });
  fence = { scope, holder: "h", term: lease?.term ?? 0 };
  topology = createTopologyManager({
    table: store.topology,
    logger: pino({ level: "silent" }),
    initial: create(TopologySchema, {
      epoch: { clusterId: "c" },
      replicationFactor: 2,
      defaultShards: 1,
      nodes: ["node-0", "node-1"].map((id) => ({ id, url: `http://${id}`, state: NodeState.ACTIVE })),
      groups: [{ id: 0, nodeIds: ["node-0", "node-1"] }],
    }),
  });
  await topology.beginTerm(fence);
});

afterEach(() => store.close());

function createRegistry(acknowledged?: () => Promise<void>): TaskRegistry {
  return new TaskRegistry({
    store,
    topology,
    fence: () => fence,
    world,
    logger: pino({ level: "silent" }),
    settings: { opened: async () => undefined, decide: () => undefined },
    lookup: new IndexLookup(),
    onOpenNodeTasks: () => undefined,
    onWritten: () => undefined,
    listUnfinished: async () => [],
    ...(acknowledged === undefined ? {} : { acknowledged }),
  });
}

/** A task with one node task, which {@link succeeded} finishes. */
async function registerTask(registry: TaskRegistry): Promise<void> {
  await registry.register([
    {
      uid: UID,
      indexUid: "films",
      instance: indexInstance(INSTANCE),
      type: "documentAdditionOrUpdate",
      status: "enqueued",
      detailsJson: '{"receivedDocuments":1,"indexedDocuments":null}',
      error: null,
      enqueuedAt: 0,
      startedAt: null,
      finishedAt: null,
      canceledBy: null,
      customMetadata: null,
      documentsByShard: new Map(),
      nodeTasks: [
        {
          nodeId: nodeId("node-0"),
          nodeTaskUid: nodeTaskUid(3),
          status: "enqueued",
          error: null,
          shards: [0],
          detailsJson: null,
          startedAt: null,
          finishedAt: null,
        },
      ],
    },
  ]);
}

const succeeded: NodeTaskUpdate = {
  nodeId: nodeId("node-0"),
  nodeTaskUid: nodeTaskUid(3),
  status: "succeeded",
  error: null,
  detailsJson: '{"receivedDocuments":1,"indexedDocuments":1}',
  startedAt: 1,
  finishedAt: 2,
};

/** The same node task as the node's log has it, with what tells of the client task. */
const inLog: LostTask = {
  record: {
    uid: 3,
    batchUid: 0,
    indexUid: `m${INSTANCE}_1`,
    status: "succeeded",
    type: "documentAdditionOrUpdate",
    canceledBy: null,
    customMetadata: "s.1.0.7",
    details: { receivedDocuments: 1, indexedDocuments: 1 },
    error: null,
    duration: null,
    enqueuedAt: "2026-01-01T00:00:00Z",
    startedAt: "2026-01-01T00:00:01Z",
    finishedAt: "2026-01-01T00:00:02Z",
  },
  metadata: { session: "s", sequence: 1, previous: 0, taskUid: UID },
};

describe("the registry of tasks", () => {
  it.each([
    ["applyNodeTaskUpdates", "after"],
    ["upsert", "before"],
  ] as const)("judges a task although the store failed at %s, %s its effect", async (method, fault) => {
    const registry = createRegistry();
    await registerTask(registry);
    failing.set(method, fault);
    await expect(registry.apply([succeeded])).rejects.toThrow(StoreUnavailableError);
    // The log is read again, and says nothing new.
    expect(await registry.apply([succeeded])).toEqual([]);
    await world.advance(2_000);
    expect((await store.tasks.get(UID))?.status).toBe("succeeded");
  });

  it("judges a task that it meets again in a log, although an attempt without an answer has recorded everything", async () => {
    const registry = createRegistry();
    await registerTask(registry);
    await store.tasks.applyNodeTaskUpdates([succeeded], fence);
    await registry.rebuild(nodeId("node-0"), [inLog]);
    expect((await store.tasks.get(UID))?.status).toBe("succeeded");
  });

  it.each(["getMany", "upsert"])(
    "judges a rebuilt task although the store failed at %s when it was due",
    async (method) => {
      const registry = createRegistry();
      await registry.rebuild(nodeId("node-0"), [inLog]);
      failing.set(method, "before");
      await world.advance(3_000);
      expect((await store.tasks.get(UID))?.status).toBe("enqueued");
      await world.advance(2_000);
      expect((await store.tasks.get(UID))?.status).toBe("succeeded");
    },
  );

  it("judges a rebuilt task although its first rebuilding broke off", async () => {
    const registry = createRegistry();
    failing.set("applyNodeTaskUpdates", "after");
    await expect(registry.rebuild(nodeId("node-0"), [inLog])).rejects.toThrow(StoreUnavailableError);
    await registry.rebuild(nodeId("node-0"), [inLog]);
    await world.advance(5_000);
    expect((await store.tasks.get(UID))?.status).toBe("succeeded");
  });

  it.each([ReplicaState.STALE, ReplicaState.SUSPECT])(
    "shows no task as final before the proxies know of the replica that missed it, in state %d",
    async (state) => {
      await topology.change("an index with a replica left behind", (draft) => {
        draft.indexes.push(
          create(IndexSchema, {
            uid: "films",
            instance: INSTANCE,
            generation: 2n,
            shards: 1,
            placement: [{ shard: 0, nodeIds: ["node-0", "node-1"] }],
            replicas: [
              { nodeId: "node-0", state: ReplicaState.IN_SYNC },
              { nodeId: "node-1", state },
            ],
          }),
        );
      });
      let tell: () => void = () => undefined;
      let waits = 0;
      const registry = createRegistry(() => {
        waits++;
        return new Promise((resolve) => {
          tell = resolve;
        });
      });
      await registerTask(registry);
      const applied = registry.apply([succeeded]);
      await world.advance(0);
      expect(waits).toBe(1);
      expect((await store.tasks.get(UID))?.status).toBe("enqueued");
      tell();
      await applied;
      expect((await store.tasks.get(UID))?.status).toBe("succeeded");
    },
  );
});
