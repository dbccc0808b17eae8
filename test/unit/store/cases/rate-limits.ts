import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  InvalidArgumentError,
  type LoginDecision,
  type RateLimitDecision,
  type RateLimitRule,
  type RateLimitSource,
  rateLimitSource,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type ManualClock, type StoreFactory, type StoreHarness } from "../harness.js";
import { openBackend } from "../open-backend.js";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Minutes of lock-out after the fifth failure in a row, the sixth … */
const lockOuts = [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440];

/** The contract in its plainest form: every request that still counts, by source. */
class LimitsModel {
  readonly #searches = new Map<string, { start: number; windowMs: number; requests: number[] }>();
  readonly #logins = new Map<string, { start: number; attempts: number[] }>();
  readonly #failures = new Map<string, { inARow: number; freeAgainAt: number }>();

  search(source: string, { limit, windowMs }: RateLimitRule, now: number): RateLimitDecision {
    let window = this.#searches.get(source);
    if (window === undefined || now >= window.start + window.windowMs) {
      window = { start: now, windowMs, requests: [] };
      this.#searches.set(source, window);
    }
    if (window.requests.length >= limit) {
      return { allowed: false, retryAfterMs: window.start + window.windowMs - now };
    }
    window.requests.push(now);
    return { allowed: true, remaining: limit - window.requests.length };
  }

