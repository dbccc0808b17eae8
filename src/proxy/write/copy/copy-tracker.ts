import {
  type CopyUnit,
  forgetKey,
  relistUnit,
  soilKey,
  touchKey,
  type UnitState,
  unlistedUnit,
} from "./copy-unit.js";
import { type FinishedWrite, LaneWrites, type Touch } from "./lane-writes.js";

/** Documents to be looked at on both sides, and copied where they differ. */
export interface CopyRound {
  readonly from: string;
  readonly to: string;
  readonly keys: readonly string[];
  /** The place in the lane behind which a write makes what was read too old. */
  readonly mark: number;
}

/** Faults of the rule that tests plant, to see that they are found. */
export type TrackerFault =
  /** Documents are read although the source has not finished the writes that touch them. */
  | "reads-before-finished"
  /** What was read is sent although a write has touched it since. */
  | "skips-recheck"
  /** Failed tasks touch nothing. */
  | "ignores-failures"
  /** Writes without keys touch nothing. */
  | "ignores-keyless";

/** What a {@link CopyTracker} works with. */
export interface CopyTrackerOptions {
  /** The shard in which a key lives. */
  readonly shardOf: (key: string) => number;
  /** Keys of unfinished writes that are remembered. */
  readonly maxWriteKeys?: number;
  readonly faults?: ReadonlySet<TrackerFault>;
}

/** The permission to list the documents of a unit. */
export interface Listing {
  readonly unit: CopyUnit;
  /** Tells listings of a unit apart that failed writes came between. */
  readonly turn: number;
}

/** A task of a target that brings documents there. */
interface Flight {
  readonly keys: ReadonlyMap<UnitState, readonly string[]>;
}

/**
 * Decides which documents may be copied while an index goes on being written (design §7). From the moment at which it is told of every
 * write, source and target receive all of them in one order. A document is equal on both sides for good once it was equal, or was
 * overwritten with the source's, at one place of that order. So it is sent only if every write that touched it had finished on the
 * source before it was read, and none was sent since; the caller asks for the latter in the lane. A task that fails makes what it
 * touched dirty again.
 *
 * Pure: neither clock nor network. Holds the keys of listed units that are not known to be equal, and those of unfinished writes.
 */
export class CopyTracker {
  readonly #units: readonly UnitState[];
  readonly #writes: LaneWrites;
  readonly #flights = new Map<string, Map<number, Flight>>();

  constructor(
    units: readonly CopyUnit[],
    private readonly options: CopyTrackerOptions,
  ) {
    this.#writes = new LaneWrites(options.maxWriteKeys);
    this.#units = units.map(unlistedUnit);
  }

  /** What it was made for. */
  get units(): readonly CopyUnit[] {
    return this.#units.map(({ unit }) => unit);
  }

