import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type FencingToken,
  indexInstance,
  leaseScope,
  type NodeTaskRow,
  nodeId,
  nodeTaskUid,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../src/store/task-store.js";
import { type RedisServer, startRedis } from "../support/redis-server.js";
import { openBackend } from "../unit/store/open-backend.js";

/** A backend with a short and a long history of tasks, and the leader's lease of each. */
export interface StoreRig {
  readonly name: string;
  readonly few: TaskStore;
  readonly many: TaskStore;
  readonly fence: ReadonlyMap<TaskStore, FencingToken>;
  close(): Promise<void>;
}

/** Milliseconds since the Unix epoch at which all histories begin. */
export const at = 1_700_000_000_000;
/** The nodes of every task. */
export const nodes = ["node-0", "node-1", "node-2"].map(nodeId);
const indexes = 20;
/** Tasks of one write. */
export const batch = 1_000;

/** Two new databases of SQLite. */
export async function openSqlite(): Promise<StoreRig> {
  const directory = mkdtempSync(join(tmpdir(), "miroir-bench-"));
  const open = (name: string) => openBackend({ url: `sqlite://${join(directory, name)}` }, undefined);
  return prepare("SQLite", await open("few.db"), await open("many.db"), async () => {
    rmSync(directory, { recursive: true, force: true });
  });
}

/** Two databases of a new Redis server. */
export async function openRedis(appendfsync: "everysec" | "always"): Promise<StoreRig> {
  const server: RedisServer = await startRedis({ appendfsync });
  const open = () => openBackend({ url: server.freshUrl() }, undefined);
  return prepare(`Redis, appendfsync ${appendfsync}`, await open(), await open(), () => server.stop());
}

async function prepare(
  name: string,
  few: TaskStore,
  many: TaskStore,
  stop: () => Promise<void>,
): Promise<StoreRig> {
  const fence = new Map<TaskStore, FencingToken>();
  for (const store of [few, many]) {
    const lease = await store.lease.acquire({
      scope: leaseScope("leader"),
      holder: "bench",
      ttlMs: 3_600_000,
    });
    if (lease === undefined) throw new Error(`${name}: somebody else holds the lease`);
    fence.set(store, lease);
  }
  return {
    name,
    few,
    many,
    fence,
    close: async () => {
      await few.close();
      await many.close();
      await stop();
    },
  };
}

/** Writes a history of so many finished tasks. */
export async function fill(
  rig: StoreRig,
  store: TaskStore,
  count: number,
  progress: (text: string) => void,
): Promise<void> {
  const fence = fenceOf(rig, store);
  const began = performance.now();
  let announced = began;
  for (let done = 0; done < count; done += batch) {
    const size = Math.min(batch, count - done);
    const first = await store.tasks.allocateUids(size, fence);
    await store.tasks.upsert(
      Array.from({ length: size }, (_, offset) => historicTask(first + offset)),
      fence,
    );
    if (performance.now() - announced > 5_000) {
      announced = performance.now();
      const seconds = (announced - began) / 1_000;
      const left = (seconds * (count - done)) / (done + size);
      progress(`${rig.name}: ${done + size} of ${count} tasks written, ${left.toFixed(0)} s to go`);
    }
  }
  progress(
    `${rig.name}: ${count} tasks with ${nodes.length} node tasks each in ${((performance.now() - began) / 1_000).toFixed(1)} s`,
  );
}

/** A finished task as a fleet of three nodes leaves it; one in a thousand was canceled, one in a hundred failed. */
function historicTask(uid: number): TaskRow {
  const canceled = uid % 1_000 === 999;
  const failed = uid % 100 === 50;
  const status = canceled ? "canceled" : failed ? "failed" : "succeeded";
  const times = { startedAt: at + uid * 100 + 30, finishedAt: at + uid * 100 + 700 + (uid % 7) * 200 };
  return newTask(uid, {
    type: uid % 10 === 3 ? "settingsUpdate" : "documentAdditionOrUpdate",
    status,
    detailsJson: '{"receivedDocuments":100,"indexedDocuments":100}',
    canceledBy: canceled ? taskUid(uid - 9) : null,
    ...times,
    nodeTasks: nodes.map((node) => nodeTaskOf(node, uid, { status, ...times })),
  });
}

/** A task that has just been accepted, but for what is given. */
export function newTask(uid: number, overrides: Partial<TaskRow> = {}): TaskRow {
  return {
    uid: taskUid(uid),
    indexUid: `index-${uid % indexes}`,
    instance: indexInstance("abcd2345"),
    type: "documentAdditionOrUpdate",
    status: "enqueued",
    detailsJson: '{"receivedDocuments":100,"indexedDocuments":null}',
    error: null,
    enqueuedAt: at + uid * 100,
    startedAt: null,
    finishedAt: null,
    canceledBy: null,
    customMetadata: null,
    documentsByShard: new Map([
      [uid % 64, 60],
      [(uid + 11) % 64, 40],
    ]),
    nodeTasks: nodes.map((node) => nodeTaskOf(node, uid)),
    ...overrides,
  };
}

/** What a task is on one of its nodes, just sent but for what is given. */
export function nodeTaskOf(
  node: (typeof nodes)[number],
  uid: number,
  overrides: Partial<NodeTaskRow> = {},
): NodeTaskRow {
  return {
    nodeId: node,
    nodeTaskUid: nodeTaskUid(uid),
    status: "enqueued",
    error: null,
    shards: [],
    detailsJson: null,
    startedAt: null,
    finishedAt: null,
    ...overrides,
  };
}

/** The lease under which a store is written. */
export function fenceOf(rig: StoreRig, store: TaskStore): FencingToken {
  const fence = rig.fence.get(store);
  if (fence === undefined) throw new Error("the store was not prepared");
  return fence;
}
