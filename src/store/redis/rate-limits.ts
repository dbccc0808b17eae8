import { StoreCorruptError } from "../errors.js";
import type { RateLimitSource } from "../ids.js";
import { checkRule, loginBackoffs } from "../rate-limit-rules.js";
import {
  type LoginDecision,
  loginFailureMemoryMs,
  loginRule,
  type RateLimitDecision,
  type RateLimitRule,
  type RateLimits,
} from "../task-store.js";
import type { RedisBackend } from "./commit.js";

/**
 * Rate limits on Redis: a short text a source, counted and decided on in one script. The server deletes it when its
 * window ends, so that nothing has to be pruned.
 */
export class RedisRateLimits implements RateLimits {
  readonly #backend: RedisBackend;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
  }

  async countSearchUi(source: RateLimitSource, rule: RateLimitRule): Promise<RateLimitDecision> {
    checkRule(rule);
    const key = this.#backend.keys.row("rate_limits", "searchui", source);
    const [kind, amount] = await this.#count([key], rule, "count a request");
    return kind === "allowed"
      ? { allowed: true, remaining: amount }
      : { allowed: false, retryAfterMs: amount };
  }

  async countLogin(source: RateLimitSource): Promise<LoginDecision> {
    const [kind, amount] = await this.#count(
      this.#loginKeys(source),
      loginRule,
      "count an attempt to log in",
    );
    if (kind === "allowed") return { allowed: true };
    return { allowed: false, reason: kind, retryAfterMs: amount };
  }

  async loginFailed(source: RateLimitSource): Promise<number> {
    const { connection, now } = this.#backend;
    const [, failures] = this.#loginKeys(source);
    const reply = await connection.run(
      "rate-limit-fail",
      [failures],
      [now(), loginFailureMemoryMs, ...loginBackoffs],
      "write",
      "record a failure to log in",
    );
    const [kind, amount] = reply as [string, string];
    if (kind === "corrupt") throw corrupt(failures);
    return Number(amount);
  }

  async loginSucceeded(source: RateLimitSource): Promise<void> {
    const keys = this.#loginKeys(source);
    await this.#backend.connection.run("rate-limit-forget", keys, [], "write", "record a login");
  }

  async #count(
    keys: readonly string[],
    rule: RateLimitRule,
    operation: string,
  ): Promise<["allowed" | "rate" | "backoff", number]> {
    const { connection, now } = this.#backend;
    const args = [now(), rule.limit, rule.windowMs];
    const reply = await connection.run("rate-limit-count", keys, args, "write", operation);
    const [kind, amount] = reply as ["allowed" | "rate" | "backoff" | "corrupt", string];
    if (kind === "corrupt") throw corrupt(keys[Number(amount) - 1]);
    return [kind, Number(amount)];
  }

  #loginKeys(source: RateLimitSource): readonly [string, string] {
    const { keys } = this.#backend;
    return [keys.row("rate_limits", "adminlogin", source), keys.row("rate_limits", "failures", source)];
  }
}

function corrupt(key: string | undefined): StoreCorruptError {
  return new StoreCorruptError(`the key ${key ?? "of a rate limit"} is not two numbers`);
}
