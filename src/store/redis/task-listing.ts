import type { TaskUid } from "../ids.js";
import { matchesFilter } from "../task-filter.js";
import type { TaskFilter, TaskPage, TaskPageRequest, TaskRow } from "../task-store.js";
import type { RedisBackend } from "./commit.js";
import type { FlatRow } from "./row-fields.js";
import { listArguments } from "./script-arguments.js";
import { decodeTaskFields } from "./task-fields.js";
import { TaskKeys } from "./task-keys.js";
import type { TaskReader } from "./task-reader.js";
import { TaskScan } from "./task-scan.js";

/** Tasks that one script reads at most. */
const maxRows = 1_000;
const operation = "list tasks";

/**
 * Lists tasks. Without a filter, and with filters on status, type and index or on canceledBy alone, each thousand
 * tasks of a page is one snapshot, the first of them together with the total; the cost is that of the page. Everything
 * else is a {@link TaskScan}: several steps, none of which holds up other calls for long.
 */
export class TaskListing {
  readonly #backend: RedisBackend;
  readonly #keys: TaskKeys;
  readonly #reader: TaskReader;
  readonly #scan: TaskScan;

  constructor(backend: RedisBackend, reader: TaskReader) {
    this.#backend = backend;
    this.#keys = new TaskKeys(backend.keys);
    this.#reader = reader;
    this.#scan = new TaskScan(backend);
  }

  /** The page, and how many tasks match in all. */
  async list(filter: TaskFilter, page: TaskPageRequest): Promise<TaskPage> {
    const source = this.#sourceOf(filter);
    return source === undefined ? this.#listScanned(filter, page) : this.#listSets(source, page);
  }

  /** What `tasks-page` merges for filters that it answers by itself. */
  #sourceOf(filter: TaskFilter): Source | undefined {
    const { statuses, types, indexUids, canceledBy, ...others } = filter;
    if (Object.values(others).some((value) => value !== undefined)) return undefined;
    const hasKinds = statuses !== undefined || types !== undefined || indexUids !== undefined;
    if (canceledBy !== undefined) {
      if (hasKinds) return undefined;
      return { mode: "sets", sets: [...new Set(canceledBy)].map((uid) => this.#keys.canceledBy(uid)) };
    }
    if (!hasKinds) return { mode: "sets", sets: [this.#keys.index] };
    const indexes = indexUids?.map((uid) => this.#keys.escapedIndex(uid));
    return { mode: "kinds", wanted: [statuses, types, indexes].flatMap(listArguments) };
  }

  async #listSets(source: Source, page: TaskPageRequest): Promise<TaskPage> {
    const tasks: TaskRow[] = [];
    let total: number | undefined;
    let from = page.from;
    for (;;) {
      const part = await this.#readPart(source, page, from, Math.min(maxRows, page.limit - tasks.length));
      total ??= part.total;
      tasks.push(...part.tasks);
      from = part.next;
      if (from === undefined || tasks.length >= page.limit) return { tasks, total, next: from };
    }
  }

  async #readPart(
    source: Source,
    page: TaskPageRequest,
    from: TaskUid | undefined,
    limit: number,
  ): Promise<{ tasks: TaskRow[]; total: number; next: TaskUid | undefined }> {
    const { counts, table, kindPrefix } = this.#keys;
    const reply = await this.#backend.connection.run(
      "tasks-page",
      [counts, table, ...(source.mode === "sets" ? source.sets : [])],
      [
        ...[source.mode, kindPrefix, page.reverse === true ? "" : "REV", from ?? "", limit],
        ...(source.mode === "kinds" ? source.wanted : []),
      ],
      "read",
      operation,
    );
    const [total, next, ...flat] = reply as [string, string, ...(string | FlatRow)[]];
    const tasks: TaskRow[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) {
      tasks.push(decodeTaskFields(Number(flat[i]), flat[i + 1] as FlatRow).row);
    }
    return { tasks, total: Number(total), next: next === "" ? undefined : (Number(next) as TaskUid) };
  }

  async #listScanned(filter: TaskFilter, page: TaskPageRequest): Promise<TaskPage> {
    const { uids, total } = await this.#scan.find(filter, page);
    const rows = await this.#reader.many(operation, uids.slice(0, page.limit));
    // What changed since it was found may not match any more.
    return { tasks: rows.filter((row) => matchesFilter(row, filter)), total, next: uids[page.limit] };
  }
}

type Source =
  | { readonly mode: "sets"; readonly sets: readonly string[] }
  | { readonly mode: "kinds"; readonly wanted: readonly (string | number)[] };
