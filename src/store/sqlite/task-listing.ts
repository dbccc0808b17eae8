import type { TaskUid } from "../ids.js";
import type { TaskFilter, TaskPageRequest } from "../task-store.js";
import type { Connection } from "./connection.js";
import {
  type Bindings,
  type Conditions,
  conditionsOf,
  Statements,
  type TaskTime,
} from "./task-conditions.js";

/** Merging a range of an index costs about as much as visiting so many tasks. */
const rangeCost = 8;
/** Ranges that are merged whatever there is to visit. */
const maxCheapRanges = 128;
/** Without this the planner would walk all of an index for each zone. */
const byUid = "tasks NOT INDEXED";
/** The uids of a zone. */
const ofZone = "tasks.uid BETWEEN task_zones.zone * 1024 AND task_zones.zone * 1024 + 1023";

interface Count {
  readonly status: string;
  readonly type: string;
  readonly index_uid: string;
  readonly n: number;
}

/** A page's uids, at most `limit + 1` of them, and how many tasks match in all. */
interface Match {
  readonly uids: readonly TaskUid[];
  readonly total: number;
}

/** A page in the terms of the statements. */
interface Page {
  readonly from: number;
  readonly limit: number;
  readonly isReverse: boolean;
}

/**
 * Finds the uids of matching tasks. Without a filter, and with filters on status, type and index or on canceledBy
 * alone, totals come from counts and the page from one index range for each kind of task that matches; one time range
 * alone is answered from the zones of uids that can match, a list of uids from the list: the cost is that of the page,
 * whatever the size of the table. Several filters visit every task that matches the most selective of them. Its
 * methods run inside a transaction of the caller's.
 */
export class TaskListing {
  readonly #statements: Statements;

  constructor(connection: Connection) {
    this.#statements = new Statements(connection);
  }

  /** The uids of a page, in its order, with one more where another page follows. */
  find(filter: TaskFilter, request: TaskPageRequest): Match {
    const isReverse = request.reverse ?? false;
    const page: Page = {
      limit: request.limit + 1,
      isReverse,
      from: request.from ?? (isReverse ? 0 : Number.MAX_SAFE_INTEGER),
    };
    const conditions = conditionsOf(filter);
    const { kinds, others, times } = conditions;
    if (others.length === 0 && times.size === 0) return this.#findKinds(conditions, page);
    if (kinds.length === 0 && times.size === 0 && filter.uids === undefined) {
      return this.#findCanceled(conditions, page);
    }
    const [time] = times.keys();
    if (kinds.length === 0 && others.length === 0 && times.size === 1 && time !== undefined) {
      return this.#findTime(conditions, time, page);
    }
    return this.#scan(conditions, page);
  }

