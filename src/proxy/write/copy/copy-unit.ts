/** A replica of a shard, and the one that it is made equal to. */
export interface CopyUnit {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
}

/** What is known of the documents of a unit. */
export interface UnitState {
  readonly unit: CopyUnit;
  /** By key: the place of the last write that may have touched it; undefined until the documents have been listed. */
  dirty: Map<string, number> | undefined;
  /** The place at which they were listed. */
  listedAt: number;
  /** By dirty key: the place at which it was found to differ, where that was after the listing. */
  readonly foundAt: Map<string, number>;
  /** The place of the last write that may have touched every key. */
  swept: number;
  /** Keys on their way to the target. */
  readonly flying: Set<string>;
  /** Keys of writes that one side alone may have run by the time of the next listing: they may be in no listing. */
  readonly missed: Set<string>;
  /** How often a failed write may have touched any key. */
  spoils: number;
}

/** A unit of which nothing is known yet. */
export function unlistedUnit(unit: CopyUnit): UnitState {
  return {
    unit,
    dirty: undefined,
    listedAt: 0,
    foundAt: new Map(),
    swept: 0,
    flying: new Set(),
    missed: new Set(),
    spoils: 0,
  };
}

/** A write touches a document. To the end of the list: what is written often is looked at last. */
export function touchKey({ dirty }: UnitState, key: string, sequence: number): void {
  if (dirty?.delete(key) === true) dirty.set(key, sequence);
}

/** A document may differ since `last`, the place of the last write. */
export function soilKey({ dirty, missed, foundAt }: UnitState, key: string, last: number): void {
  if (dirty === undefined) {
    missed.add(key);
    return;
  }
  dirty.set(key, last);
  foundAt.set(key, last);
}

/** Any document may differ: they are listed again, with those that a listing may not show yet. */
export function relistUnit(state: UnitState): void {
  for (const key of state.foundAt.keys()) state.missed.add(key);
  state.dirty = undefined;
  state.spoils++;
}

/** A document needs no more looking at. */
export function forgetKey(state: UnitState | undefined, key: string): void {
  state?.dirty?.delete(key);
  state?.foundAt.delete(key);
}
