import type { TaskUid } from "../ids.js";
import type { TaskFilter, TaskPageRequest } from "../task-store.js";
import type { RedisBackend } from "./commit.js";
import { listArguments } from "./script-arguments.js";
import { TaskKeys, type TaskTime, taskTimes, zoneSize, zonesAGroup } from "./task-keys.js";

/** Tasks that one script looks at, zones and ranges that it takes, at most. */
const step = 1_000;
const operation = "list tasks";

/** A page's uids, at most `limit + 1` of them, and how many tasks match in all. */
export interface Match {
  readonly uids: readonly TaskUid[];
  readonly total: number;
}

/** Uids from `first` to `last` of a sorted set, in the order of the search. */
interface Range {
  readonly key: string;
  readonly first: number | string;
  readonly last: number | string;
}

/** Where all that matches a filter is found, and how many tasks there are to look at. */
interface Source {
  readonly size: number;
  /** What of the filter all of it fulfils. */
  readonly implied: readonly (keyof TaskFilter)[];
  /** In batches of at most a thousand. */
  ranges(): AsyncIterable<readonly Range[]>;
}

/**
 * Finds the uids of matching tasks. A time range alone is counted exactly, and its page is read from zones of uids that
 * can match, as far as the page goes; a list of uids alone costs what it is long. Several filters: every task that
 * matches the most selective of them is looked at, a bounded number a step; steps see what was committed between them,
 * so the total counts each task as it was when it was looked at.
 */
