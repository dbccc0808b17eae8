import { InvalidArgumentError } from "./errors.js";
import { checkInteger } from "./limits.js";
import {
  type LoginDecision,
  loginBackoffMs,
  loginFailureMemoryMs,
  loginRule,
  maxLoginBackoffMs,
  type RateLimitDecision,
  type RateLimitRule,
} from "./tables/rate-limits.js";

/** Requests of one source in the window that its first one began. */
export interface WindowCounter {
  readonly used: number;
  /** When the window ends, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/** Failures to log in, one after the other. */
export interface LoginFailures {
  readonly failures: number;
  /** When the lock-out ends or ended; when the last failure was, where it locked nobody out. */
  readonly lockedUntil: number;
}

/** The lock-outs of the first failure, the second and so on; further ones are as long as the last. */
export const loginBackoffs: readonly number[] = listBackoffs();

/** Refuses limits and windows out of range. */
export function checkRule({ limit, windowMs }: RateLimitRule): void {
  checkInteger(limit, 1, 1_000_000, "A rate limit");
  checkInteger(windowMs, 1, 86_400_000, "A rate limit's window in milliseconds");
}

/** Decides on a request; `counter` is what to store, undefined for no change. */
export function countRequest(
  stored: WindowCounter | undefined,
  rule: RateLimitRule,
  now: number,
): { readonly decision: RateLimitDecision; readonly counter?: WindowCounter } {
  const current =
    stored !== undefined && stored.expiresAt > now ? stored : { used: 0, expiresAt: now + rule.windowMs };
  if (current.used >= rule.limit) {
    return { decision: { allowed: false, retryAfterMs: current.expiresAt - now } };
  }
  const counter = { ...current, used: current.used + 1 };
  return { decision: { allowed: true, remaining: rule.limit - counter.used }, counter };
}

/** Decides on an attempt to log in; `counter` as for {@link countRequest}. */
export function countLoginAttempt(
  stored: WindowCounter | undefined,
  failures: LoginFailures | undefined,
  now: number,
): { readonly decision: LoginDecision; readonly counter?: WindowCounter } {
  if (failures !== undefined && failures.lockedUntil > now) {
    const retryAfterMs = failures.lockedUntil - now;
    return { decision: { allowed: false, reason: "backoff", retryAfterMs } };
  }
  const { decision, counter } = countRequest(stored, loginRule, now);
  if (!decision.allowed) return { decision: { ...decision, reason: "rate" } };
  return { decision: { allowed: true }, ...(counter === undefined ? {} : { counter }) };
}

/** The failures after one more; the same where the source is locked out. */
export function addLoginFailure(stored: LoginFailures | undefined, now: number): LoginFailures {
  if (stored === undefined || forgottenAt(stored) <= now) return lockOut(1, now);
  return stored.lockedUntil > now ? stored : lockOut(stored.failures + 1, now);
}

/** When failures no longer count. */
export function forgottenAt({ lockedUntil }: LoginFailures): number {
  return lockedUntil + loginFailureMemoryMs;
}

function lockOut(failures: number, now: number): LoginFailures {
  return { failures, lockedUntil: now + loginBackoffMs(failures) };
}

function listBackoffs(): number[] {
  const backoffs: number[] = [];
  for (let failures = 1; backoffs.at(-1) !== maxLoginBackoffMs; failures++) {
    if (failures > 1_000) throw new InvalidArgumentError("The back-off never reaches its longest.");
    backoffs.push(loginBackoffMs(failures));
  }
  return backoffs;
}
