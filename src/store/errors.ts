/**
 * What a failed call did to the store. `certainly-aborted`: nothing of it was stored, so that it can be
 * repeated as it was. `maybe-executed`: it may have been stored as a whole (never in part); read before
 * repeating anything that is not idempotent.
 */
export type StoreOutcome = "certainly-aborted" | "maybe-executed";

/** Distinguishes store errors where `instanceof` does not reach. */
export type StoreErrorCode =
  | "fenced"
  | "conflict"
  | "too_new"
  | "altered"
  | "foreign"
  | "unsuitable"
  | "half_imported"
  | "corrupt"
  | "unavailable"
  | "invalid_argument"
  | "closed";

/** Any failure of a task store. The message says what failed, where, and what to do. */
export abstract class StoreError extends Error {
  abstract readonly code: StoreErrorCode;
  readonly outcome: StoreOutcome;

  constructor(message: string, outcome: StoreOutcome, options?: ErrorOptions) {
    super(message, options);
    this.outcome = outcome;
  }
}

/**
 * The write came from a leader that is no longer the leader (invariant 3). Nothing was stored. The caller
 * must stop acting as leader and may ask for the lease again.
 */
export class FencedError extends StoreError {
  override readonly name = "FencedError";
  override readonly code = "fenced";
  /** The number that the refused write carried. */
  readonly term: number;
  /** The number that the store asks for; 0 where nobody ever held the lease. */
  readonly currentTerm: number;

  constructor(scope: string, holder: string, term: number, current: { term: number; holder: string | null }) {
    super(
      `The write of "${holder}" under term ${term} of lease "${scope}" was refused: ${
        current.holder === null
          ? `the lease has no holder (last term ${current.term})`
          : `"${current.holder}" holds it under term ${current.term}`
      }. Stop acting as its holder; acquire the lease again before writing.`,
      "certainly-aborted",
    );
    this.term = term;
    this.currentTerm = current.term;
  }
}

/** A compare-and-set met another value than the expected one. Nothing was stored; load and decide again. */
export class ConflictError extends StoreError {
  override readonly name = "ConflictError";
  override readonly code = "conflict";

  constructor(message: string) {
    super(message, "certainly-aborted");
  }
}

/** The store was written by a newer Miroir. It was left untouched. */
export class StoreTooNewError extends StoreError {
  override readonly name = "StoreTooNewError";
  override readonly code = "too_new";

  constructor(location: string, storeVersion: number, programVersion: number) {
    super(
      `The store ${location} has schema version ${storeVersion}, this program knows versions up to ${programVersion}. ` +
        "It was left untouched. Run the Miroir release that wrote it or a later one, or restore a backup made before that upgrade.",
      "certainly-aborted",
    );
  }
}

/** A migration that the store records is not the one that this program carries. The store was left untouched. */
export class StoreAlteredError extends StoreError {
  override readonly name = "StoreAlteredError";
  override readonly code = "altered";

  constructor(location: string, what: string) {
    super(
      `The store ${location} does not fit this program: ${what}. It was left untouched. ` +
        "Reinstall the unmodified Miroir release that created the store, or restore a backup.",
      "certainly-aborted",
    );
  }
}

/** The location holds something other than a Miroir store. It was left untouched. */
export class StoreForeignError extends StoreError {
  override readonly name = "StoreForeignError";
  override readonly code = "foreign";

  constructor(location: string, what: string, options?: ErrorOptions) {
    super(
      `${location} is not a Miroir store: ${what}. It was left untouched. Point the store at another path.`,
      "certainly-aborted",
      options,
    );
  }
}

/** The server is of a kind, or set up in a way, that would lose rows of a store. The store was left untouched. */
export class StoreUnsuitableError extends StoreError {
  override readonly name = "StoreUnsuitableError";
  override readonly code = "unsuitable";

  /** `what` is a whole sentence and says what to do. */
  constructor(location: string, what: string) {
    super(`${location} cannot keep a store: ${what}`, "certainly-aborted");
  }
}

/** An import into the store did not finish. What it holds is a part of another store, of use to nobody. */
export class StoreHalfImportedError extends StoreError {
  override readonly name = "StoreHalfImportedError";
  override readonly code = "half_imported";

  constructor(location: string, howToDelete: string) {
    super(
      `An import into the store ${location} began and did not finish. If it is not running still, delete the store (${howToDelete}) and import again.`,
      "certainly-aborted",
    );
  }
}

/** A stored value cannot be read: damage, or a row written by something else. */
export class StoreCorruptError extends StoreError {
  override readonly name = "StoreCorruptError";
  override readonly code = "corrupt";

  /** `outcome` is `certainly-aborted` unless a write met the damage after its first change. */
  constructor(what: string, options: ErrorOptions & { readonly outcome?: StoreOutcome } = {}) {
    const { outcome = "certainly-aborted", ...rest } = options;
    super(
      `The store holds damaged data: ${what}. Stop Miroir, keep a copy of the files, and restore a backup or start with an empty store.`,
      outcome,
      rest,
    );
  }
}

/** The backend did not do its part: busy, full, read-only, unreachable. Repeating later can succeed. */
export class StoreUnavailableError extends StoreError {
  override readonly name = "StoreUnavailableError";
  override readonly code = "unavailable";
}

/** The caller passed something that no store would accept. Nothing was stored. */
export class InvalidArgumentError extends StoreError {
  override readonly name = "InvalidArgumentError";
  override readonly code = "invalid_argument";

  constructor(message: string) {
    super(message, "certainly-aborted");
  }
}

/** The store was used after `close`. */
export class StoreClosedError extends StoreError {
  override readonly name = "StoreClosedError";
  override readonly code = "closed";

  constructor() {
    super("The task store is closed; open a new one.", "certainly-aborted");
  }
}
