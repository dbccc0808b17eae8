import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type SessionId,
  type SessionRow,
  type SessionState,
  sessionId,
  type TaskStore,
  taskUid,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { LruModel } from "../lru-model.js";
import {
  awkwardIds,
  call,
  type Handles,
  id,
  modelTimeout,
  plainRecord,
  runCommands,
  time,
} from "../random-commands.js";

const quarter = 15 * 60_000;

/** A session without a write, with what `overrides` changes. */
const state = (of: string, overrides: Partial<SessionState> = {}): SessionState => ({
  id: sessionId(of),
  lastWriteTaskUid: null,
  lastWriteAt: null,
  pinnedGroup: null,
  minSettingsVersion: 0,
  ...overrides,
});

const anyState = (ids: fc.Arbitrary<string>, uids: fc.Arbitrary<number>): fc.Arbitrary<SessionState> =>
  plainRecord({
    id: ids.map(sessionId),
    lastWriteTaskUid: fc.option(uids.map(taskUid), { freq: 4 }),
    lastWriteAt: fc.option(time),
    pinnedGroup: fc.option(fc.nat({ max: 3 })),
    minSettingsVersion: fc.oneof(fc.nat({ max: 5 }), fc.constant(Number.MAX_SAFE_INTEGER)),
  });

type Model = LruModel<SessionState>;

const limit = 4;
const sessionIds = fc.constantFrom(...awkwardIds.slice(0, 8)).map(sessionId);
// The server frees rows by real time: no test may take so long.
const ttl = fc.constantFrom(60_000, 90_000, 120_000);

function merged(old: SessionState | undefined, report: SessionState): SessionState {
  if (old === undefined) return report;
  const older = (old.lastWriteTaskUid ?? -1) > (report.lastWriteTaskUid ?? -1);
  const newest = older ? old : report;
  return {
    ...newest,
    minSettingsVersion: Math.max(old.minSettingsVersion, report.minSettingsVersion),
  };
}

const commands = [
  call(
    "record",
    fc.tuple(anyState(sessionIds, fc.oneof(fc.nat({ max: 4 }), fc.constant(Number.MAX_SAFE_INTEGER))), ttl),
    async (model: Model, store, [report, ttlMs], { clock }) => {
      const now = clock.now();
      const row = { ...merged(model.get(report.id, now), report), expiresAt: now + ttlMs };
      model.put(report.id, row, now);
      expect(await store.sessions.record(report, ttlMs)).toEqual(row);
    },
  ),
  call("use", fc.tuple(sessionIds, ttl), async (model: Model, store, [of, ttlMs], { clock }) => {
    const now = clock.now();
    const old = model.get(of, now);
    const row = old === undefined ? undefined : { ...old, expiresAt: now + ttlMs };
    if (row !== undefined) model.put(of, row, now);
    expect(await store.sessions.use(of, ttlMs)).toEqual(row);
  }),
  call("get", sessionIds, async (model: Model, store, of, { clock }) => {
    expect(await store.sessions.get(of)).toEqual(model.get(of, clock.now()));
  }),
  call("delete", sessionIds, async (model: Model, store, of, { clock }) => {
    expect(await store.sessions.delete(of)).toBe(model.delete(of, clock.now()));
  }),
  call("count", fc.constant(null), async (model: Model, store, _, { clock }) => {
    expect(await store.sessions.count()).toBe(model.count(clock.now()));
  }),
  call("wait", fc.constantFrom(1, 29_999, 30_000, 60_000), async (_model: Model, _store, ms, { clock }) => {
    clock.advance(ms);
  }),
  call("prune", fc.integer({ min: 1, max: 3 }), async (model: Model, store, most, { clock, fence }) => {
    expect(await store.retention.pruneExpired({ limit: most }, fence)).toBe(model.prune(clock.now(), most));
  }),
];

