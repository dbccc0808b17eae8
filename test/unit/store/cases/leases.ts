import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  jobId,
  type Lease,
  leaseScope,
  StoreCorruptError,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness, scope } from "../harness.js";

const highest = Number.MAX_SAFE_INTEGER;

export function describeLeases(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;
  const write = (fence: FencingToken) => store.jobs.cancel(jobId("none"), fence);

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
  });
  afterEach(() => harness.dispose());

  describe("lease", () => {
    it("has one holder at a time, and a higher number for each", async () => {
      const other = await harness.open();
      const first = await store.lease.acquire({ scope, holder: "a", ttlMs: 100 });
      expect(first).toEqual({ scope, holder: "a", term: 1, expiresAt: harness.clock.now() + 100 });
      expect(await other.lease.acquire({ scope, holder: "b", ttlMs: 100 })).toBeUndefined();
      harness.clock.advance(100);
      expect(await other.lease.acquire({ scope, holder: "b", ttlMs: 100 })).toMatchObject({ term: 2 });
      expect(await store.lease.acquire({ scope, holder: "a", ttlMs: 100 })).toBeUndefined();
      expect(await store.lease.current(scope)).toMatchObject({ holder: "b", term: 2 });
    });

    it("is extended by its holder only, and only while it runs", async () => {
      const token = await lead(store, "a", 100);
      harness.clock.advance(60);
      expect(await store.lease.renew(token, 100)).toMatchObject({ expiresAt: harness.clock.now() + 100 });
      expect(await store.lease.renew({ ...token, holder: "b" }, 100)).toBeUndefined();
      expect(await store.lease.renew({ ...token, term: 7 }, 100)).toBeUndefined();
      harness.clock.advance(100);
      expect(await store.lease.renew(token, 100)).toBeUndefined();
    });

    it("keeps its number for a live holder that asks again, and changes it after the end", async () => {
      await lead(store, "a", 100);
      expect(await store.lease.acquire({ scope, holder: "a", ttlMs: 100 })).toMatchObject({ term: 1 });
      harness.clock.advance(100);
      expect(await store.lease.acquire({ scope, holder: "a", ttlMs: 100 })).toMatchObject({ term: 2 });
    });

    it("goes above the term it is told, also for a live holder", async () => {
      expect(await store.lease.acquire({ scope, holder: "a", ttlMs: 100, aboveTerm: 41 })).toMatchObject({
        term: 42,
      });
      expect(await store.lease.acquire({ scope, holder: "a", ttlMs: 100, aboveTerm: 50 })).toMatchObject({
        term: 51,
      });
    });

    it("can be given back at once, by its holder only", async () => {
      const token = await lead(store, "a");
      expect(await store.lease.release({ ...token, holder: "b" })).toBe(false);
      expect(await store.lease.release(token)).toBe(true);
      expect(await store.lease.release(token)).toBe(false);
      expect(await store.lease.current(scope)).toBeUndefined();
      expect(await lead(store, "b")).toMatchObject({ term: 2 });
    });

    it("never has two live holders, nor one number twice, whatever the order of requests", async () => {
      const step = fc.record({
        kind: fc.constantFrom("acquire", "renew", "release", "wait"),
        who: fc.constantFrom("a", "b", "c"),
        ms: fc.integer({ min: 1, max: 120 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const fresh = await factory();
          try {
            const handles = [await fresh.open(), await fresh.open()] as const;
            const held = new Map<string, Lease>();
            const owners = new Map<number, string>();
            for (const [index, { kind, who, ms }] of steps.entries()) {
              const { lease } = handles[index % 2 === 0 ? 0 : 1];
              const mine = held.get(who);
              if (kind === "wait") fresh.clock.advance(ms);
              if (kind === "release" && mine !== undefined) {
                await lease.release(mine);
                held.delete(who);
              }
              if (kind === "acquire" || (kind === "renew" && mine !== undefined)) {
                const got =
                  kind === "acquire" || mine === undefined
                    ? await lease.acquire({ scope, holder: who, ttlMs: 100 })
                    : await lease.renew(mine, 100);
                if (got === undefined) held.delete(who);
                else {
                  held.set(who, got);
                  expect(owners.get(got.term) ?? who).toBe(who);
                  for (const [term, owner] of owners) {
                    if (owner !== who) expect(term).toBeLessThan(got.term);
                  }
                  owners.set(got.term, who);
                }
              }
              const live = [...held.values()].filter((entry) => entry.expiresAt > fresh.clock.now());
              expect(live.length).toBeLessThanOrEqual(1);
            }
          } finally {
            await fresh.dispose();
          }
        }),
        { numRuns: 25 },
      );
    });

    it("never gives a number again: not after an end, a release, or a restart of everybody", async () => {
      const terms: number[] = [];
      const take = async (handle: TaskStore, holder: string) => {
        const lease = await handle.lease.acquire({ scope, holder, ttlMs: 100 });
        if (lease === undefined) throw new Error("the lease is held");
        terms.push(lease.term);
        return lease;
      };
      await take(store, "a");
      harness.clock.advance(100);
      await store.lease.release(await take(store, "a"));
      await store.lease.release(await take(store, "a"));
      await store.close();
      const restarted = await harness.open();
      await restarted.lease.release(await take(restarted, "a"));
      harness.clock.advance(1_000_000_000);
      await take(await harness.open(), "a");
      expect(terms).toEqual([1, 2, 3, 4, 5]);
    });

    it("is one of many, each with numbers of its own", async () => {
      const names = ["leader", "a:b", "a%3Ab", "_x", "ünïcode", "x".repeat(512)].map(leaseScope);
      for (const [index, name] of names.entries()) {
        const holder = `holder ${index}`;
        expect(
          await store.lease.acquire({ scope: name, holder, ttlMs: 100, aboveTerm: index }),
        ).toMatchObject({ scope: name, holder, term: index + 1 });
      }
      for (const [index, name] of names.entries()) {
        expect(await store.lease.current(name)).toMatchObject({ holder: `holder ${index}`, term: index + 1 });
      }
    });

    it("is shown as stored after its end, until somebody takes it", async () => {
      const token = await lead(store, "a", 100);
      const stored = await store.lease.current(scope);
      harness.clock.advance(5_000);
      expect(await (await harness.open()).lease.current(scope)).toEqual(stored);
      expect(await store.lease.release(token)).toBe(true);
      expect(await store.lease.current(scope)).toBeUndefined();
    });

    it("ends at its last millisecond", async () => {
      const token = await lead(store, "a", 100);
      harness.clock.advance(99);
      expect(await store.lease.acquire({ scope, holder: "b", ttlMs: 100 })).toBeUndefined();
      expect(await store.lease.renew(token, 50)).toMatchObject({ expiresAt: harness.clock.now() + 50 });
      harness.clock.advance(50);
      expect(await store.lease.renew(token, 50)).toBeUndefined();
      expect(await store.lease.acquire({ scope, holder: "b", ttlMs: 100 })).toMatchObject({ term: 2 });
    });

    it("keeps huge numbers exact, and gives none where none is left", async () => {
      const acquire = (holder: string, aboveTerm?: number) =>
        store.lease.acquire({ scope, holder, ttlMs: 100, ...(aboveTerm === undefined ? {} : { aboveTerm }) });
      const first = await acquire("a", highest - 3);
      if (first === undefined) throw new Error("the lease is held");
      expect(first.term).toBe(highest - 2);
      expect(await store.lease.renew(first, 100)).toMatchObject({ term: highest - 2 });
      await write(first);
      harness.clock.advance(100);
      expect(await acquire("b")).toMatchObject({ term: highest - 1 });
      expect(await store.lease.release(first)).toBe(false);
      await expect(write(first)).rejects.toMatchObject({
        name: "FencedError",
        term: highest - 2,
        currentTerm: highest - 1,
      });
      expect(await acquire("b", highest - 1)).toMatchObject({ term: highest });
      harness.clock.advance(100);
      await expect(acquire("c")).rejects.toBeInstanceOf(StoreCorruptError);
      expect(await store.lease.current(scope)).toMatchObject({ holder: "b", term: highest });
    });

    it("refuses requests that make no sense, changing nothing", async () => {
      const usual = { scope, holder: "a", ttlMs: 100 };
      const requests = [
        ...[0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 86_400_001].map((ttlMs) => ({
          ...usual,
          ttlMs,
        })),
        ...[-1, 0.5, highest, highest + 2].map((aboveTerm) => ({ ...usual, aboveTerm })),
        ...["", "x".repeat(513), "half \ud800"].map((holder) => ({ ...usual, holder })),
      ];
      for (const request of requests) {
        await expect(store.lease.acquire(request)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      expect(await store.lease.current(scope)).toBeUndefined();
      const token = await lead(store);
      await expect(store.lease.renew(token, 0)).rejects.toBeInstanceOf(InvalidArgumentError);
    });

    it("once released is nobody's, not even that of a token without a holder", async () => {
      const token = await lead(store, "a");
      await store.lease.release(token);
      const nobody = { ...token, holder: "" };
      expect(await store.lease.renew(nobody, 100)).toBeUndefined();
      expect(await store.lease.release(nobody)).toBe(false);
      await expect(write(nobody)).rejects.toBeInstanceOf(FencedError);
    });
  });
}
