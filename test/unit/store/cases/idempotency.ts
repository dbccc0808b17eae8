import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  FencedError,
  type FencingToken,
  type IdempotencyKey,
  type IdempotencyRow,
  InvalidArgumentError,
  idempotencyKey,
  type TaskStore,
  taskUid,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { LruModel } from "../lru-model.js";
import { awkwardIds, call, type Handles, id, modelTimeout, runCommands } from "../random-commands.js";

const day = 24 * 60 * 60_000;
type Entry = Omit<IdempotencyRow, "expiresAt">;

const entry = (key: string, uid = 1, fill = 0xff): Entry => ({
  key: idempotencyKey(key),
  bodySha256: new Uint8Array(32).fill(fill),
  taskUid: taskUid(uid),
});

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const limit = 4;
const keys = fc.constantFrom(...awkwardIds.slice(0, 8)).map(idempotencyKey);
const uids = fc.nat({ max: 2 }).map(taskUid);
// The server frees rows by real time: no test may take so long.
const ttl = fc.constantFrom(60_000, 90_000, 120_000);
type Model = LruModel<Entry>;

const commands = [
  call("claim", fc.tuple(keys, hash, uids, ttl), async (model: Model, store, args, { clock }) => {
    const [key, bodySha256, uid, ttlMs] = args;
    const now = clock.now();
    const old = model.get(key, now);
    const row = old ?? { key, bodySha256, taskUid: uid, expiresAt: now + ttlMs };
    model.put(key, row, now);
    expect(await store.idempotency.claim({ key, bodySha256, taskUid: uid }, ttlMs)).toEqual({
      claimed: old === undefined,
      row,
    });
  }),
  call("get", keys, async (model: Model, store, key, { clock }) => {
    expect(await store.idempotency.get(key)).toEqual(model.get(key, clock.now()));
  }),
  call("release", fc.tuple(keys, uids), async (model: Model, store, [key, uid], { clock }) => {
    const own = model.get(key, clock.now())?.taskUid === uid;
    expect(await store.idempotency.release(key, uid)).toBe(own && model.delete(key, clock.now()));
  }),
  call("count", fc.constant(null), async (model: Model, store, _, { clock }) => {
    expect(await store.idempotency.count()).toBe(model.count(clock.now()));
  }),
  call("wait", fc.constantFrom(1, 29_999, 30_000, 60_000), async (_model: Model, _store, ms, { clock }) => {
    clock.advance(ms);
  }),
  call("prune", fc.integer({ min: 1, max: 3 }), async (model: Model, store, most, { clock, fence }) => {
    expect(await store.retention.pruneExpired({ limit: most }, fence)).toBe(model.prune(clock.now(), most));
  }),
];