export function describeSessions(factory: StoreFactory): void {
  describe("sessions", () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let other: TaskStore;
    let fence: FencingToken;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      other = await harness.open();
      fence = await lead(store);
    });
    afterEach(() => harness.dispose());

    it("come back as recorded, also from a reopened store", async () => {
      const rows = new Map<SessionId, SessionRow>();
      await fc.assert(
        fc.asyncProperty(anyState(id, fc.maxSafeNat()), async (report) => {
          if (rows.has(report.id)) return;
          const row = await store.sessions.record(report, quarter);
          expect(row).toEqual({ ...report, expiresAt: harness.clock.now() + quarter });
          rows.set(row.id, row);
          expect(await other.sessions.get(row.id)).toEqual(row);
          expect(await other.sessions.count()).toBe(rows.size);
        }),
        { numRuns: 60 },
      );
      await store.close();
      const reopened = await harness.open();
      for (const row of rows.values()) expect(await reopened.sessions.get(row.id)).toEqual(row);
    });

    it("know the newest write, in whatever order it is reported", async () => {
      const first = state("s", {
        lastWriteTaskUid: taskUid(8),
        lastWriteAt: 80,
        pinnedGroup: 1,
        minSettingsVersion: 3,
      });
      const late = state("s", {
        lastWriteTaskUid: taskUid(7),
        lastWriteAt: 90,
        pinnedGroup: 0,
        minSettingsVersion: 5,
      });
      await store.sessions.record(first, quarter);
      expect(await other.sessions.record(late, quarter)).toMatchObject({ ...first, minSettingsVersion: 5 });
      // A report without a write takes nothing away.
      expect(await store.sessions.record(state("s"), quarter)).toMatchObject({
        ...first,
        minSettingsVersion: 5,
      });
      // Of the same write, the later report counts: with all that it says.
      const again = state("s", { lastWriteTaskUid: taskUid(8), minSettingsVersion: 1 });
      expect(await other.sessions.record(again, quarter)).toMatchObject({ ...again, minSettingsVersion: 5 });
      expect(await store.sessions.get(sessionId("s"))).toMatchObject({
        lastWriteAt: null,
        pinnedGroup: null,
      });
    });

    it("end so long after their last use, by the store's clock", async () => {
      const { clock } = harness;
      await store.sessions.record(state("s", { minSettingsVersion: 2 }), quarter);
      clock.advance(quarter - 1);
      expect(await other.sessions.get(sessionId("s"))).toMatchObject({ expiresAt: clock.now() + 1 });
      expect(await other.sessions.use(sessionId("s"), quarter)).toMatchObject({
        expiresAt: clock.now() + quarter,
      });
      clock.advance(quarter - 1);
      expect(await store.sessions.count()).toBe(1);
      // Reading is no use.
      expect(await store.sessions.get(sessionId("s"))).toBeDefined();
      clock.advance(1);
      expect(await store.sessions.get(sessionId("s"))).toBeUndefined();
      expect(await store.sessions.use(sessionId("s"), quarter)).toBeUndefined();
      expect(await store.sessions.delete(sessionId("s"))).toBe(false);
      expect(await store.sessions.count()).toBe(0);
      // What follows is another session.
      expect(await other.sessions.record(state("s"), quarter)).toMatchObject({ minSettingsVersion: 0 });
    });

    it("can be made to end sooner by a use", async () => {
      await store.sessions.record(state("s"), quarter);
      await store.sessions.use(sessionId("s"), 60_000);
      harness.clock.advance(60_000);
      expect(await other.sessions.get(sessionId("s"))).toBeUndefined();
    });

    it("make room for new ones, the least recently used first", async () => {
      const small = await harness.open({ sessions: 10 });
      const present = async () => {
        const found: number[] = [];
        for (let n = 0; n < 40; n++) {
          if ((await other.sessions.get(sessionId(`s${n}`))) !== undefined) found.push(n);
        }
        return found;
      };
      for (let n = 0; n < 15; n++) await small.sessions.record(state(`s${n}`), quarter);
      expect(await present()).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
      // Used by either call; reading does not count.
      await other.sessions.use(sessionId("s5"), quarter);
      await small.sessions.record(state("s6"), quarter);
      await small.sessions.get(sessionId("s7"));
      for (let n = 15; n < 23; n++) await small.sessions.record(state(`s${n}`), quarter);
      expect(await present()).toEqual([5, 6, 15, 16, 17, 18, 19, 20, 21, 22]);
      expect(await other.sessions.count()).toBe(10);
    });

    it("lose nobody who is alive while there are some that ended", async () => {
      const small = await harness.open({ sessions: 10 });
      for (let n = 0; n < 5; n++) await small.sessions.record(state(`live${n}`), 10 * quarter);
      for (let n = 0; n < 5; n++) await small.sessions.record(state(`ended${n}`), quarter);
      harness.clock.advance(quarter);
      for (let n = 0; n < 5; n++) await small.sessions.record(state(`new${n}`), quarter);
      expect(await small.sessions.count()).toBe(10);
      expect(await small.sessions.get(sessionId("live0"))).toBeDefined();
      await small.sessions.record(state("new5"), quarter);
      expect(await small.sessions.count()).toBe(10);
      expect(await small.sessions.get(sessionId("live0"))).toBeUndefined();
    });

    it("that ended go before others also where the limit was lowered", async () => {
      for (let n = 0; n < 3; n++) await store.sessions.record(state(`live${n}`), 10 * quarter);
      for (let n = 0; n < 30; n++) await store.sessions.record(state(`ended${n}`), quarter);
      harness.clock.advance(quarter);
      const small = await harness.open({ sessions: 5 });
      await small.sessions.record(state("new"), quarter);
      expect(await other.sessions.count()).toBe(4);
      expect(await other.sessions.get(sessionId("live0"))).toBeDefined();
    });

    it("are limited by a number above 0", async () => {
      for (const sessions of [0, -1, 0.5, Number.NaN]) {
        await expect(harness.open({ sessions })).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    });

    it("come down to a limit that was lowered", async () => {
      for (let n = 0; n < 50; n++) await store.sessions.record(state(`s${n}`), quarter);
      const small = await harness.open({ sessions: 3 });
      expect(await small.sessions.count()).toBe(50);
      await small.sessions.record(state("s50"), quarter);
      expect(await small.sessions.count()).toBe(3);
      expect(await small.sessions.get(sessionId("s48"))).toBeDefined();
    });

    it("are deleted once", async () => {
      for (const of of awkwardIds) await store.sessions.record(state(of), quarter);
      for (const of of awkwardIds) {
        expect(await other.sessions.delete(sessionId(of))).toBe(true);
        expect(await store.sessions.delete(sessionId(of))).toBe(false);
        expect(await store.sessions.get(sessionId(of))).toBeUndefined();
      }
      expect(await other.sessions.count()).toBe(0);
    });

    it("are pruned once they ended, in bounded batches, by the leader", async () => {
      for (let n = 0; n < 25; n++) await store.sessions.record(state(`s${n}`), quarter);
      await store.sessions.record(state("live"), 10 * quarter);
      expect(await store.retention.pruneExpired({}, fence)).toBe(0);
      harness.clock.advance(quarter);
      const current = await lead(other, "control-2");
      await expect(store.retention.pruneExpired({}, fence)).rejects.toBeInstanceOf(FencedError);
      for (const went of [10, 10, 5, 0]) {
        expect(await other.retention.pruneExpired({ limit: 10 }, current)).toBe(went);
      }
      expect(await store.sessions.count()).toBe(1);
      for (const most of [0, 10_001, 1.5]) {
        await expect(other.retention.pruneExpired({ limit: most }, current)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
    });

    it("know the newest of writes that many report at once", async () => {
      const uids = Array.from({ length: 40 }, (_, n) => (n * 17) % 40);
      await Promise.all(
        uids.map((uid, n) =>
          (n % 2 === 0 ? store : other).sessions.record(
            state("s", {
              lastWriteTaskUid: taskUid(uid),
              lastWriteAt: uid,
              pinnedGroup: uid,
              minSettingsVersion: 40 - uid,
            }),
            quarter,
          ),
        ),
      );
      expect(await store.sessions.get(sessionId("s"))).toMatchObject({
        lastWriteTaskUid: 39,
        lastWriteAt: 39,
        pinnedGroup: 39,
        minSettingsVersion: 40,
      });
    });

    it.each<[string, Partial<SessionState>, number]>([
      ["no life", {}, 0],
      ["a life that has passed", {}, -1],
      ["half a millisecond", {}, 0.5],
      ["a life without end", {}, Number.POSITIVE_INFINITY],
      ["a group below 0", { pinnedGroup: -1 }, quarter],
      ["half a settings version", { minSettingsVersion: 0.5 }, quarter],
      ["a time that is none", { lastWriteAt: Number.NaN }, quarter],
    ])("refuse %s", async (_, overrides, ttlMs) => {
      await expect(store.sessions.record(state("s", overrides), ttlMs)).rejects.toBeInstanceOf(
        InvalidArgumentError,
      );
      if (ttlMs !== quarter) {
        await expect(store.sessions.use(sessionId("s"), ttlMs)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      expect(await store.sessions.count()).toBe(0);
    });

    it("refuse ids that UTF-8 cannot hold, or that are too long", () => {
      for (const bad of ["", "\uD83D", "a\uDE00", "x".repeat(513)]) {
        expect(() => sessionId(bad)).toThrow(InvalidArgumentError);
      }
    });

    it("answer any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      const real: Handles = {
        stores: [await harness.open({ sessions: limit }), await harness.open({ sessions: limit })],
        fence,
        clock: harness.clock,
      };
      await runCommands(commands, real, async () => {
        harness.clock.advance(24 * 60 * 60_000);
        await store.retention.pruneExpired({}, fence);
        return new LruModel<SessionState>(limit);
      });
    });
  });
}
