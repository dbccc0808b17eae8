import type { RateLimitSource } from "../ids.js";

/** A limit of so many requests in any window that begins with a source's first. */
export interface RateLimitRule {
  /** 1 to 1,000,000. */
  readonly limit: number;
  /** 1 to 86,400,000 (a day). */
  readonly windowMs: number;
}

/** Whether a request may pass. */
export type RateLimitDecision =
  | { readonly allowed: true; readonly remaining: number }
  | { readonly allowed: false; readonly retryAfterMs: number };

/** Whether a login may be tried. */
export type LoginDecision =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      /** Too many attempts in a minute, or too many failures one after the other. */
      readonly reason: "rate" | "backoff";
      readonly retryAfterMs: number;
    };

/** Attempts to log in that a source has in a minute. */
export const loginRule: RateLimitRule = { limit: 10, windowMs: 60_000 };
/** Failures one after the other that cost nothing yet. */
export const freeLoginFailures = 5;
/** The longest back-off: a day. */
export const maxLoginBackoffMs = 24 * 3_600_000;

/**
 * Milliseconds for which a source is locked out after so many failures in a row: nothing for the first four, 10
 * minutes with the fifth, doubling up to a day.
 */
export function loginBackoffMs(failures: number): number {
  if (failures < freeLoginFailures) return 0;
  return Math.min(600_000 * 2 ** Math.min(failures - freeLoginFailures, 20), maxLoginBackoffMs);
}

/** How long failures to log in are remembered after the lock-out, or the last failure without one, ended: a day. */
export const loginFailureMemoryMs = 24 * 3_600_000;

/**
 * Limits that hold over all processes together, by the store's clock. Counters go by themselves when their window
 * ends. A window that has begun ends when it was to end, also where a later call names another rule; that call's
 * limit holds for it.
 */
export interface RateLimits {
  /** Counts a search-page request of a source, unless it is over the limit. */
  countSearchUi(source: RateLimitSource, rule: RateLimitRule): Promise<RateLimitDecision>;
  /**
   * Counts an attempt to log in ({@link loginRule}), unless the source is locked out or over the limit; an attempt
   * that is refused costs nothing. Ask before checking the key.
   */
  countLogin(source: RateLimitSource): Promise<LoginDecision>;
  /**
   * Records a refused key; returns for how many milliseconds the source is locked out now ({@link loginBackoffMs}),
   * 0 for not at all. A failure of a source that is locked out already (an attempt that was under way) does not count.
   * Failures are forgotten {@link loginFailureMemoryMs} after the lock-out, or after the last one without.
   */
  loginFailed(source: RateLimitSource): Promise<number>;
  /** Records a success: failures and attempts are forgotten. */
  loginSucceeded(source: RateLimitSource): Promise<void>;
}
