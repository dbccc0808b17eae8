import { type FencingToken, jobId, type TaskStore, taskUid } from "../../src/store/task-store.js";
import { median, quantile } from "./quantiles.js";
import type { StoreBenchOptions } from "./store.js";
import { at, batch, fenceOf, newTask, nodes, nodeTaskOf, type StoreRig } from "./store-rig.js";

/** One operation on one backend: medians over the repeats. */
export interface StoreBenchRow {
  readonly backend: string;
  readonly operation: string;
  readonly clients: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** An operation: prepared for so many calls, then called with the number of the call. */
interface Operation {
  readonly name: string;
  prepare?(store: TaskStore, fence: FencingToken, calls: number): Promise<void>;
  call(store: TaskStore, fence: FencingToken, call: number): Promise<unknown>;
  /** Calls of one measurement at most. */
  readonly maxCalls?: number;
}

/** Measures what the control plane does for every task, on each backend in turn. */
export async function benchOperations(
  rigs: readonly StoreRig[],
  options: StoreBenchOptions,
): Promise<readonly StoreBenchRow[]> {
  const rows: StoreBenchRow[] = [];
  for (const clients of options.clients) {
    const results = new Map<string, { perSecond: number; p50: number; p99: number }[]>();
    for (let repeat = 0; repeat < options.repeats; repeat++) {
      for (const rig of rigs) {
        for (const operation of operations(`${clients}-${repeat}`)) {
          const result = await measure(rig, operation, clients, options.durationMs);
          const key = `${rig.name}\n${operation.name}`;
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
  rig: StoreRig,
  operation: Operation,
  clients: number,
  durationMs: number,
): Promise<{ perSecond: number; p50: number; p99: number }> {
  const store = rig.many;
  const fence = fenceOf(rig, store);
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
