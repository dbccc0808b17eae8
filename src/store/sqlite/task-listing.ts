import type Database from "better-sqlite3";
import type { TaskUid } from "../ids.js";
import type { TaskFilter, TaskPageRequest } from "../task-store.js";
import type { Connection } from "./connection.js";

/** The kinds of tasks up to which a page is merged from one index range a kind. */
const maxRanges = 128;

interface Count {
  status: string;
  type: string;
  index_uid: string;
  n: number;
}

/** A page's uids, at most `limit + 1` of them, and how many tasks match in all. */
interface Match {
  readonly uids: readonly TaskUid[];
  readonly total: number;
}

type Bindings = Record<string, string | number>;

/**
 * Finds the uids of matching tasks. Filters on status, type and index alone are answered from the counts and
 * one index range for each kind of task that matches: the cost is that of the page, whatever the size of the
 * table. Other filters visit every task that matches the most selective of them. Its methods run inside a
 * transaction of the caller's.
 */
export class TaskListing {
  readonly #connection: Connection;
  readonly #countsOf = new Map<string, Database.Statement<[Bindings], Count>>();
  readonly #matchesOf = new Map<string, Database.Statement<[Bindings], { uid: number; total: number }>>();
  readonly #totalsOf = new Map<string, Database.Statement<[Bindings], { total: number }>>();
  readonly #newest;
  readonly #oldest;
  readonly #newestOfKind;
  readonly #oldestOfKind;

  constructor(connection: Connection) {
    this.#connection = connection;
    const kind = "status = :status AND type = :type AND index_uid = :index_uid AND";
    const prepare = (where: string, order: string) =>
      connection.prepare<[Bindings], { uid: number }>(
        `SELECT uid FROM tasks WHERE ${where} ORDER BY uid ${order} LIMIT :limit`,
      );
    this.#newest = prepare("uid <= :from", "DESC");
    this.#oldest = prepare("uid >= :from", "ASC");
    this.#newestOfKind = prepare(`${kind} uid BETWEEN :until AND :from`, "DESC");
    this.#oldestOfKind = prepare(`${kind} uid BETWEEN :from AND :until`, "ASC");
  }

  /** The uids of a page, in its order, with one more where another page follows. */
  find(filter: TaskFilter, page: TaskPageRequest): Match {
    const limit = page.limit + 1;
    const reverse = page.reverse ?? false;
    const from = page.from ?? (reverse ? 0 : Number.MAX_SAFE_INTEGER);
    const conditions = conditionsOf(filter);
    if (conditions.others.length === 0) {
      const counts = this.#counts(conditions);
      const total = counts.reduce((sum, count) => sum + count.n, 0);
      if (conditions.kinds.length === 0) {
        const rows = (reverse ? this.#oldest : this.#newest).all({ from, limit });
        return { uids: rows.map((row) => row.uid as TaskUid), total };
      }
      if (counts.length <= maxRanges) {
        return { uids: this.#mergeKinds(counts, from, limit, reverse), total };
      }
    }
    return this.#scan(conditions, from, limit, reverse);
  }

  #counts(conditions: Conditions): Count[] {
    const where = conditions.kinds.length === 0 ? "" : `WHERE ${conditions.kinds.join(" AND ")}`;
    const statement = cached(this.#countsOf, where, () =>
      this.#connection.prepare<[Bindings], Count>(
        `SELECT status, type, index_uid, n FROM task_counts ${where}`,
      ),
    );
    return statement.all(conditions.bindings);
  }

  /**
   * Merges the kinds' ranges one after the other. Once a page is full, only uids that come before its last
   * one are read, so that about `limit` times the logarithm of the number of kinds are read in all.
   */
  #mergeKinds(counts: readonly Count[], from: number, limit: number, reverse: boolean): TaskUid[] {
    const statement = reverse ? this.#oldestOfKind : this.#newestOfKind;
    const compare = reverse ? (a: number, b: number) => a - b : (a: number, b: number) => b - a;
    let until = reverse ? Number.MAX_SAFE_INTEGER : 0;
    let uids: number[] = [];
    for (const { status, type, index_uid } of counts) {
      const rows = statement.all({ status, type, index_uid, from, until, limit });
      if (rows.length === 0) continue;
      uids = [...uids, ...rows.map((row) => row.uid)].sort(compare).slice(0, limit);
      if (uids.length === limit) until = uids.at(-1) ?? until;
    }
    return uids as TaskUid[];
  }

  #scan(conditions: Conditions, from: number, limit: number, reverse: boolean): Match {
    const where = [...conditions.others, ...conditions.kinds].join(" AND ");
    const side = reverse ? "uid >= :from ORDER BY uid ASC" : "uid <= :from ORDER BY uid DESC";
    const matches = cached(this.#matchesOf, `${where} ${side}`, () =>
      this.#connection.prepare<[Bindings], { uid: number; total: number }>(
        `WITH matching AS MATERIALIZED (SELECT uid FROM tasks WHERE ${where})
         SELECT uid, (SELECT count(*) FROM matching) AS total FROM matching
         WHERE ${side} LIMIT :limit`,
      ),
    ).all({ ...conditions.bindings, from, limit });
    const first = matches[0];
    if (first !== undefined) return { uids: matches.map((row) => row.uid as TaskUid), total: first.total };
    // Nothing on this side of `from`; the total counts the other side too.
    const total = cached(this.#totalsOf, where, () =>
      this.#connection.prepare<[Bindings], { total: number }>(
        `SELECT count(*) AS total FROM tasks WHERE ${where}`,
      ),
    ).get(conditions.bindings);
    return { uids: [], total: total?.total ?? 0 };
  }
}

interface Conditions {
  /** On status, type and index: what the counts know. */
  readonly kinds: readonly string[];
  readonly others: readonly string[];
  readonly bindings: Bindings;
}

function conditionsOf(filter: TaskFilter): Conditions {
  const kinds: string[] = [];
  const others: string[] = [];
  const bindings: Bindings = {};
  const oneOf = (conditions: string[], column: string, values: readonly unknown[] | undefined) => {
    if (values === undefined) return;
    conditions.push(`${column} IN (SELECT value FROM json_each(:${column}))`);
    bindings[column] = JSON.stringify(values);
  };
  const bound = (column: string, operator: "<" | ">", value: number | undefined) => {
    if (value === undefined) return;
    const name = `${column}_${operator === "<" ? "before" : "after"}`;
    others.push(`${column} ${operator} :${name}`);
    bindings[name] = value;
  };
  oneOf(kinds, "status", filter.statuses);
  oneOf(kinds, "type", filter.types);
  // Tasks without an index are stored under the empty name, which nobody may ask for.
  oneOf(
    kinds,
    "index_uid",
    filter.indexUids?.filter((uid) => uid !== ""),
  );
  oneOf(others, "uid", filter.uids);
  oneOf(others, "canceled_by", filter.canceledBy);
  bound("enqueued_at", "<", filter.beforeEnqueuedAt);
  bound("enqueued_at", ">", filter.afterEnqueuedAt);
  bound("started_at", "<", filter.beforeStartedAt);
  bound("started_at", ">", filter.afterStartedAt);
  bound("finished_at", "<", filter.beforeFinishedAt);
  bound("finished_at", ">", filter.afterFinishedAt);
  return { kinds, others, bindings };
}

/** The statements are as many as there are sets of filters: a few thousand at the very most. */
function cached<T>(statements: Map<string, T>, key: string, create: () => T): T {
  const known = statements.get(key);
  if (known !== undefined) return known;
  if (statements.size >= 256) statements.clear();
  const statement = create();
  statements.set(key, statement);
  return statement;
}
