import type Database from "better-sqlite3";
import type { TaskFilter } from "../task-store.js";
import type { Connection } from "./connection.js";

/** Values of a statement's named parameters. */
export type Bindings = Record<string, string | number>;

/** The times of a task, as their columns are called without `_at`. */
export const taskTimes = ["enqueued", "started", "finished"] as const;
/** One of {@link taskTimes}. */
export type TaskTime = (typeof taskTimes)[number];

/** A filter as SQL, for tables called `tasks`, `kind` (task_counts) and `task_zones`. */
export interface Conditions {
  /** On status, type and index: what `kind` knows. */
  readonly kinds: readonly string[];
  /** On uid and canceledBy, for `tasks`. */
  readonly others: readonly string[];
  /** On each time that is restricted: for `tasks`, and for the zones of which a task can match. */
  readonly times: ReadonlyMap<TaskTime, { readonly task: string; readonly zone: string }>;
  readonly bindings: Bindings;
}

/** No time is beyond these. */
const beyond = 2 ** 53;

/** Writes a filter as SQL. */
export function conditionsOf(filter: TaskFilter): Conditions {
  const bindings: Bindings = {};
  const oneOf = (column: string, values: readonly unknown[] | undefined): string[] => {
    if (values === undefined) return [];
    bindings[column] = JSON.stringify([...new Set(values)]);
    return [`${column} IN (SELECT value FROM json_each(:${column}))`];
  };
  // Tasks without an index are stored under the empty name, which nobody may ask for.
  const indexUids = filter.indexUids?.filter((uid) => uid !== "");
  const times = new Map<TaskTime, { task: string; zone: string }>();
  const between = (time: TaskTime, after: number | undefined, before: number | undefined): void => {
    if (after === undefined && before === undefined) return;
    bindings[`${time}_after`] = after ?? -beyond;
    bindings[`${time}_before`] = before ?? beyond;
    times.set(time, {
      task: `tasks.${time}_at > :${time}_after AND tasks.${time}_at < :${time}_before`,
      zone: `task_zones.${time}_max > :${time}_after AND task_zones.${time}_min < :${time}_before`,
    });
  };
  between("enqueued", filter.afterEnqueuedAt, filter.beforeEnqueuedAt);
  between("started", filter.afterStartedAt, filter.beforeStartedAt);
  between("finished", filter.afterFinishedAt, filter.beforeFinishedAt);
  return {
    kinds: [
      ...oneOf("status", filter.statuses),
      ...oneOf("type", filter.types),
      ...oneOf("index_uid", indexUids),
    ],
    others: [...oneOf("uid", filter.uids), ...oneOf("canceled_by", filter.canceledBy)],
    times,
    bindings,
  };
}

/** Statements by their text, compiled when first asked for; there are a few thousand sets of filters at the most. */
export class Statements {
  readonly #connection: Connection;
  readonly #known = new Map<string, Database.Statement<[Bindings], unknown>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** All rows of a statement. The caller knows what its rows are. */
  all<Row>(sql: string, bindings: Bindings): Row[] {
    let statement = this.#known.get(sql);
    if (statement === undefined) {
      if (this.#known.size >= 256) this.#known.clear();
      statement = this.#connection.prepare<[Bindings], unknown>(sql);
      this.#known.set(sql, statement);
    }
    return statement.all(bindings) as Row[];
  }
}
