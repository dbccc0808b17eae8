import type { TaskFilter, TaskStore } from "../../src/store/task-store.js";
import { taskUid } from "../../src/store/task-store.js";
import { median } from "./quantiles.js";
import type { StoreBenchOptions } from "./store.js";
import { at, type StoreRig } from "./store-rig.js";

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

/** Measures lists of the long and of the short history, filter by filter. */
export async function benchLists(
  rigs: readonly StoreRig[],
  options: StoreBenchOptions,
): Promise<readonly ListBenchRow[]> {
  const rows: ListBenchRow[] = [];
  for (const rig of rigs) {
    for (const limit of [20, 1_000]) {
      for (const [name, filter] of filters(options)) {
        const many = await timeList(rig.many, filter(options.tasks), limit, options.repeats);
        const few = await timeList(rig.few, filter(options.fewTasks), limit, options.repeats);
        rows.push({
          backend: rig.name,
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
    options.progress(`${rig.name}: lists measured`);
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
