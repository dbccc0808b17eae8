/** The order in which one key's writes were executed, searched for in what clients saw. */
import { grouped } from "../grouped.js";

/** A write to one key. */
export interface OrderedWrite<State> {
  /** For messages, and to tell writes apart. */
  readonly id: number;
  readonly start: number;
  /** By when it stood in the order: whatever starts later comes after it. Infinity where that is not known. */
  readonly orderedBy: number;
  /** By when its effect had to be visible to every read that starts later; Infinity where it never had to be. */
  readonly visibleBy: number;
  /** Whether it may never have been executed. */
  readonly optional: boolean;
  apply(state: State): State;
}

/** What one read found of the key; it may have been executed at any replica that was right at any time of the read. */
export interface OrderedRead {
  readonly start: number;
  readonly end: number;
  /** The text of the state. */
  readonly value: string;
}

/** The key before its first write, and how states are told apart. */
export interface OrderedKey<State> {
  readonly initial: State;
  text(state: State): string;
  /** Whether no other point of any order has this state, so that its reads are explained here or nowhere. */
  once(state: State): boolean;
}

/** An order that explains every read; none, with the longest that could be found; or too many to try. */
export type OrderVerdict =
  | { readonly kind: "legal"; readonly order: readonly number[] }
  | { readonly kind: "illegal"; readonly order: readonly number[]; readonly unexplained: readonly string[] }
  | { readonly kind: "undecided" };

/** Positions that are looked at before the search is given up. */
const MAX_POSITIONS = 300_000;

/**
 * Searches for an order of the writes in which none stands before one that was ordered before it started, and every
 * read finds its value at a point of that order: behind every write that had to be visible when the read began, before
 * every write that started after the read had ended. Between the two any point will do, and two reads need not agree:
 * while a write's task runs, one replica shows it and another does not.
 */
export function findWriteOrder<State>(
  writes: readonly OrderedWrite<State>[],
  reads: readonly OrderedRead[],
  key: OrderedKey<State>,
): OrderVerdict {
  return new OrderSearch(writes, reads, key).run();
}

/** A beginning of an order, and what it leaves to explain. */
class Position<State> {
  constructor(
    readonly state: State,
    readonly value: string,
    /** Placed writes, by their position in order of start. */
    readonly placed: ReadonlySet<number>,
    /** Reads that no point has explained yet, by their position in order of end. */
    readonly open: readonly number[],
    readonly last: number | undefined,
    readonly before: Position<State> | undefined,
  ) {}
}

class OrderSearch<State> {
  readonly #writes: readonly OrderedWrite<State>[];
  readonly #reads: readonly OrderedRead[];
  readonly #key: OrderedKey<State>;
  readonly #seen = new Set<string>();

  constructor(writes: readonly OrderedWrite<State>[], reads: readonly OrderedRead[], key: OrderedKey<State>) {
    this.#writes = writes.toSorted((a, b) => a.start - b.start);
    this.#reads = withoutImplied(reads).toSorted((a, b) => a.end - b.end);
    this.#key = key;
  }

  run(): OrderVerdict {
    const start = this.#enter(undefined, this.#key.initial, new Set(), undefined);
    const stack = start === undefined ? [] : [start];
    let furthest: Position<State> | undefined = start;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (this.#complete(at)) return { kind: "legal", order: this.#orderOf(at) };
      if (this.#seen.size > MAX_POSITIONS) return { kind: "undecided" };
      if (at.placed.size >= (furthest?.placed.size ?? 0)) furthest = at;
      // The first candidate is tried first, so it is put on the stack last.
      for (const next of this.#candidates(at.placed).reverse()) {
        const write = this.#writes[next];
        if (write === undefined) continue;
        const position = this.#enter(at, write.apply(at.state), new Set(at.placed).add(next), next);
        if (position !== undefined) stack.push(position);
      }
    }
    return {
      kind: "illegal",
      order: furthest === undefined ? [] : this.#orderOf(furthest),
      unexplained: (furthest?.open ?? [...this.#reads.keys()]).slice(0, 3).map((at) => this.#describe(at)),
    };
  }

  #complete(position: Position<State>): boolean {
    return (
      position.open.length === 0 &&
      this.#writes.every(({ optional }, at) => optional || position.placed.has(at))
    );
  }

  /** Writes that may come next, the ones that were ordered first before the others, guesses last. */
  #candidates(placed: ReadonlySet<number>): number[] {
    const open = [...this.#writes.entries()].filter(([at]) => !placed.has(at));
    const bound = Math.min(
      ...open.filter(([, { optional }]) => !optional).map(([, { orderedBy }]) => orderedBy),
    );
    return open
      .filter(([, { start }]) => start <= bound)
      .toSorted(
        ([, a], [, b]) =>
          Number(a.optional) - Number(b.optional) || a.orderedBy - b.orderedBy || a.start - b.start,
      )
      .map(([at]) => at);
  }

  /** The position behind a write; undefined where it leaves a read unexplained for good, or was reached before. */
  #enter(
    before: Position<State> | undefined,
    state: State,
    placed: ReadonlySet<number>,
    last: number | undefined,
  ): Position<State> | undefined {
    // Reads that start later must see a write that is not placed; reads that end earlier cannot see the last one.
    let readableUntil = Number.POSITIVE_INFINITY;
    let readableFrom = Number.NEGATIVE_INFINITY;
    for (const [at, write] of this.#writes.entries()) {
      if (placed.has(at)) readableFrom = Math.max(readableFrom, write.start);
      else if (!write.optional) readableUntil = Math.min(readableUntil, write.visibleBy);
    }
    const value = this.#key.text(state);
    const once = this.#key.once(state);
    const open: number[] = [];
    for (const at of before?.open ?? this.#reads.keys()) {
      const read = this.#reads[at];
      if (read === undefined) continue;
      const explained = read.value === value && read.start <= readableUntil && read.end >= readableFrom;
      if (explained) continue;
      if (read.end < readableFrom || (read.value === value && once)) return undefined;
      open.push(at);
    }
    const key = `${[...placed].sort((a, b) => a - b).join()}|${value}|${open.join()}`;
    if (this.#seen.has(key)) return undefined;
    this.#seen.add(key);
    return new Position(state, value, placed, open, last, before);
  }

  #orderOf(position: Position<State>): number[] {
    const order: number[] = [];
    for (let at: Position<State> | undefined = position; at !== undefined; at = at.before) {
      const write = at.last === undefined ? undefined : this.#writes[at.last];
      if (write !== undefined) order.push(write.id);
    }
    return order.reverse();
  }

  #describe(at: number): string {
    const read = this.#reads[at];
    return read === undefined ? "?" : `${read.value} in [${read.start.toFixed(1)}, ${read.end.toFixed(1)}]`;
  }
}

/** Leaves out a read whose time holds that of another one with its value: what explains the shorter one explains it. */
function withoutImplied(reads: readonly OrderedRead[]): OrderedRead[] {
  const kept: OrderedRead[] = [];
  for (const group of grouped(reads, ({ value }) => value).values()) {
    // By end, the later start first among equals: a read is implied where a kept one starts no earlier and ends no later.
    let latestStart = Number.NEGATIVE_INFINITY;
    for (const read of group.toSorted((a, b) => a.end - b.end || b.start - a.start)) {
      if (read.start <= latestStart) continue;
      latestStart = read.start;
      kept.push(read);
    }
  }
  return kept;
}
