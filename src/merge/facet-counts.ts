import type { FacetHit } from "./facet-search.js";
import { compareUtf8, normalizeFacet } from "./text-order.js";

/** What the documents that a part counts are narrowed to besides: those with one of some values, or with one in a range. */
export type FacetRestriction =
  | { readonly kind: "values"; readonly values: readonly string[] }
  /** Values behind `after` (null for all), up to `upTo` inclusive (null for all), both in normalised form. */
  | { readonly kind: "range"; readonly after: string | null; readonly upTo: string | null };

/**
 * Asks part `part` for the most frequent values of its documents that meet a restriction, at most `max` a list. Several
 * lists where the part is read from several nodes; undefined where the restriction cannot be expressed.
 */
export type AskFacetPart = (
  part: number,
  restriction: FacetRestriction,
) => Promise<readonly (readonly FacetHit[])[] | undefined>;

/** Values with counts, part by part. */
export type FacetCountsByPart = {
  readonly lists: readonly (readonly FacetHit[])[];
  /** Whether the `max` most frequent values over all parts, and their counts, are sure. */
  readonly isExact: boolean;
};

/**
 * Completes the counts of lists that parts cut at `max` values, most frequent first.
 *
 * First each part that cut is asked for the values that others gave and that can still come among the first `max`. What
 * no part gave cannot have more documents than the last values of the cut lists have together: where that is fewer than
 * the last of the first `max` has, all is known. Otherwise all parts are asked range by range, halved until that holds of what
 * their lists for the range do not show.
 *
 * @param asksPerPart how often each part is asked at most; what is not known by then stays so
 */
export async function exactFacetCounts(
  lists: readonly (readonly FacetHit[])[],
  max: number,
  ask: AskFacetPart,
  asksPerPart: number,
): Promise<FacetCountsByPart> {
  const parts = lists.map((list, at) => new Part(at, list, max, ask, asksPerPart));
  const isExact = await complete(parts, max);
  return { lists: parts.map((part) => part.hits()), isExact };
}

async function complete(parts: readonly Part[], max: number): Promise<boolean> {
  if (max === 0 || parts.every((part) => part.isComplete)) return true;
  if (!(await countContenders(parts, max))) return false;
  if (isSettled(parts, max)) return true;
  return (await walkRanges(parts, max)) && (await countContenders(parts, max));
}

/** Whether no value that a part has not given can come among the first `max`. */
function isSettled(parts: readonly Part[], max: number): boolean {
  const last = leastOfFirst(sums(parts), max);
  return last > parts.reduce((sum, part) => sum + part.bound, 0);
}

/** Asks all parts range by range. @returns whether no value that they have not given can come among the first `max` then */
async function walkRanges(parts: readonly Part[], max: number): Promise<boolean> {
  const pending = split({ after: null, upTo: null }, [...sums(parts).keys()]);
  if (pending === undefined) return false;
  for (let range = pending.pop(); range !== undefined; range = pending.pop()) {
    const own = range;
    const learnt = await Promise.all(parts.map((part) => part.learn(own)));
    const seen = new Set<string>();
    let atMost = 0;
    for (const answer of learnt) {
      if (answer === undefined) return false;
      for (const key of answer.seen) seen.add(key);
      atMost += answer.atMost;
    }
    if (atMost === 0 || atMost < leastOfFirst(sums(parts), max)) continue;
    const halves = split(range, [...seen]);
    if (halves === undefined) return false;
    pending.push(...halves);
  }
  return true;
}

/**
 * Asks parts for the values that others gave, as long as they can come among the first `max`: fewer and fewer at once, since what a full list
 * does not show is at most as frequent as its last value.
 *
 * @returns whether all that matter are known then
 */
async function countContenders(parts: readonly Part[], max: number): Promise<boolean> {
  for (let atOnce = Math.min(max, MAX_VALUES_AT_ONCE); ; atOnce = Math.max(1, atOnce >> 1)) {
    const known = sums(parts);
    const last = leastOfFirst(known, max);
    const contenders = [...known].flatMap(([key, count]) => {
      const atMost = parts.reduce((sum, part) => sum + part.atMost(key), count);
      return atMost >= last ? [key] : [];
    });
    const open = parts.map((part) => contenders.filter((key) => !part.knows(key)));
    if (open.every((keys) => keys.length === 0)) return true;
    const answered = await Promise.all(parts.map((part, at) => part.count(open[at] ?? [], atOnce)));
    if (!answered.every(Boolean)) return false;
  }
}

function sums(parts: readonly Part[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const part of parts) {
    for (const [key, { count }] of part.counts) all.set(key, (all.get(key) ?? 0) + count);
  }
  return all;
}

/** The `max`-th greatest count; 0 where there are fewer. */
function leastOfFirst(counts: ReadonlyMap<string, number>, max: number): number {
  return [...counts.values()].sort((a, b) => b - a)[max - 1] ?? 0;
}

/** Longest list of values in one restriction. */
const MAX_VALUES_AT_ONCE = 200;