  login(source: string, now: number): LoginDecision {
    const lockedFor = (this.#failures.get(source)?.freeAgainAt ?? now) - now;
    if (lockedFor > 0) return { allowed: false, reason: "backoff", retryAfterMs: lockedFor };
    let window = this.#logins.get(source);
    if (window === undefined || now >= window.start + minute) {
      window = { start: now, attempts: [] };
      this.#logins.set(source, window);
    }
    if (window.attempts.length === 10) {
      return { allowed: false, reason: "rate", retryAfterMs: window.start + minute - now };
    }
    window.attempts.push(now);
    return { allowed: true };
  }

  failed(source: string, now: number): number {
    let past = this.#failures.get(source);
    if (past === undefined || now >= past.freeAgainAt + day) past = { inARow: 0, freeAgainAt: now };
    if (past.freeAgainAt <= now) {
      const inARow = past.inARow + 1;
      const lockOut = inARow < 5 ? 0 : (lockOuts[Math.min(inARow - 5, 9)] ?? 0) * minute;
      past = { inARow, freeAgainAt: now + lockOut };
    }
    this.#failures.set(source, past);
    return past.freeAgainAt - now;
  }

  succeeded(source: string): void {
    this.#logins.delete(source);
    this.#failures.delete(source);
  }
}

interface Real {
  readonly stores: readonly TaskStore[];
  readonly clock: ManualClock;
  /** Sets this run's sources apart. */
  readonly run: number;
}

type Command = fc.AsyncCommand<LimitsModel, Real>;

let executed = 0;

function command(
  name: string,
  args: unknown[],
  run: (model: LimitsModel, limits: TaskStore["rateLimits"], real: Real) => Promise<void>,
): Command {
  return {
    check: () => true,
    run: (model, real) => {
      executed++;
      const { rateLimits } = real.stores[executed % real.stores.length] as TaskStore;
      return run(model, rateLimits, real);
    },
    toString: () => `${name}(${fc.stringify(args).slice(1, -1)})`,
  };
}

const address = fc.constantFrom("192.0.2.1", "2001:db8::1");
const rule = fc.record({ limit: fc.integer({ min: 1, max: 4 }), windowMs: fc.constantFrom(minute, hour) });
const named = ({ run }: Real, source: string): RateLimitSource => rateLimitSource(`${source}/${run}`);

const login = address.map((source) =>
  command("countLogin", [source], async (model, limits, real) => {
    expect(await limits.countLogin(named(real, source))).toEqual(model.login(source, real.clock.now()));
  }),
);
const failure = address.map((source) =>
  command("loginFailed", [source], async (model, limits, real) => {
    expect(await limits.loginFailed(named(real, source))).toBe(model.failed(source, real.clock.now()));
  }),
);
const commands: fc.Arbitrary<Command>[] = [
  login,
  login,
  failure,
  failure,
  fc.tuple(address, rule).map(([source, what]) =>
    command("countSearchUi", [source, what], async (model, limits, real) => {
      expect(await limits.countSearchUi(named(real, source), what)).toEqual(
        model.search(source, what, real.clock.now()),
      );
    }),
  ),
  fc
    .constantFrom(
      ...[1, second, minute - 1, minute, 10 * minute - 1, 10 * minute, 20 * minute, hour, day - 1, day],
    )
    .map((ms) =>
      command("wait", [ms], async (_model, _limits, { clock }) => {
        clock.advance(ms);
      }),
    ),
  fc.record({ source: address, rare: fc.nat({ max: 3 }) }).map(({ source, rare }) =>
    command("loginSucceeded", [source, rare], async (model, limits, real) => {
      if (rare > 0) return;
      await limits.loginSucceeded(named(real, source));
      model.succeeded(source);
    }),
  ),
];

export function describeRateLimits(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;
  let other: TaskStore;
  const source = rateLimitSource("2001:db8::17%eth0");

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
    other = await harness.open();
  });
  afterEach(() => harness.dispose());

  describe("rate limits", () => {
    it("let so many requests pass in a window that the first one begins", async () => {
      const three = { limit: 3, windowMs: minute };
      expect(await store.rateLimits.countSearchUi(source, three)).toEqual({ allowed: true, remaining: 2 });
      harness.clock.advance(minute - 1);
      expect(await other.rateLimits.countSearchUi(source, three)).toEqual({ allowed: true, remaining: 1 });
      expect(await store.rateLimits.countSearchUi(source, three)).toEqual({ allowed: true, remaining: 0 });
      const over = { allowed: false, retryAfterMs: 1 };
      expect(await other.rateLimits.countSearchUi(source, three)).toEqual(over);
      expect(await store.rateLimits.countSearchUi(source, three)).toEqual(over);
      const elsewhere = rateLimitSource("2001:db8::18");
      expect(await store.rateLimits.countSearchUi(elsewhere, three)).toMatchObject({ allowed: true });
      harness.clock.advance(1);
      expect(await other.rateLimits.countSearchUi(source, three)).toEqual({ allowed: true, remaining: 2 });
    });

    it("never let more pass, however many ask at once", async () => {
      const rule = { limit: 25, windowMs: minute };
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          (i % 2 === 0 ? store : other).rateLimits.countSearchUi(source, rule),
        ),
      );
      const remaining = answers.flatMap((answer) => (answer.allowed ? [answer.remaining] : []));
      expect(remaining.sort((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_, i) => i));
    });

    it("apply another rule's limit to a window that has begun, and leave its end", async () => {
      await store.rateLimits.countSearchUi(source, { limit: 5, windowMs: minute });
      await store.rateLimits.countSearchUi(source, { limit: 5, windowMs: minute });
      expect(await store.rateLimits.countSearchUi(source, { limit: 2, windowMs: hour })).toEqual({
        allowed: false,
        retryAfterMs: minute,
      });
      expect(await store.rateLimits.countSearchUi(source, { limit: 4, windowMs: 1 })).toEqual({
        allowed: true,
        remaining: 1,
      });
    });

    it("allow ten attempts to log in a minute", async () => {
      for (let i = 0; i < 10; i++) {
        expect(await (i % 2 === 0 ? store : other).rateLimits.countLogin(source)).toEqual({ allowed: true });
      }
      harness.clock.advance(minute - 1);
      const over = { allowed: false, reason: "rate", retryAfterMs: 1 };
      expect(await store.rateLimits.countLogin(source)).toEqual(over);
      expect(await other.rateLimits.countLogin(source)).toEqual(over);
      harness.clock.advance(1);
      expect(await store.rateLimits.countLogin(source)).toEqual({ allowed: true });
    });

    it("lock out after the fifth failure in a row for 10 minutes, then 20, 40 … up to a day", async () => {
      for (let i = 0; i < 4; i++) expect(await store.rateLimits.loginFailed(source)).toBe(0);
      for (const minutes of lockOuts) {
        expect(await store.rateLimits.countLogin(source)).toEqual({ allowed: true });
        expect(await store.rateLimits.loginFailed(source)).toBe(minutes * minute);
        harness.clock.advance(minutes * minute - 1);
        const locked = { allowed: false, reason: "backoff", retryAfterMs: 1 };
        expect(await other.rateLimits.countLogin(source)).toEqual(locked);
        expect(await other.rateLimits.loginFailed(source)).toBe(1);
        harness.clock.advance(1);
      }
    });

    it("forget failures with a success, and a day after the lock-out or the last one without", async () => {
      const failTimes = async (times: number): Promise<number> => {
        let last = 0;
        for (let i = 0; i < times; i++) last = await store.rateLimits.loginFailed(source);
        return last;
      };
      expect(await failTimes(5)).toBe(10 * minute);
      await other.rateLimits.loginSucceeded(source);
      expect(await store.rateLimits.countLogin(source)).toEqual({ allowed: true });
      expect(await failTimes(4)).toBe(0);
      harness.clock.advance(day - 1);
      expect(await failTimes(1)).toBe(10 * minute);
      harness.clock.advance(10 * minute + day - 1);
      expect(await failTimes(1)).toBe(20 * minute);
      harness.clock.advance(20 * minute + day);
      expect(await failTimes(4)).toBe(0);
      harness.clock.advance(day);
      expect(await failTimes(4)).toBe(0);
    });

    it("forget the attempts of a minute with a success", async () => {
      for (let i = 0; i < 10; i++) await store.rateLimits.countLogin(source);
      expect(await store.rateLimits.countLogin(source)).toMatchObject({ allowed: false });
      await store.rateLimits.loginSucceeded(source);
      expect(await store.rateLimits.countLogin(source)).toEqual({ allowed: true });
    });

    it("count attempts that are refused nowhere", async () => {
      for (let i = 0; i < 5; i++) await store.rateLimits.loginFailed(source);
      for (let i = 0; i < 30; i++) await store.rateLimits.countLogin(source);
      harness.clock.advance(10 * minute);
      for (let i = 0; i < 10; i++) {
        expect(await store.rateLimits.countLogin(source)).toEqual({ allowed: true });
      }
      expect(await store.rateLimits.countLogin(source)).toMatchObject({ reason: "rate" });
    });

    it("do not mix search pages and logins, nor sources that look alike", async () => {
      const one = { limit: 1, windowMs: hour };
      for (const text of ["a", "A", "a ", "a:b", "a%3Ab", "failures", "_a", "é", "e\u0301", "\u0000"]) {
        const some = rateLimitSource(text);
        expect(await store.rateLimits.countSearchUi(some, one)).toEqual({ allowed: true, remaining: 0 });
        expect(await store.rateLimits.countLogin(some)).toEqual({ allowed: true });
        expect(await store.rateLimits.loginFailed(some)).toBe(0);
      }
    });

    it("survive a restart", async () => {
      for (let i = 0; i < 5; i++) await store.rateLimits.loginFailed(source);
      await store.rateLimits.countSearchUi(source, { limit: 1, windowMs: hour });
      await store.close();
      await other.close();
      const reopened = await harness.open();
      expect(await reopened.rateLimits.countLogin(source)).toMatchObject({ reason: "backoff" });
      expect(await reopened.rateLimits.countSearchUi(source, { limit: 1, windowMs: hour })).toEqual({
        allowed: false,
        retryAfterMs: hour,
      });
    });

    it("end by the store's own time", async () => {
      const live = await openBackend(harness.spec, undefined);
      try {
        const rule = { limit: 1, windowMs: 200 };
        expect(await live.rateLimits.countSearchUi(source, rule)).toEqual({ allowed: true, remaining: 0 });
        const refused = await live.rateLimits.countSearchUi(source, rule);
        expect(refused).toMatchObject({ allowed: false });
        const wait = refused.allowed ? 0 : refused.retryAfterMs;
        expect(wait).toBeGreaterThan(0);
        expect(wait).toBeLessThanOrEqual(200);
        await new Promise((resolve) => setTimeout(resolve, wait + 5));
        expect(await live.rateLimits.countSearchUi(source, rule)).toMatchObject({ allowed: true });
      } finally {
        await live.close();
      }
    });

    it("can be pruned once they have ended, and not before", async () => {
      const fence = await lead(store);
      const three = { limit: 3, windowMs: minute };
      await store.rateLimits.countSearchUi(source, three);
      await store.rateLimits.loginFailed(source);
      expect(await store.retention.pruneExpired({}, fence)).toBe(0);
      expect(await store.rateLimits.countSearchUi(source, three)).toEqual({ allowed: true, remaining: 1 });
      harness.clock.advance(day);
      await store.retention.pruneExpired({}, fence);
      expect(await store.rateLimits.countSearchUi(source, three)).toEqual({ allowed: true, remaining: 2 });
    });

    it("refuse limits and windows out of range", async () => {
      for (const [limit, windowMs] of [
        [0, minute],
        [1_000_001, minute],
        [1.5, minute],
        [Number.NaN, minute],
        [1, 0],
        [1, day + 1],
        [1, 0.5],
      ] as const) {
        await expect(store.rateLimits.countSearchUi(source, { limit, windowMs })).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      const largest = { limit: 1_000_000, windowMs: day };
      expect(await store.rateLimits.countSearchUi(source, largest)).toEqual({
        allowed: true,
        remaining: 999_999,
      });
      for (const text of ["", "x".repeat(513), "\ud800"]) {
        expect(() => rateLimitSource(text)).toThrow(InvalidArgumentError);
      }
    });

    it("do what a plain model does, in any order of calls through two handles", async () => {
      executed = 0;
      let runs = 0;
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 120, size: "max" }), (sequence) =>
          fc.asyncModelRun(
            () => ({
              model: new LimitsModel(),
              real: { stores: [store, other], clock: harness.clock, run: runs++ },
            }),
            sequence,
          ),
        ),
        { numRuns: 50 },
      );
      expect(executed).toBeGreaterThanOrEqual(2_000);
    }, 60_000);
  });
}
