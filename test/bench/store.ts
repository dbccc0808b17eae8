import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type FencingToken,
  indexInstance,
  jobId,
  leaseScope,
  type NodeTaskRow,
  nodeId,
  nodeTaskUid,
  type TaskFilter,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../src/store/task-store.js";
import { hasRedisBinary, type RedisServer, startRedis } from "../support/redis-server.js";
import { openBackend } from "../unit/store/open-backend.js";
import { median, quantile } from "./quantiles.js";

/** How to measure the stores. */
export interface StoreBenchOptions {
  /** Tasks of the long history. */
  readonly tasks: number;
  /** Tasks of the short one. */
  readonly fewTasks: number;
  /** Milliseconds of each measurement. */
  readonly durationMs: number;
  readonly repeats: number;
  /** Calls under way at once. */
  readonly clients: readonly number[];
  /** Told what goes on, for people. */
  readonly progress: (text: string) => void;
}

/** One operation on one backend: medians over the repeats. */
export interface StoreBenchRow {
  readonly backend: string;
  readonly operation: string;
  readonly clients: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One list, beside the same list of a short history. */
export interface ListBenchRow {
  readonly backend: string;
  readonly filter: string;
  readonly limit: number;
  readonly matching: number;
  /** Tasks on the page of the short history, and of the long one: a filter may not fill the page of the short one. */
  readonly fewRows: number;
  readonly manyRows: number;
  readonly fewMs: number;
  readonly manyMs: number;
  readonly ratio: number;
}

interface Bench {
  readonly name: string;
  readonly few: TaskStore;
  readonly many: TaskStore;
  readonly fence: ReadonlyMap<TaskStore, FencingToken>;
  close(): Promise<void>;
}

const at = 1_700_000_000_000;
const nodes = ["node-0", "node-1", "node-2"].map(nodeId);
const indexes = 20;
const batch = 1_000;

/** Measures every backend that there is, taking turns. */
export async function benchStore(
  options: StoreBenchOptions,
): Promise<{ readonly operations: readonly StoreBenchRow[]; readonly lists: readonly ListBenchRow[] }> {
  const benches = [await openSqlite()];
  if (hasRedisBinary) benches.push(await openRedis("everysec"), await openRedis("always"));
  else options.progress("there is no Redis binary: SQLite alone is measured");
  try {
    for (const bench of benches) {
      await fill(bench, bench.few, options.fewTasks, options.progress);
      await fill(bench, bench.many, options.tasks, options.progress);
    }
    const lists = await benchLists(benches, options);
    const operations = await benchOperations(benches, options);
    return { operations, lists };
  } finally {
    for (const bench of benches) await bench.close();
  }
}

async function openSqlite(): Promise<Bench> {
  const directory = mkdtempSync(join(tmpdir(), "miroir-bench-"));
  const open = (name: string) => openBackend({ url: `sqlite://${join(directory, name)}` }, undefined);
  return prepare("SQLite", await open("few.db"), await open("many.db"), async () => {
    rmSync(directory, { recursive: true, force: true });
  });
}

async function openRedis(appendfsync: "everysec" | "always"): Promise<Bench> {
  const server: RedisServer = await startRedis({ appendfsync });
  const open = () => openBackend({ url: server.freshUrl() }, undefined);
  return prepare(`Redis, appendfsync ${appendfsync}`, await open(), await open(), () => server.stop());
}

async function prepare(
  name: string,
  few: TaskStore,
  many: TaskStore,
  stop: () => Promise<void>,
): Promise<Bench> {
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

async function fill(
  bench: Bench,
  store: TaskStore,
  count: number,
  progress: (text: string) => void,
): Promise<void> {
  const fence = fenceOf(bench, store);
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
      progress(`${bench.name}: ${done + size} of ${count} tasks written, ${left.toFixed(0)} s to go`);
    }
  }
  progress(
    `${bench.name}: ${count} tasks with ${nodes.length} node tasks each in ${((performance.now() - began) / 1_000).toFixed(1)} s`,
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

function newTask(uid: number, overrides: Partial<TaskRow> = {}): TaskRow {
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

function nodeTaskOf(
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

/** An operation: prepared for so many calls, then called with the number of the call. */
interface Operation {
  readonly name: string;
  prepare?(store: TaskStore, fence: FencingToken, calls: number): Promise<void>;
  call(store: TaskStore, fence: FencingToken, call: number): Promise<unknown>;
  /** Calls of one measurement at most. */
  readonly maxCalls?: number;
}

async function benchOperations(
  benches: readonly Bench[],
  options: StoreBenchOptions,
): Promise<readonly StoreBenchRow[]> {
  const rows: StoreBenchRow[] = [];
  for (const clients of options.clients) {
    const results = new Map<string, { perSecond: number; p50: number; p99: number }[]>();
    for (let repeat = 0; repeat < options.repeats; repeat++) {
      for (const bench of benches) {
        for (const operation of operations(`${clients}-${repeat}`)) {
          const result = await measure(bench, operation, clients, options.durationMs);
          const key = `${bench.name}\n${operation.name}`;
          results.set(key, [...(results.get(key) ?? []), result]);
        }
      }
      options.progress(`${clients} at once: measurement ${repeat + 1} of ${options.repeats}`);
    }
    for (const [key, values] of results) {
      const [backend = "", operation = ""] = key.split("\n");
      rows.push({
        backend,
        operation,
        clients,
        perSecond: median(values.map(({ perSecond }) => perSecond)),
        p50Ms: median(values.map(({ p50 }) => p50)),
        p99Ms: median(values.map(({ p99 }) => p99)),
      });
    }
  }
  return rows;
}

/** What the control plane does for every task, and around it. `run` keeps one measurement's rows from another's. */
function operations(run: string): readonly Operation[] {
  let registered: number[] = [];
  return [
    {
      name: "register a task (3 node tasks)",
      prepare: async (store, fence) => {
        registered = [await store.tasks.allocateUids(10_000, fence)];
      },
      call: (store, fence, call) => {
        const uid = (registered[0] ?? 0) + call;
        return store.tasks.upsert([newTask(uid)], fence);
      },
      maxCalls: 10_000,
    },
    {
      name: "finish a task (3 node tasks)",
      prepare: async (store, fence, calls) => {
        const first = await store.tasks.allocateUids(calls, fence);
        registered = Array.from({ length: calls }, (_, offset) => first + offset);
        for (let i = 0; i < calls; i += batch) {
          await store.tasks.upsert(
            registered.slice(i, i + batch).map((uid) => newTask(uid)),
            fence,
          );
        }
      },
      call: async (store, fence, call) => {
        const uid = registered[call] ?? 0;
        const done = { status: "succeeded", startedAt: at, finishedAt: at + uid } as const;
        const { changed } = await store.tasks.applyNodeTaskUpdates(
          nodes.map((node) => ({ ...nodeTaskOf(node, uid, done), taskUid: taskUid(uid) })),
          fence,
        );
        await store.tasks.upsert(
          changed.map((task) => ({ ...task, ...done })),
          fence,
        );
      },
      maxCalls: 4_000,
    },
    {
      name: "claim a job",
      prepare: async (store, fence, calls) => {
        for (let i = 0; i < calls; i++) {
          await store.jobs.enqueue({ id: jobId(`${run}-${i}`), type: "copy", paramsJson: "{}" }, fence);
        }
      },
      call: (store) => store.jobs.claim({ holder: "bench" }),
      maxCalls: 1_000,
    },
    {
      name: "renew the lease",
      call: (store, fence) => store.lease.renew(fence, 3_600_000),
    },
    {
      name: "list 1,000 tasks",
      call: (store) => store.tasks.list({}, { limit: 1_000 }),
    },
    {
      name: "read a task",
      call: (store, _fence, call) => store.tasks.get(taskUid((call * 7_919) % 10_000)),
    },
  ];
}

async function measure(
  bench: Bench,
  operation: Operation,
  clients: number,
  durationMs: number,
): Promise<{ perSecond: number; p50: number; p99: number }> {
  const store = bench.many;
  const fence = fenceOf(bench, store);
  const maxCalls = operation.maxCalls ?? Number.POSITIVE_INFINITY;
  await operation.prepare?.(store, fence, Number.isFinite(maxCalls) ? maxCalls : 0);
  const latencies: number[] = [];
  let call = 0;
  const began = performance.now();
  const client = async (): Promise<void> => {
    while (performance.now() - began < durationMs && call < maxCalls) {
      const started = performance.now();
      await operation.call(store, fence, call++);
      latencies.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const elapsed = performance.now() - began;
  latencies.sort((left, right) => left - right);
  return {
    perSecond: (latencies.length * 1_000) / elapsed,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
  };
}

async function benchLists(
  benches: readonly Bench[],
  options: StoreBenchOptions,
): Promise<readonly ListBenchRow[]> {
  const rows: ListBenchRow[] = [];
  for (const bench of benches) {
    for (const limit of [20, 1_000]) {
      for (const [name, filter] of filters(options)) {
        const many = await timeList(bench.many, filter(options.tasks), limit, options.repeats);
        const few = await timeList(bench.few, filter(options.fewTasks), limit, options.repeats);
        rows.push({
          backend: bench.name,
          filter: name,
          limit,
          matching: many.total,
          fewRows: few.rows,
          manyRows: many.rows,
          fewMs: few.ms,
          manyMs: many.ms,
          ratio: many.ms / few.ms,
        });
      }
    }
    options.progress(`${bench.name}: lists measured`);
  }
  return rows;
}

/** Filters by name; each is made for a history of so many tasks, so that it meets the same part of both. */
function filters(options: StoreBenchOptions): readonly (readonly [string, (tasks: number) => TaskFilter])[] {
  const middle = (tasks: number) => at + (tasks / 2) * 100;
  const share = Math.min(options.fewTasks, 5_000);
  return [
    ["none", () => ({})],
    ["status succeeded", () => ({ statuses: ["succeeded"] })],
    ["status failed", () => ({ statuses: ["failed"] })],
    ["type settingsUpdate", () => ({ types: ["settingsUpdate"] })],
    ["index-7", () => ({ indexUids: ["index-7"] })],
    ["canceledBy", () => ({ canceledBy: [taskUid(990)] })],
    ["20 uids", () => ({ uids: Array.from({ length: 20 }, (_, index) => taskUid(index * 37)) })],
    ["enqueued before the middle", (tasks) => ({ beforeEnqueuedAt: middle(tasks) })],
    ["enqueued after the middle", (tasks) => ({ afterEnqueuedAt: middle(tasks) })],
    [
      "finished within a fixed span",
      (tasks) => ({ afterFinishedAt: middle(tasks), beforeFinishedAt: middle(tasks) + share * 10 }),
    ],
    [
      "status failed, index-10, type",
      () => ({ statuses: ["failed"], indexUids: ["index-10"], types: ["documentAdditionOrUpdate"] }),
    ],
    [
      "index-7, enqueued after the middle",
      (tasks) => ({ indexUids: ["index-7"], afterEnqueuedAt: middle(tasks) }),
    ],
  ];
}

async function timeList(
  store: TaskStore,
  filter: TaskFilter,
  limit: number,
  repeats: number,
): Promise<{ ms: number; total: number; rows: number }> {
  const times: number[] = [];
  let total = 0;
  let rows = 0;
  for (let repeat = 0; repeat < Math.max(3, repeats); repeat++) {
    const began = performance.now();
    const page = await store.tasks.list(filter, { limit });
    times.push(performance.now() - began);
    total = page.total;
    rows = page.tasks.length;
  }
  return { ms: median(times), total, rows };
}

function fenceOf(bench: Bench, store: TaskStore): FencingToken {
  const fence = bench.fence.get(store);
  if (fence === undefined) throw new Error("the store was not prepared");
  return fence;
}
