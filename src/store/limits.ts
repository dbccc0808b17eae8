import { InvalidArgumentError } from "./errors.js";
import { hasUnpairedSurrogate } from "./ids.js";

/** Entries that one call takes at most. */
export const maxBatch = 10_000;
/** Client tasks, or updates of node tasks, that one call changes at most: the store does it in one step. */
export const maxTaskBatch = 1_000;
/** The longest page of tasks, as in Meilisearch's API. */
export const maxTaskPage = 1_000_000;
/** Characters of one stored text (details, metadata, workflow state, parameters of a job). */
export const maxTextLength = 16 * 1024 * 1024;
/** Characters of a name. */
const maxNameLength = 512;
/** The longest life of a row that ends by itself: ten years, in milliseconds. */
export const maxTtlMs = 3_653 * 86_400_000;

/** Refuses calls with more than `maxBatch` entries. */
export function checkBatch(entries: readonly unknown[], what: string): void {
  if (entries.length > maxBatch) {
    throw new InvalidArgumentError(
      `A call takes at most ${maxBatch} ${what}, not ${entries.length}; split it into several.`,
    );
  }
}

/** Refuses calls that would change more than `maxTaskBatch` tasks in one step. */
export function checkTaskBatch(entries: readonly unknown[], what: string): void {
  if (entries.length > maxTaskBatch) {
    throw new InvalidArgumentError(
      `A call takes at most ${maxTaskBatch} ${what}, not ${entries.length}; split it into several.`,
    );
  }
}

/** Refuses what is not an integer from `min` to `max`. */
export function checkInteger(value: number, min: number, max: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new InvalidArgumentError(`${what} is an integer from ${min} to ${max}, not ${value}.`);
  }
}

/** Refuses times that are not whole milliseconds. */
export function checkTime(value: number | null | undefined, what: string): void {
  if (value !== null && value !== undefined && !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`${what} is a time in whole milliseconds, not ${value}.`);
  }
}

/** Refuses texts longer than `maxTextLength`, and those that UTF-8 cannot hold. */
export function checkText(value: string | null, what: string): void {
  if (value === null) return;
  if (value.length > maxTextLength) {
    throw new InvalidArgumentError(
      `${what} has at most ${maxTextLength} characters, not ${value.length}; shorten it before storing it.`,
    );
  }
  if (hasUnpairedSurrogate(value)) {
    throw new InvalidArgumentError(`${what} is text that UTF-8 can hold; it has half of a surrogate pair.`);
  }
}

/** Refuses what cannot name something, such as a holder or a type: 1 to 512 characters, as an id. */
export function checkName(value: string, what: string): void {
  if (value.length === 0 || value.length > maxNameLength) {
    throw new InvalidArgumentError(`${what} has 1 to ${maxNameLength} characters, not ${value.length}.`);
  }
  checkText(value, what);
}

/** Refuses durations that are not whole milliseconds from 1 to `maxTtlMs`. */
export function checkTtl(ttlMs: number, what: string): void {
  checkInteger(ttlMs, 1, maxTtlMs, `${what} in milliseconds`);
}

/** The number of rows of one page or one batch, from 1 to `maxBatch`. */
export function checkedLimit(limit: number | undefined, otherwise: number): number {
  const checked = limit ?? otherwise;
  checkInteger(checked, 1, maxBatch, "A limit");
  return checked;
}

/** How many rows of what grows by itself a store keeps (invariant 12). */
export interface StoreLimits {
  /** Sessions of clients; 100,000 unless given. */
  readonly sessions: number;
  /** Idempotency keys; 1,000,000 unless given. */
  readonly idempotencyKeys: number;
  /** Former targets of each alias; 10 unless given, 0 for none. */
  readonly aliasHistory: number;
  /** Runs of each canary; 100 unless given. */
  readonly canaryRuns: number;
  /** Bytes of the events that wait for one sink; 1 GiB unless given. */
  readonly cdcOverflowBytes: number;
  /** Sessions of the admin interface; 10,000 unless given. */
  readonly adminSessions: number;
}

/** See {@link StoreLimits}. */
export const defaultStoreLimits: StoreLimits = {
  sessions: 100_000,
  idempotencyKeys: 1_000_000,
  aliasHistory: 10,
  canaryRuns: 100,
  cdcOverflowBytes: 1_073_741_824,
  adminSessions: 10_000,
};

/** The limits of a store: those given, the others as they are by default. Refuses what is not an integer above 0. */
export function resolveLimits(given: Partial<StoreLimits> = {}): StoreLimits {
  const limits = { ...defaultStoreLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    checkInteger(
      value,
      name === "aliasHistory" ? 0 : 1,
      Number.MAX_SAFE_INTEGER,
      `The store's limit ${name}`,
    );
  }
  return limits;
}