export function describeIdempotency(factory: StoreFactory): void {
  describe("idempotency keys", () => {
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

    it("come back as claimed, also from a reopened store", async () => {
      const rows = new Map<IdempotencyKey, IdempotencyRow>();
      await fc.assert(
        fc.asyncProperty(id, hash, fc.maxSafeNat(), async (name, bodySha256, uid) => {
          const key = idempotencyKey(name);
          if (rows.has(key)) return;
          const row = { key, bodySha256, taskUid: taskUid(uid), expiresAt: harness.clock.now() + day };
          rows.set(key, row);
          const claim = { key, bodySha256, taskUid: row.taskUid };
          expect(await store.idempotency.claim(claim, day)).toEqual({ claimed: true, row });
          expect(await other.idempotency.get(key)).toEqual(row);
          expect(await other.idempotency.count()).toBe(rows.size);
        }),
        { numRuns: 60 },
      );
      await store.close();
      const reopened = await harness.open();
      for (const row of rows.values()) expect(await reopened.idempotency.get(row.key)).toEqual(row);
    });

    it("stay with the request that was first, whatever comes later", async () => {
      const { row } = await store.idempotency.claim(entry("k", 1, 1), day);
      harness.clock.advance(1_000);
      expect(await other.idempotency.claim(entry("k", 2, 2), day)).toEqual({ claimed: false, row });
      expect(await store.idempotency.get(idempotencyKey("k"))).toEqual(row);
    });

    it("are claimed by exactly one of many callers", async () => {
      for (let round = 0; round < 20; round++) {
        const claims = await Promise.all(
          Array.from({ length: 16 }, (_, n) =>
            (n % 2 === 0 ? store : other).idempotency.claim(entry(`k${round}`, n, n), day),
          ),
        );
        const winners = claims.flatMap(({ claimed }, n) => (claimed ? [n] : []));
        expect(winners).toHaveLength(1);
        for (const { row } of claims) {
          expect(row.taskUid).toBe(winners[0]);
          expect(row.bodySha256).toEqual(entry("k", winners[0], winners[0]).bodySha256);
        }
      }
    });

    it("end so long after they were recorded, used or not", async () => {
      await store.idempotency.claim(entry("k", 1), day);
      harness.clock.advance(day - 1);
      expect(await other.idempotency.claim(entry("k", 2), day)).toMatchObject({ claimed: false });
      expect(await store.idempotency.count()).toBe(1);
      harness.clock.advance(1);
      expect(await store.idempotency.get(idempotencyKey("k"))).toBeUndefined();
      expect(await store.idempotency.release(idempotencyKey("k"), taskUid(1))).toBe(false);
      expect(await store.idempotency.count()).toBe(0);
      expect(await other.idempotency.claim(entry("k", 3), day)).toMatchObject({
        claimed: true,
        row: { taskUid: 3 },
      });
      expect(await store.idempotency.count()).toBe(1);
    });

    it("are released by their own task only", async () => {
      for (const name of awkwardIds) await store.idempotency.claim(entry(name, 7), day);
      for (const name of awkwardIds) {
        const key = idempotencyKey(name);
        expect(await other.idempotency.release(key, taskUid(8))).toBe(false);
        expect(await other.idempotency.release(key, taskUid(7))).toBe(true);
        expect(await store.idempotency.release(key, taskUid(7))).toBe(false);
        expect(await store.idempotency.claim(entry(name, 8), day)).toMatchObject({ claimed: true });
        expect(await other.idempotency.release(key, taskUid(7))).toBe(false);
      }
      expect(await other.idempotency.count()).toBe(awkwardIds.length);
    });

    it("make room for new ones, the least recently used first", async () => {
      const small = await harness.open({ idempotencyKeys: 10 });
      const present = async () => {
        const found: number[] = [];
        for (let n = 0; n < 40; n++) {
          if ((await other.idempotency.get(idempotencyKey(`k${n}`))) !== undefined) found.push(n);
        }
        return found;
      };
      for (let n = 0; n < 15; n++) await small.idempotency.claim(entry(`k${n}`), day);
      expect(await present()).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
      // A claim that comes too late is a use; reading is none.
      await other.idempotency.claim(entry("k5"), day);
      await small.idempotency.get(idempotencyKey("k6"));
      for (let n = 15; n < 24; n++) await small.idempotency.claim(entry(`k${n}`), day);
      expect(await present()).toEqual([5, 15, 16, 17, 18, 19, 20, 21, 22, 23]);
      expect(await other.idempotency.count()).toBe(10);
    });

    it("are pruned once they ended, in bounded batches, by the leader", async () => {
      for (let n = 0; n < 25; n++) await store.idempotency.claim(entry(`k${n}`), day);
      await store.idempotency.claim(entry("live"), 2 * day);
      harness.clock.advance(day);
      const current = await lead(other, "control-2");
      await expect(store.retention.pruneExpired({}, fence)).rejects.toBeInstanceOf(FencedError);
      for (const went of [10, 10, 5, 0]) {
        expect(await other.retention.pruneExpired({ limit: 10 }, current)).toBe(went);
      }
      expect(await store.idempotency.count()).toBe(1);
    });

    it("refuse what is no hash, and lives that are none", async () => {
      for (const length of [0, 31, 33]) {
        const bad = { ...entry("k"), bodySha256: new Uint8Array(length) };
        await expect(store.idempotency.claim(bad, day)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      for (const ttlMs of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        await expect(store.idempotency.claim(entry("k"), ttlMs)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      for (const bad of ["", "\uD83D", "a\uDE00", "x".repeat(513)]) {
        expect(() => idempotencyKey(bad)).toThrow(InvalidArgumentError);
      }
      expect(await store.idempotency.count()).toBe(0);
    });

    it("answer any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      const limits = { idempotencyKeys: limit };
      const real: Handles = {
        stores: [await harness.open(limits), await harness.open(limits)],
        fence,
        clock: harness.clock,
      };
      await runCommands(commands, real, async () => {
        harness.clock.advance(day);
        await store.retention.pruneExpired({}, fence);
        return new LruModel<Entry>(limit);
      });
    });
  });
}