export class TaskScan {
  readonly #backend: RedisBackend;
  readonly #keys: TaskKeys;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#keys = new TaskKeys(backend.keys);
  }

  /** The uids of a page, in its order, with one more where another page follows. */
  async find(filter: TaskFilter, page: TaskPageRequest): Promise<Match> {
    const isReverse = page.reverse === true;
    const wanted = page.limit + 1;
    const time = onlyTime(filter);
    if (time !== undefined) {
      const total = await this.#countTime(filter, time);
      const source = this.#zones(filter, isReverse, total, page.from);
      const uids: TaskUid[] = [];
      for await (const uid of this.#matches(source, filter, isReverse, wanted)) {
        uids.push(uid);
        if (uids.length === wanted) break;
      }
      return { uids, total };
    }
    const nearest = new NearestUids(page, wanted);
    const source = await this.#smallestSource(filter, isReverse);
    const uids = filter.uids === undefined ? undefined : new Set(filter.uids);
    let total = 0;
    for await (const uid of this.#matches(source, filter, isReverse, step)) {
      if (uids !== undefined && !uids.has(uid)) continue;
      total++;
      nearest.add(uid);
    }
    return { uids: nearest.sorted(), total };
  }

  async *#matches(
    source: Source,
    filter: TaskFilter,
    isReverse: boolean,
    enough: number,
  ): AsyncIterable<TaskUid> {
    const conditions = Object.fromEntries(
      Object.entries(filter).filter(([name]) => !source.implied.some((implied) => implied === name)),
    ) as TaskFilter;
    for await (const ranges of source.ranges()) {
      yield* this.#matchesOf(ranges, conditions, isReverse, enough);
    }
  }

  async *#matchesOf(
    ranges: readonly Range[],
    filter: TaskFilter,
    isReverse: boolean,
    enough: number,
  ): AsyncIterable<TaskUid> {
    let left = [...ranges];
    while (left.length > 0) {
      const sets = [...new Set(left.map((range) => range.key))];
      const indexOf = new Map(sets.map((key, index) => [key, index + 2]));
      const reply = await this.#backend.connection.run(
        "tasks-match",
        [this.#keys.table, ...sets],
        [
          ...[isReverse ? "" : "REV", step, Math.min(enough, step), ...boundsOf(filter)],
          ...[filter.statuses, filter.types, filter.indexUids, filter.canceledBy].flatMap(listArguments),
          ...left.flatMap((range) => [indexOf.get(range.key) ?? 0, range.first, range.last]),
        ],
        "read",
        operation,
      );
      const [position, from, ...uids] = reply as [string, string, ...string[]];
      yield* uids.map((uid) => Number(uid) as TaskUid);
      const [current, ...rest] = left.slice(Number(position) - 1);
      if (current === undefined) return;
      left = [from === "" ? current : { ...current, first: from }, ...rest];
    }
  }

  async #smallestSource(filter: TaskFilter, isReverse: boolean): Promise<Source> {
    const sources: Source[] = [];
    const { uids, canceledBy } = filter;
    const [lowest, highest] = isReverse ? ["-inf", "+inf"] : ["+inf", "-inf"];
    const whole = (key: string): Range => ({ key, first: lowest, last: highest });
    if (uids !== undefined) {
      const distinct = [...new Set(uids)];
      sources.push({
        size: distinct.length,
        implied: ["uids"],
        ranges: () => batches(distinct.map((uid) => ({ key: this.#keys.index, first: uid, last: uid }))),
      });
    }
    if (canceledBy !== undefined) {
      const sets = [...new Set(canceledBy)].map((uid) => this.#keys.canceledBy(uid));
      sources.push({
        size: await this.#countMembers(sets),
        implied: ["canceledBy"],
        ranges: () => batches(sets.map(whole)),
      });
    }
    if (filter.statuses !== undefined || filter.types !== undefined || filter.indexUids !== undefined) {
      const kinds = await this.#kinds(filter);
      sources.push({
        size: kinds.reduce((sum, { count }) => sum + count, 0),
        implied: ["statuses", "types", "indexUids"],
        ranges: () => batches(kinds.map(({ key }) => whole(key))),
      });
    }
    for (const time of taskTimes) {
      if (hasTime(filter, time)) {
        sources.push(this.#zones(filter, isReverse, await this.#countTime(filter, time)));
      }
    }
    const [first, ...others] = sources;
    const all: Source = { size: 0, implied: [], ranges: () => batches([whole(this.#keys.index)]) };
    return others.reduce((best, source) => (source.size < best.size ? source : best), first ?? all);
  }

  async #countMembers(sets: readonly string[]): Promise<number> {
    const counts = await this.#backend.connection.read(operation, (client) =>
      Promise.all(sets.map((key) => client.zcard(key))),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  #countTime(filter: TaskFilter, time: TaskTime): Promise<number> {
    const [after, before] = rangeOf(filter, time);
    return this.#backend.connection.read(operation, (client) =>
      client.zcount(
        this.#keys.time(time),
        after === undefined ? "-inf" : `(${after}`,
        before === undefined ? "+inf" : `(${before}`,
      ),
    );
  }

  async #kinds(filter: TaskFilter): Promise<{ key: string; count: number }[]> {
    const { statuses, types } = filter;
    const indexes = filter.indexUids?.map((uid) => this.#keys.escapedIndex(uid));
    const counts = await this.#backend.connection.read(operation, (client) =>
      client.hgetall(this.#keys.counts),
    );
    return Object.entries(counts).flatMap(([field, count]) => {
      const [status, type, index] = field.split(":");
      if (status === undefined || type === undefined || index === undefined) return [];
      const matches =
        (statuses as readonly string[] | undefined)?.includes(status) !== false &&
        (types as readonly string[] | undefined)?.includes(type) !== false &&
        (indexes === undefined || (index !== "" && indexes.includes(index)));
      return matches ? [{ key: this.#keys.kindPrefix + field, count: Number(count) }] : [];
    });
  }

  /** The parts of all tasks whose times can lie within the bounds. */
  #zones(filter: TaskFilter, isReverse: boolean, size: number, from?: TaskUid): Source {
    const read = (start: number | string, limit: number): Promise<unknown> =>
      this.#backend.connection.run(
        "tasks-zones",
        [this.#keys.zones],
        [isReverse ? "" : "REV", start, limit, zonesAGroup, ...boundsOf(filter)],
        "read",
        operation,
      );
    const { index } = this.#keys;
    return {
      size,
      implied: [],
      async *ranges() {
        let start: number | string = from === undefined ? "" : Math.floor(from / zoneSize);
        // Few first: they are enough for most pages.
        for (let count = 4; ; count = Math.min(4 * count, step)) {
          const zones = ((await read(start, count)) as string[]).map(Number);
          yield zones.map((zone) => {
            const [low, high] = [zone * zoneSize, (zone + 1) * zoneSize - 1];
            return isReverse
              ? { key: index, first: Math.max(low, from ?? low), last: high }
              : { key: index, first: Math.min(high, from ?? high), last: low };
          });
          const last = zones.at(-1);
          if (last === undefined || zones.length < count) return;
          start = isReverse ? last + 1 : last - 1;
        }
      },
    };
  }
}

/** The uids nearest to where a page starts, in its direction. */
class NearestUids {
  readonly #limit: number;
  readonly #isReverse: boolean;
  readonly #from: TaskUid | undefined;
  #uids: TaskUid[] = [];

  constructor({ from, reverse = false }: TaskPageRequest, limit: number) {
    this.#from = from;
    this.#isReverse = reverse;
    this.#limit = limit;
  }

  add(uid: TaskUid): void {
    const from = this.#from;
    if (from !== undefined && (this.#isReverse ? uid < from : uid > from)) return;
    this.#uids.push(uid);
    if (this.#uids.length >= 2 * this.#limit + step) this.#uids = this.sorted();
  }

  sorted(): TaskUid[] {
    return this.#uids.sort((a, b) => (this.#isReverse ? a - b : b - a)).slice(0, this.#limit);
  }
}

async function* batches(ranges: readonly Range[]): AsyncIterable<readonly Range[]> {
  for (let at = 0; at < ranges.length; at += step) yield ranges.slice(at, at + step);
}

function rangeOf(filter: TaskFilter, time: TaskTime): [number | undefined, number | undefined] {
  switch (time) {
    case "enqueued":
      return [filter.afterEnqueuedAt, filter.beforeEnqueuedAt];
    case "started":
      return [filter.afterStartedAt, filter.beforeStartedAt];
    case "finished":
      return [filter.afterFinishedAt, filter.beforeFinishedAt];
  }
}

function hasTime(filter: TaskFilter, time: TaskTime): boolean {
  return rangeOf(filter, time).some((bound) => bound !== undefined);
}

/** The time that a filter restricts where it restricts nothing else. */
function onlyTime(filter: TaskFilter): TaskTime | undefined {
  const { uids, indexUids, statuses, types, canceledBy } = filter;
  if ([uids, indexUids, statuses, types, canceledBy].some((values) => values !== undefined)) return undefined;
  const [time, ...others] = taskTimes.filter((candidate) => hasTime(filter, candidate));
  return others.length === 0 ? time : undefined;
}

function boundsOf(filter: TaskFilter): (number | string)[] {
  return taskTimes.flatMap((time) => rangeOf(filter, time)).map((bound) => bound ?? "");
}
