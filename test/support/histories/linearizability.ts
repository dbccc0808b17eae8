/** When an operation took place: at one point from `start` to `end`; with an `end` of Infinity, perhaps never. */
export interface Timed {
  readonly start: number;
  readonly end: number;
}

/** An object as one caller at a time sees it. */
export interface SequentialObject<State, Operation> {
  readonly initial: State;
  /** The state after the operation; undefined where it cannot have had its result in this state. */
  apply(state: State, operation: Operation): State | undefined;
  /** The same text for the same state, and for no other. */
  key(state: State): string;
}

/** An order that explains a history, or the longest that could be found and what could not follow it. */
export type Verdict<Operation> =
  | { readonly linearizable: true; readonly order: readonly Operation[] }
  | {
      readonly linearizable: false;
      readonly order: readonly Operation[];
      readonly next: readonly Operation[];
    };

/** Positions that are looked at before the search is given up. */
const maxPositions = 2_000_000;

/** Where the search stands: what was put in order so far, and what that leaves. */
interface Position<State, Operation> {
  readonly state: State;
  /** All returned operations before this one are in order. */
  readonly first: number;
  /** Returned ones behind `first` that are in order too. */
  readonly ahead: ReadonlySet<number>;
  /** Those that never returned, but were put in order. */
  readonly guessed: ReadonlySet<number>;
  readonly last: Operation | undefined;
  readonly moves: Iterator<Position<State, Operation>>;
}

/**
 * Searches for an order of the operations in which each has its place between its start and its end and the object
 * answers as recorded, by depth first with memory (Wing and Gong, with the cache of Lowe). Throws where the history is
 * too entangled to decide.
 */
export function linearize<State, Operation extends Timed>(
  history: readonly Operation[],
  object: SequentialObject<State, Operation>,
): Verdict<Operation> {
  const byStart = history.toSorted((a, b) => a.start - b.start);
  const returned = byStart.filter(({ end }) => end !== Number.POSITIVE_INFINITY);
  const pending = byStart.filter(({ end }) => end === Number.POSITIVE_INFINITY);
  const seen = new Set<string>();

  const candidates = (first: number, ahead: ReadonlySet<number>, guessed: ReadonlySet<number>) => {
    // Whatever starts after something else ended cannot come before it.
    let bound = Number.POSITIVE_INFINITY;
    const open: number[] = [];
    for (const [offset, { start, end }] of returned.slice(first, first + 1_000).entries()) {
      if (start > bound) break;
      if (ahead.has(first + offset)) continue;
      open.push(first + offset);
      bound = Math.min(bound, end);
    }
    const guesses = [...pending.keys()].filter((n) => !guessed.has(n) && (pending[n]?.start ?? 0) <= bound);
    return { open, guesses };
  };

  function* moves(
    state: State,
    first: number,
    ahead: ReadonlySet<number>,
    guessed: ReadonlySet<number>,
  ): Iterator<Position<State, Operation>> {
    const { open, guesses } = candidates(first, ahead, guessed);
    for (const index of open) {
      const next = attempt(state, returned[index], first, new Set(ahead).add(index), guessed);
      if (next !== undefined) yield next;
    }
    for (const index of guesses) {
      const next = attempt(state, pending[index], first, ahead, new Set(guessed).add(index));
      if (next !== undefined) yield next;
    }
  }

  function attempt(
    state: State,
    operation: Operation | undefined,
    first: number,
    ahead: ReadonlySet<number>,
    guessed: ReadonlySet<number>,
  ): Position<State, Operation> | undefined {
    const after = operation && object.apply(state, operation);
    return after === undefined ? undefined : enter(after, first, ahead, guessed, operation);
  }

  function enter(
    state: State,
    from: number,
    done: ReadonlySet<number>,
    guessed: ReadonlySet<number>,
    last: Operation | undefined,
  ): Position<State, Operation> | undefined {
    let first = from;
    const ahead = new Set(done);
    while (ahead.delete(first)) first++;
    const sorted = (set: ReadonlySet<number>) => [...set].sort((a, b) => a - b).join();
    const key = `${first}|${sorted(ahead)}|${sorted(guessed)}|${object.key(state)}`;
    if (seen.has(key)) return undefined;
    seen.add(key);
    if (seen.size > maxPositions)
      throw new Error(`the history cannot be decided in ${maxPositions} positions`);
    return { state, first, ahead, guessed, last, moves: moves(state, first, ahead, guessed) };
  }

  const start = enter(object.initial, 0, new Set(), new Set(), undefined);
  const path = start === undefined ? [] : [start];
  const order = () => path.flatMap(({ last }) => (last === undefined ? [] : [last]));
  let furthest = { order: order(), next: [] as readonly Operation[] };
  for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
    if (at.first === returned.length) return { linearizable: true, order: order() };
    const move = at.moves.next();
    if (move.done !== true) {
      path.push(move.value);
      continue;
    }
    if (path.length - 1 >= furthest.order.length) {
      const { open } = candidates(at.first, at.ahead, at.guessed);
      furthest = { order: order(), next: open.flatMap((index) => returned[index] ?? []) };
    }
    path.pop();
  }
  return { linearizable: false, ...furthest };
}