/** What is known of one part's values. */
class Part {
  readonly counts = new Map<string, FacetHit>();
  /** What was asked for and is not there, or what no unknown value exceeds. */
  readonly #absent = new Set<string>();
  readonly #ranges: { readonly range: Range; readonly atMost: number }[] = [];
  /** By value that a full list did not show: what it does not exceed. */
  readonly #atMost = new Map<string, number>();
  /** No value that is not known has more documents. */
  readonly bound: number;

  constructor(
    private readonly at: number,
    list: readonly FacetHit[],
    private readonly max: number,
    private readonly ask: AskFacetPart,
    private asksLeft: number,
  ) {
    this.bound = boundOf(list, max);
    for (const hit of list) this.counts.set(normalizeFacet(hit.value), hit);
  }

  get isComplete(): boolean {
    return this.bound === 0;
  }

  knows(key: string): boolean {
    return this.isComplete || this.counts.has(key) || this.#absent.has(key);
  }

  hits(): FacetHit[] {
    return [...this.counts.values()];
  }

  /** How many more documents a value can have here than are known. */
  atMost(key: string): number {
    if (this.knows(key)) return 0;
    const inRanges = this.#ranges.filter(({ range }) => isInside(key, range)).map(({ atMost }) => atMost);
    return Math.min(this.bound, this.#atMost.get(key) ?? this.bound, ...inRanges);
  }

  /** Learns the counts of some values, or what they do not exceed, `atOnce` an ask. @returns false where some could not be asked for */
  async count(keys: readonly string[], atOnce: number): Promise<boolean> {
    for (let from = 0; from < keys.length; from += atOnce) {
      const values = keys.slice(from, from + atOnce);
      const lists = await this.#send({ kind: "values", values });
      if (lists === undefined) return false;
      const least = lists.reduce((sum, list) => sum + boundOf(list, this.max), 0);
      for (const key of values) {
        if (this.#take(key, lists, values.length === 1)) continue;
        const shown = lists.reduce((sum, list) => sum + (countIn(list, key) ?? 0), 0);
        this.#atMost.set(key, Math.min(this.atMost(key), shown + least));
      }
    }
    return true;
  }

  /**
   * Learns values in a range. @returns those that it met, and how many documents any other one has at most; undefined where the part could not
   * be asked
   */
  async learn(
    range: Range,
  ): Promise<{ readonly seen: readonly string[]; readonly atMost: number } | undefined> {
    if (this.isComplete) return { seen: [], atMost: 0 };
    const lists = await this.#send({ kind: "range", ...range });
    if (lists === undefined) return undefined;
    const atMost = lists.reduce((sum, list) => sum + boundOf(list, this.max), 0);
    const seen = this.#takeRange(range, lists);
    this.#ranges.push({ range, atMost });
    return { seen, atMost };
  }

  /** @returns whether the value's count follows from the lists, which hold all documents that have it */
  #take(key: string, lists: readonly (readonly FacetHit[])[], alone: boolean): boolean {
    let sum: FacetHit | undefined;
    for (const list of lists) {
      const hit = list.find(({ value }) => normalizeFacet(value) === key);
      // Documents narrowed to one value all have it, so that none has more: cut off, it is as frequent as the last.
      const count = hit?.count ?? (list.length < this.max ? 0 : alone ? boundOf(list, this.max) : undefined);
      if (count === undefined) return false;
      if (count > 0) sum = { value: sum?.value ?? hit?.value ?? key, count: (sum?.count ?? 0) + count };
    }
    if (sum === undefined) this.#absent.add(key);
    else this.counts.set(key, sum);
    return true;
  }

  /** Takes over the values in a range, all of whose documents were counted. @returns them */
  #takeRange(range: Range, lists: readonly (readonly FacetHit[])[]): string[] {
    const seen = new Set<string>();
    for (const list of lists) {
      for (const { value } of list) {
        const key = normalizeFacet(value);
        if (isInside(key, range)) seen.add(key);
      }
    }
    for (const key of seen) this.#take(key, lists, false);
    return [...seen];
  }

  async #send(restriction: FacetRestriction): ReturnType<AskFacetPart> {
    if (this.asksLeft <= 0) return undefined;
    this.asksLeft--;
    return this.ask(this.at, restriction);
  }
}

function countIn(list: readonly FacetHit[], key: string): number | undefined {
  return list.find(({ value }) => normalizeFacet(value) === key)?.count;
}

type Range = { readonly after: string | null; readonly upTo: string | null };

function isInside(key: string, { after, upTo }: Range): boolean {
  return (after === null || compareUtf8(key, after) > 0) && (upTo === null || compareUtf8(key, upTo) <= 0);
}

/** A range in two at the middle of the values met in it; undefined where they do not tell where. */
function split(range: Range, keys: readonly string[]): Range[] | undefined {
  const sorted = [...keys].sort(compareUtf8);
  const middle = sorted[Math.max(0, Math.floor(sorted.length / 2) - 1)];
  if (middle === undefined || middle === range.upTo) return undefined;
  return [
    { after: range.after, upTo: middle },
    { after: middle, upTo: range.upTo },
  ];
}

function boundOf(list: readonly FacetHit[], max: number): number {
  return list.length < max
    ? 0
    : list.reduce((least, { count }) => Math.min(least, count), Number.POSITIVE_INFINITY);
}
