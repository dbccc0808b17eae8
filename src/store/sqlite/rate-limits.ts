import type { Clock } from "../../runtime/world.js";
import type { ExpiringTable } from "../expiring-table.js";
import type { RateLimitSource } from "../ids.js";
import {
  addLoginFailure,
  checkRule,
  countLoginAttempt,
  countRequest,
  forgottenAt,
  type LoginFailures,
  type WindowCounter,
} from "../rate-limit-rules.js";
import type {
  FencingToken,
  LoginDecision,
  RateLimitDecision,
  RateLimitRule,
  RateLimits,
} from "../task-store.js";
import type { Connection } from "./connection.js";

interface CounterRecord {
  bucket: string;
  source: string;
  used: number;
  expires_at: number;
}

interface FailuresRecord {
  source: string;
  failures: number;
  locked_until: number;
  expires_at: number;
}

/** Ended rows that a row's first write takes away with it, so that sources that come once do not pile up. */
const cleanedByAWrite = 4;

/** Rate limits on SQLite. */
export class SqliteRateLimits implements RateLimits, ExpiringTable {
  readonly #fast: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #selectCounter;
  readonly #upsertCounter;
  readonly #deleteCounter;
  readonly #pruneCounters;
  readonly #selectFailures;
  readonly #upsertFailures;
  readonly #deleteFailures;
  readonly #pruneFailures;

  constructor(fast: Connection, clock: Pick<Clock, "now">) {
    this.#fast = fast;
    this.#clock = clock;
    this.#selectCounter = fast.prepare<[string, string], CounterRecord>(
      "SELECT * FROM rate_limits WHERE bucket = ? AND source = ?",
    );
    this.#upsertCounter = fast.prepare<[CounterRecord]>(
      `INSERT INTO rate_limits (bucket, source, used, expires_at) VALUES (:bucket, :source, :used, :expires_at)
       ON CONFLICT (bucket, source) DO UPDATE SET used = excluded.used, expires_at = excluded.expires_at`,
    );
    this.#deleteCounter = fast.prepare<[string, string]>(
      "DELETE FROM rate_limits WHERE bucket = ? AND source = ?",
    );
    this.#pruneCounters = fast.prepare<[number, number]>(
      `DELETE FROM rate_limits WHERE (bucket, source) IN
         (SELECT bucket, source FROM rate_limits WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    );
    this.#selectFailures = fast.prepare<[string], FailuresRecord>(
      "SELECT * FROM login_failures WHERE source = ?",
    );
    this.#upsertFailures = fast.prepare<[FailuresRecord]>(
      `INSERT INTO login_failures (source, failures, locked_until, expires_at)
       VALUES (:source, :failures, :locked_until, :expires_at)
       ON CONFLICT (source) DO UPDATE SET failures = excluded.failures,
         locked_until = excluded.locked_until, expires_at = excluded.expires_at`,
    );
    this.#deleteFailures = fast.prepare<[string]>("DELETE FROM login_failures WHERE source = ?");
    this.#pruneFailures = fast.prepare<[number, number]>(
      `DELETE FROM login_failures WHERE source IN
         (SELECT source FROM login_failures WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    );
  }

  async countSearchUi(source: RateLimitSource, rule: RateLimitRule): Promise<RateLimitDecision> {
    checkRule(rule);
    return this.#fast.write("count a request", () => {
      const now = this.#clock.now();
      const { decision, counter } = countRequest(this.#counter("searchui", source), rule, now);
      this.#store("searchui", source, counter, now);
      return decision;
    });
  }

  async countLogin(source: RateLimitSource): Promise<LoginDecision> {
    return this.#fast.write("count an attempt to log in", () => {
      const now = this.#clock.now();
      const { decision, counter } = countLoginAttempt(
        this.#counter("adminlogin", source),
        this.#failures(source),
        now,
      );
      this.#store("adminlogin", source, counter, now);
      return decision;
    });
  }

  async loginFailed(source: RateLimitSource): Promise<number> {
    return this.#fast.write("record a failure to log in", () => {
      const now = this.#clock.now();
      const next = addLoginFailure(this.#failures(source), now);
      const { failures, lockedUntil } = next;
      if (failures === 1) this.#pruneFailures.run(now, cleanedByAWrite);
      this.#upsertFailures.run({
        source,
        failures,
        locked_until: lockedUntil,
        expires_at: forgottenAt(next),
      });
      return lockedUntil - now;
    });
  }

  async loginSucceeded(source: RateLimitSource): Promise<void> {
    this.#fast.write("record a login", () => {
      this.#deleteCounter.run("adminlogin", source);
      this.#deleteFailures.run(source);
    });
  }

  async pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#fast.fencedWrite("prune counters of rate limits", fence, () => {
      const now = this.#clock.now();
      const counters = this.#pruneCounters.run(now, limit).changes;
      if (counters === limit) return counters;
      return counters + this.#pruneFailures.run(now, limit - counters).changes;
    });
  }

  #counter(bucket: string, source: string): WindowCounter | undefined {
    const record = this.#selectCounter.get(bucket, source);
    return record === undefined ? undefined : { used: record.used, expiresAt: record.expires_at };
  }

  #failures(source: string): LoginFailures | undefined {
    const record = this.#selectFailures.get(source);
    return record === undefined ? undefined : { failures: record.failures, lockedUntil: record.locked_until };
  }

  #store(bucket: string, source: string, counter: WindowCounter | undefined, now: number): void {
    if (counter === undefined) return;
    if (counter.used === 1) this.#pruneCounters.run(now, cleanedByAWrite);
    this.#upsertCounter.run({ bucket, source, used: counter.used, expires_at: counter.expiresAt });
  }
}
