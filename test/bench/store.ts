import { hasRedisBinary } from "../support/redis-server.js";
import { benchLists, type ListBenchRow } from "./store-lists.js";
import { benchOperations, type StoreBenchRow } from "./store-operations.js";
import { fill, openRedis, openSqlite } from "./store-rig.js";

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

/** Measures every backend that there is, taking turns. */
export async function benchStore(
  options: StoreBenchOptions,
): Promise<{ readonly operations: readonly StoreBenchRow[]; readonly lists: readonly ListBenchRow[] }> {
  const rigs = [await openSqlite()];
  if (hasRedisBinary) rigs.push(await openRedis("everysec"), await openRedis("always"));
  else options.progress("there is no Redis binary: SQLite alone is measured");
  try {
    for (const rig of rigs) {
      await fill(rig, rig.few, options.fewTasks, options.progress);
      await fill(rig, rig.many, options.tasks, options.progress);
    }
    const lists = await benchLists(rigs, options);
    const operations = await benchOperations(rigs, options);
    return { operations, lists };
  } finally {
    for (const rig of rigs) await rig.close();
  }
}