  #findKinds(conditions: Conditions, page: Page): Match {
    const counts = this.#countKinds(conditions);
    const total = counts.reduce((sum, { n }) => sum + n, 0);
    if (conditions.kinds.length === 0) return { uids: this.#range("true", {}, page), total };
    if (counts.length > maxCheapRanges && counts.length * rangeCost > total) {
      return this.#scan(conditions, page);
    }
    const kind = "status = :status AND type = :type AND index_uid = :index_uid";
    const ranges = counts.map(({ status, type, index_uid }) => ({ status, type, index_uid }));
    return { uids: this.#merge(kind, ranges, page), total };
  }

  #findCanceled(conditions: Conditions, page: Page): Match {
    const counts = this.#countCanceled(conditions);
    const ranges = counts.map(({ canceled_by }) => ({ canceled_by }));
    const total = counts.reduce((sum, { n }) => sum + n, 0);
    return { uids: this.#merge("canceled_by = :canceled_by", ranges, page), total };
  }

  #findTime({ times, bindings }: Conditions, time: TaskTime, page: Page): Match {
    const condition = times.get(time);
    if (condition === undefined) return { uids: [], total: 0 };
    const { task, zone } = condition;
    // Zones that lie within the bounds are counted whole; the tasks of those at the bounds are looked at.
    const [count] = this.#statements.all<{ total: number }>(
      `SELECT coalesce(sum(CASE
         WHEN ${time}_min > :${time}_after AND ${time}_max < :${time}_before THEN ${time}
         ELSE (SELECT count(*) FROM ${byUid} WHERE ${ofZone} AND ${task}) END), 0) AS total
       FROM task_zones WHERE ${zone}`,
      bindings,
    );
    const { isReverse, from, limit } = page;
    const rows = this.#statements.all<{ uid: number }>(
      `SELECT tasks.uid FROM task_zones CROSS JOIN ${byUid} ON ${ofZone}
       WHERE task_zones.zone ${isReverse ? ">=" : "<="} :zone AND ${zone} AND ${task}
         AND tasks.uid ${isReverse ? ">=" : "<="} :from
       ORDER BY task_zones.zone ${isReverse ? "ASC" : "DESC"}, tasks.uid ${isReverse ? "ASC" : "DESC"} LIMIT :limit`,
      { ...bindings, from, limit, zone: Math.floor(from / 1024) },
    );
    return { uids: rows.map((row) => row.uid as TaskUid), total: count?.total ?? 0 };
  }

  /**
   * Merges ranges one after the other. Once a page is full, only uids that come before its last one are read, so that
   * about `limit` times the logarithm of the number of ranges are read in all.
   */
  #merge(where: string, ranges: readonly Bindings[], page: Page): TaskUid[] {
    const { isReverse, limit } = page;
    const compare = isReverse ? (a: number, b: number) => a - b : (a: number, b: number) => b - a;
    let until = isReverse ? Number.MAX_SAFE_INTEGER : 0;
    let uids: TaskUid[] = [];
    for (const range of ranges) {
      const found = this.#range(where, range, page, until);
      if (found.length === 0) continue;
      uids = [...uids, ...found].sort(compare).slice(0, limit);
      if (uids.length === limit) until = uids.at(-1) ?? until;
    }
    return uids;
  }

  #range(where: string, bindings: Bindings, page: Page, until?: number): TaskUid[] {
    const { isReverse, from, limit } = page;
    const [low, high] = isReverse ? ["from", "until"] : ["until", "from"];
    const rows = this.#statements.all<{ uid: number }>(
      `SELECT uid FROM tasks WHERE ${where} AND uid BETWEEN :${low} AND :${high}
       ORDER BY uid ${isReverse ? "ASC" : "DESC"} LIMIT :limit`,
      { ...bindings, from, limit, until: until ?? (isReverse ? Number.MAX_SAFE_INTEGER : 0) },
    );
    return rows.map((row) => row.uid as TaskUid);
  }

  #scan(conditions: Conditions, { isReverse, from, limit }: Page): Match {
    const source = this.#smallestSource(conditions);
    const { kinds, others, times, bindings } = conditions;
    const all = [
      ...source.conditions,
      ...[...kinds, ...others].map((condition) => `tasks.${condition}`),
      ...[...times.values()].map(({ task }) => task),
    ];
    const side = isReverse ? "uid >= :from ORDER BY uid ASC" : "uid <= :from ORDER BY uid DESC";
    const matching = `WITH matching AS MATERIALIZED (SELECT tasks.uid FROM ${source.from} WHERE ${all.join(" AND ")})`;
    const rows = this.#statements.all<{ uid: number; total: number }>(
      `${matching} SELECT uid, (SELECT count(*) FROM matching) AS total FROM matching WHERE ${side} LIMIT :limit`,
      { ...bindings, from, limit },
    );
    const [first] = rows;
    if (first !== undefined) return { uids: rows.map((row) => row.uid as TaskUid), total: first.total };
    // Nothing on this side of `from`; the total counts the other side too.
    const [count] = this.#statements.all<{ total: number }>(
      `${matching} SELECT count(*) AS total FROM matching`,
      bindings,
    );
    return { uids: [], total: count?.total ?? 0 };
  }

  /** What to visit: where the fewest tasks are. The planner has no statistics, so it is told. */
  #smallestSource(conditions: Conditions): { from: string; conditions: readonly string[] } {
    const { kinds, others, times, bindings } = conditions;
    const sources: { size: number; from: string; conditions: readonly string[] }[] = [];
    const given = (column: string, index: string): string =>
      `json_each(:${column}) AS wanted CROSS JOIN tasks ${index} ON tasks.${column} = wanted.value`;
    if (others.some((condition) => condition.startsWith("uid "))) {
      const size = (JSON.parse(String(bindings.uid)) as unknown[]).length;
      sources.push({ size, from: given("uid", "NOT INDEXED"), conditions: [] });
    }
    if (others.some((condition) => condition.startsWith("canceled_by "))) {
      const size = this.#countCanceled(conditions).reduce((sum, { n }) => sum + n, 0);
      sources.push({ size, from: given("canceled_by", "INDEXED BY tasks_by_canceled_by"), conditions: [] });
    }
    if (kinds.length > 0) {
      sources.push({
        size: this.#countKinds(conditions).reduce((sum, { n }) => sum + n, 0),
        from: `task_counts AS kind CROSS JOIN tasks INDEXED BY tasks_by_kind
          ON tasks.status = kind.status AND tasks.type = kind.type AND tasks.index_uid = kind.index_uid`,
        conditions: kinds.map((condition) => `kind.${condition}`),
      });
    }
    for (const [time, { zone }] of times) {
      const [count] = this.#statements.all<{ n: number }>(
        `SELECT coalesce(sum(${time}), 0) AS n FROM task_zones WHERE ${zone}`,
        bindings,
      );
      const from = `task_zones CROSS JOIN ${byUid} ON ${ofZone}`;
      sources.push({ size: count?.n ?? 0, from, conditions: [zone] });
    }
    return sources.reduce((best, source) => (source.size < best.size ? source : best));
  }

  #countKinds({ kinds, bindings }: Conditions): Count[] {
    const where = kinds.length === 0 ? "" : `WHERE ${kinds.join(" AND ")}`;
    return this.#statements.all(`SELECT status, type, index_uid, n FROM task_counts ${where}`, bindings);
  }

  #countCanceled({ bindings }: Conditions): { canceled_by: number; n: number }[] {
    return this.#statements.all(
      `SELECT canceled_by, n FROM task_cancel_counts
       WHERE canceled_by IN (SELECT value FROM json_each(:canceled_by))`,
      bindings,
    );
  }
}