  /** A write is about to be sent. */
  sending(sequence: number, touch: Touch): void {
    const { keys, shards } = this.#writes.begin(sequence, touch);
    for (const state of this.#touched(shards)) {
      if (keys === undefined && !this.#has("ignores-keyless")) state.swept = sequence;
      for (const key of keys ?? []) {
        if (this.options.shardOf(key) === state.unit.shard) touchKey(state, key, sequence);
      }
    }
    // What a target is not told of it has to be brought.
    if (touch.passesBy) this.#spoil({ ...touch, keys }, () => true);
  }

  /**
   * What became of a write.
   *
   * @param tasks by node: its task; none where nobody has the write
   * @param partly some of the nodes that should have it do not
   */
  settled(sequence: number, touch: Touch, tasks: ReadonlyMap<string, number>, partly: boolean): void {
    const involved = new Set(this.#units.flatMap(({ unit }) => [unit.from, unit.to]));
    this.#writes.settle(sequence, new Map([...tasks].filter(([nodeId]) => involved.has(nodeId))));
    if (partly) this.#spoil(touch, () => true);
  }

  /** A node's tasks whose end it has to be told of, in their order. */
  openTasks(nodeId: string): readonly number[] {
    const flights = [...(this.#flights.get(nodeId)?.keys() ?? [])];
    return [...this.#writes.tasksOn(nodeId), ...flights].sort((a, b) => a - b);
  }

  /** Nodes with tasks whose end it has to be told of. */
  nodesWithOpenTasks(): ReadonlySet<string> {
    const flying = [...this.#flights].flatMap(([nodeId, flights]) => (flights.size > 0 ? [nodeId] : []));
    return new Set([...this.#writes.nodes(), ...flying]);
  }

  /** A node is done with a task. */
  finished(nodeId: string, nodeTaskUid: number, succeeded: boolean): void {
    const flight = this.#flights.get(nodeId)?.get(nodeTaskUid);
    const spoilt = !succeeded && !this.#has("ignores-failures");
    if (flight !== undefined) {
      this.#flights.get(nodeId)?.delete(nodeTaskUid);
      for (const [state, keys] of flight.keys) {
        for (const key of keys) {
          state.flying.delete(key);
          if (spoilt) soilKey(state, key, this.#writes.last);
        }
      }
      return;
    }
    const write = this.#writes.finish(nodeId, nodeTaskUid);
    if (write === undefined) return;
    if (spoilt) this.#spoil(write.touch, ({ from, to }) => from === nodeId || to === nodeId);
    else if (succeeded) this.#overwritten(write, nodeId);
  }

  /**
   * Units whose documents have to be listed, of both sides: none of them has documents on their way, or a write in front that may bring any
   * key.
   */
  unlisted(): readonly Listing[] {
    return this.#units.flatMap(({ unit, dirty, flying, swept, spoils }) =>
      dirty === undefined && flying.size === 0 && swept <= this.#horizon(unit)
        ? [{ unit, turn: spoils }]
        : [],
    );
  }

  /**
   * The documents of a unit: what either side holds. Does nothing where a write failed meanwhile that may have touched any key. What is
   * filed under the unit's shard and belongs to another one is looked at there.
   *
   * @returns what belongs to no unit of the target, which so receives no writes of it
   */
  list({ unit, turn }: Listing, keys: Iterable<string>): readonly string[] {
    const state = this.#units.find((candidate) => candidate.unit === unit);
    if (state === undefined || state.spoils !== turn) return [];
    const { last } = this.#writes;
    const states = this.#pairTo(unit.to);
    const dirty = new Map<string, number>();
    const strays: string[] = [];
    for (const key of [...keys, ...state.missed]) {
      const owner = states.get(this.options.shardOf(key));
      if (owner === state) dirty.set(key, last);
      else if (owner === undefined) strays.push(key);
      else soilKey(owner, key, last);
    }
    state.dirty = dirty;
    state.listedAt = last;
    state.foundAt.clear();
    state.missed.clear();
    return strays;
  }

  /**
   * Up to `limit` documents to read now, all of one source and one target; undefined where none may be read.
   *
   * @param isReady whether the target takes more at present
   */
  choose(limit: number, isReady: (unit: CopyUnit) => boolean): CopyRound | undefined {
    const tried = new Set<string>();
    for (const { unit, dirty } of this.#units) {
      const pair = JSON.stringify([unit.from, unit.to]);
      if (dirty === undefined || dirty.size === 0 || tried.has(pair) || !isReady(unit)) continue;
      tried.add(pair);
      const keys = this.#readable(unit, limit);
      if (keys.length > 0) return { from: unit.from, to: unit.to, keys, mark: this.#writes.last };
    }
    return undefined;
  }

  /** Of documents that were read, those that no write has touched since, and that still have to be looked at. */
  stillValid({ from, to, mark }: CopyRound, keys: readonly string[]): readonly string[] {
    const states = this.#pair(from, to);
    const skips = this.#has("skips-recheck");
    return keys.filter((key) => {
      const state = states.get(this.options.shardOf(key));
      const touched = state?.dirty?.get(key);
      if (state === undefined || touched === undefined || state.flying.has(key)) return false;
      return skips || (touched <= mark && state.swept <= mark);
    });
  }

  /** Documents that were found equal on both sides; those touched since stay. */
  equal(round: CopyRound, keys: readonly string[]): void {
    const states = this.#pair(round.from, round.to);
    for (const key of this.stillValid(round, keys)) forgetKey(states.get(this.options.shardOf(key)), key);
  }

  /** Documents that were sent to the target, by one task of it. Only in the lane, of what is {@link stillValid} there. */
  sent({ from, to }: CopyRound, keys: readonly string[], nodeTaskUid: number): void {
    const states = this.#pair(from, to);
    const byState = new Map<UnitState, string[]>();
    for (const key of keys) {
      const state = states.get(this.options.shardOf(key));
      if (state === undefined) continue;
      forgetKey(state, key);
      state.flying.add(key);
      const list = byState.get(state);
      if (list === undefined) byState.set(state, [key]);
      else list.push(key);
    }
    const flights = this.#flights.get(to) ?? new Map<number, Flight>();
    this.#flights.set(to, flights);
    flights.set(nodeTaskUid, { keys: byState });
  }

  /** Tasks on their way on a target. */
  flightsTo(nodeId: string): number {
    return this.#flights.get(nodeId)?.size ?? 0;
  }

  /** Documents that are listed and still have to be looked at, or are on their way. */
  left(): number {
    return this.#units.reduce((sum, { dirty, flying }) => sum + (dirty?.size ?? 0) + flying.size, 0);
  }

  /** Whether every document is equal on both sides, but for writes that both receive. */
  isDone(): boolean {
    return this.#units.every(({ dirty, flying }) => dirty?.size === 0 && flying.size === 0);
  }

  #readable(unit: CopyUnit, limit: number): string[] {
    const { from, to } = unit;
    const horizon = this.#has("reads-before-finished") ? Number.POSITIVE_INFINITY : this.#horizon(unit);
    const keys: string[] = [];
    for (const { dirty, swept, flying } of this.#pair(from, to).values()) {
      if (dirty === undefined || swept > horizon) continue;
      for (const [key, touched] of dirty) {
        if (keys.length >= limit) return keys;
        if (touched <= horizon && !flying.has(key)) keys.push(key);
      }
    }
    return keys;
  }

  /** The place up to which both sides have finished every write: equality counts only where neither has one before it. */
  #horizon({ from, to }: CopyUnit): number {
    return Math.min(this.#writes.horizon(from), this.#writes.horizon(to));
  }

  #pairTo(to: string): ReadonlyMap<number, UnitState> {
    return new Map(
      this.#units.filter(({ unit }) => unit.to === to).map((state) => [state.unit.shard, state]),
    );
  }

  #pair(from: string, to: string): ReadonlyMap<number, UnitState> {
    const states = this.#units.filter(({ unit }) => unit.from === from && unit.to === to);
    return new Map(states.map((state) => [state.unit.shard, state]));
  }

  #touched(shards: Touch["shards"]): readonly UnitState[] {
    if (shards === "all") return this.#units;
    const named = new Set(shards);
    return this.#units.filter(({ unit }) => named.has(unit.shard));
  }

  /** What a write touched may differ: it is looked at again, whole shards where its keys are not known. */
  #spoil(touch: Touch, concerns: (unit: CopyUnit) => boolean): void {
    for (const state of this.#touched(touch.shards)) {
      if (!concerns(state.unit)) continue;
      if (touch.keys === undefined) {
        relistUnit(state);
        continue;
      }
      for (const key of touch.keys) {
        if (this.options.shardOf(key) !== state.unit.shard) continue;
        soilKey(state, key, this.#writes.last);
      }
    }
  }

  /** Documents that both sides have replaced or deleted alike are equal, whatever they were; writes behind that keep them so. */
  #overwritten({ sequence, touch, isOpenOn }: FinishedWrite, nodeId: string): void {
    if (!touch.overwrites || touch.keys === undefined) return;
    for (const state of this.#touched(touch.shards)) {
      const { from, to, shard } = state.unit;
      if ((from !== nodeId && to !== nodeId) || isOpenOn(from) || isOpenOn(to)) continue;
      for (const key of touch.keys) {
        const foundAt = state.foundAt.get(key) ?? state.listedAt;
        if (this.options.shardOf(key) === shard && sequence > foundAt) forgetKey(state, key);
      }
    }
  }

  #has(fault: TrackerFault): boolean {
    return this.options.faults?.has(fault) ?? false;
  }
}
