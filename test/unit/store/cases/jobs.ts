import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type JobClaimToken,
  type JobRow,
  type JobState,
  jobBackoffMs,
  jobClaimTtlMs,
  jobId,
  type NewJob,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { describeJobsModel } from "./jobs-model.js";

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });

export function describeJobs(factory: StoreFactory): void {
  describe("jobs", () => {
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

    const enqueue = (id: string, overrides: Partial<NewJob> = {}) =>
      store.jobs.enqueue({ id: jobId(id), type: "t", paramsJson: "{}", ...overrides }, fence);
    const claim = async (holder = "p1", types?: readonly string[], from = store) => {
      const row = await from.jobs.claim({ holder, ...(types === undefined ? {} : { types }) });
      if (row === undefined) throw new Error("nothing is due");
      return row;
    };
    const token = (row: JobRow): JobClaimToken => {
      if (row.claim === null) throw new Error(`job ${row.id} is not claimed`);
      return { id: row.id, holder: row.claim.holder, attempt: row.attempts };
    };
    const get = async (id: string) => {
      const row = await other.jobs.get(jobId(id));
      if (row === undefined) throw new Error(`there is no job ${id}`);
      return row;
    };
    const ids = (rows: readonly JobRow[]) => rows.map(({ id }) => id);
    const drain = async (types?: readonly string[]) => {
      const order: string[] = [];
      for (;;) {
        const row = await store.jobs.claim({ holder: "p1", ...(types === undefined ? {} : { types }) });
        if (row === undefined) return order;
        order.push(row.id);
      }
    };

    it("come back as queued, claimed and completed, also after a restart", async () => {
      const seen: JobRow[] = [];
      const job = fc.record({
        id: fc.tuple(text, fc.uuid()).map(([a, b]) => jobId(`${a} ${b}`)),
        type: text,
        paramsJson: fc.json(),
        maxAttempts: fc.integer({ min: 1, max: 1_000 }),
      });
      await fc.assert(
        fc.asyncProperty(job, fc.json(), text, async (queued, progressJson, holder) => {
          harness.clock.advance(1);
          expect(await store.jobs.enqueue(queued, fence)).toBe(true);
          const expected: JobRow = {
            ...queued,
            state: "queued",
            claim: null,
            progressJson: "{}",
            attempts: 0,
            runAfter: harness.clock.now(),
            cancelRequested: false,
            error: null,
            createdAt: harness.clock.now(),
            updatedAt: harness.clock.now(),
            finishedAt: null,
          };
          expect(await other.jobs.get(queued.id)).toEqual(expected);
          harness.clock.advance(1);
          const claimed = await other.jobs.claim({ holder, types: [queued.type] });
          expect(claimed).toEqual({
            ...expected,
            state: "in_progress",
            claim: { holder, expiresAt: harness.clock.now() + jobClaimTtlMs },
            attempts: 1,
            updatedAt: harness.clock.now(),
          });
          const done = await store.jobs.complete({ id: queued.id, holder, attempt: 1 }, progressJson);
          expect(done).toMatchObject({ state: "completed", progressJson, claim: null });
          expect(await other.jobs.get(queued.id)).toEqual(done);
          if (done !== undefined) seen.push(done);
        }),
        { numRuns: 60 },
      );
      await store.close();
      await other.close();
      const reopened = await harness.open();
      expect(await reopened.jobs.list()).toEqual(seen);
      expect(await reopened.jobs.get(jobId("none"))).toBeUndefined();
    });

    it("are queued once by id, whatever else is asked for", async () => {
      expect(await enqueue("a", { paramsJson: "[1]" })).toBe(true);
      const first = await get("a");
      harness.clock.advance(1);
      expect(await enqueue("a", { paramsJson: "[2]", type: "u", maxAttempts: 9 })).toBe(false);
      expect(await get("a")).toEqual(first);
      await store.jobs.complete(token(await claim()));
      expect(await enqueue("a")).toBe(false);
      expect(await drain()).toEqual([]);
    });

    it("are given to one of those that ask at once", async () => {
      for (let n = 0; n < 20; n++) await enqueue(`${n}`);
      const handles = [store, other, await harness.open(), await harness.open()];
      const claimed = await Promise.all(
        Array.from({ length: 40 }, (_, n) => handles[n % 4]?.jobs.claim({ holder: `p${n}` })),
      );
      const rows = claimed.filter((row) => row !== undefined);
      expect(new Set(ids(rows)).size).toBe(20);
      expect(rows).toHaveLength(20);
      expect(await store.jobs.countByState()).toMatchObject({ queued: 0, in_progress: 20 });
    });

    it("go to the one that waited longest: by due time, creation, and id byte by byte", async () => {
      await enqueue("late", { delayMs: 500 });
      for (const id of ["b", "ä", "𝄞", "a0", "a", "B", "\u{ff5a}"]) await enqueue(id);
      harness.clock.advance(1);
      await enqueue("_younger");
      await enqueue("soon", { delayMs: 3 });
      expect(await drain()).toEqual(["B", "a", "a0", "b", "ä", "\u{ff5a}", "𝄞", "_younger"]);
      harness.clock.advance(3);
      expect(await drain()).toEqual(["soon"]);
      harness.clock.advance(495);
      expect(await drain()).toEqual([]);
      harness.clock.advance(1);
      expect(await drain()).toEqual(["late"]);
    });

    it("are claimed by type, the longest waiting of several types first", async () => {
      for (const [n, type] of ["a", "b", "a:b", "a%3Ab", "a", "c"].entries()) {
        await enqueue(`${n}`, { type });
        harness.clock.advance(1);
      }
      expect(await drain(["none"])).toEqual([]);
      expect(await drain(["a:b", "c", "c"])).toEqual(["2", "5"]);
      expect(await drain(["b", "a"])).toEqual(["0", "1", "4"]);
      expect(await drain()).toEqual(["3"]);
    });

    it("keep their claim by heartbeats, with progress", async () => {
      await enqueue("a");
      const held = token(await claim());
      for (let beat = 1; beat <= 10; beat++) {
        harness.clock.advance(10_000);
        const row = await other.jobs.heartbeat(held, { progressJson: `{"n":${beat}}` });
        expect(row).toMatchObject({
          claim: { holder: "p1", expiresAt: harness.clock.now() + jobClaimTtlMs },
          progressJson: `{"n":${beat}}`,
          updatedAt: harness.clock.now(),
        });
        expect(await store.jobs.claim({ holder: "p2" })).toBeUndefined();
      }
      expect(await store.jobs.heartbeat(held, { ttlMs: 5 })).toMatchObject({ progressJson: '{"n":10}' });
      harness.clock.advance(5);
      expect(await claim("p2")).toMatchObject({ attempts: 2, progressJson: '{"n":10}' });
    });

    it("pass to the next when their claim ends; the former holder is refused from then on", async () => {
      await enqueue("a");
      const first = token(await claim("p1"));
      harness.clock.advance(jobClaimTtlMs - 1);
      expect(await other.jobs.claim({ holder: "p2" })).toBeUndefined();
      harness.clock.advance(1);
      const taken = await claim("p2", undefined, other);
      expect(taken).toMatchObject({ id: "a", attempts: 2, claim: { holder: "p2" } });
      const refuse = async (stale: JobClaimToken) => {
        expect(await store.jobs.heartbeat(stale, { progressJson: "[]" })).toBeUndefined();
        expect(await store.jobs.complete(stale, "[]")).toBeUndefined();
        expect(await store.jobs.fail(stale, { error: "x", retry: true })).toBeUndefined();
        expect(await store.jobs.release(stale)).toBeUndefined();
        expect(await get("a")).toEqual(taken);
      };
      await refuse(first);
      await refuse({ ...first, attempt: 2 });
      await refuse({ ...token(taken), attempt: 1 });
      await refuse({ ...token(taken), attempt: 3 });
      await refuse({ ...token(taken), holder: "" });
      await refuse({ ...token(taken), id: jobId("b") });
      expect(await store.jobs.complete(token(taken))).toMatchObject({ state: "completed" });
    });

    it("stay with a holder that was late, as long as nobody took them", async () => {
      await enqueue("a");
      await enqueue("b");
      const late = token(await claim("p1", ["t"]));
      harness.clock.advance(jobClaimTtlMs + 5_000);
      // Somebody looks, and takes another one that waited as long.
      expect(await store.jobs.claim({ holder: "p2", types: ["none"] })).toBeUndefined();
      expect(await other.jobs.heartbeat(late)).toMatchObject({ claim: { holder: "p1" }, attempts: 1 });
      expect(await drain()).toEqual(["b"]);
      harness.clock.advance(jobClaimTtlMs);
      expect(await store.jobs.complete(late)).toMatchObject({ state: "completed" });
      expect(await drain()).toEqual(["b"]);
    });

    it("wait their turn when their claim ended, among the queued ones", async () => {
      await enqueue("a");
      await claim("p1");
      harness.clock.advance(1);
      await enqueue("b");
      harness.clock.advance(jobClaimTtlMs);
      await enqueue("c");
      expect(await drain()).toEqual(["a", "b", "c"]);
    });

    it("fail when crashes have used up their attempts", async () => {
      await enqueue("a", { maxAttempts: 2 });
      await enqueue("b");
      for (const attempts of [1, 2]) {
        expect(await claim("p1", ["t"])).toMatchObject({ id: "a", attempts });
        harness.clock.advance(jobClaimTtlMs);
      }
      expect(await claim("p2")).toMatchObject({ id: "b" });
      expect(await get("a")).toMatchObject({
        state: "failed",
        claim: null,
        attempts: 2,
        finishedAt: harness.clock.now(),
        updatedAt: harness.clock.now(),
        error: expect.stringContaining("heartbeats"),
      });
      expect(await drain()).toEqual([]);
    });

    it("end in any number, when many holders were lost at once, before the next is claimed", async () => {
      for (let n = 0; n < 250; n++) await enqueue(`${1_000 + n}`, { maxAttempts: 1 });
      await drain();
      harness.clock.advance(1);
      await enqueue("next");
      harness.clock.advance(jobClaimTtlMs);
      expect(await claim()).toMatchObject({ id: "next" });
      expect(await store.jobs.countByState()).toEqual({
        queued: 0,
        in_progress: 1,
        completed: 0,
        failed: 250,
        canceled: 0,
      });
    });

    it("are repeated after 1, 2, 4 … seconds, five minutes at most, until their attempts are used up", async () => {
      await enqueue("a", { maxAttempts: 12 });
      const waits: number[] = [];
      for (let attempt = 1; attempt <= 12; attempt++) {
        const row = await store.jobs.fail(token(await claim()), { error: `no ${attempt}`, retry: true });
        expect(row).toMatchObject({ error: `no ${attempt}`, attempts: attempt, claim: null });
        if (attempt === 12) {
          expect(row).toMatchObject({ state: "failed", finishedAt: harness.clock.now() });
          break;
        }
        const wait = (row?.runAfter ?? 0) - harness.clock.now();
        expect(wait).toBe(jobBackoffMs(attempt));
        waits.push(wait / 1_000);
        harness.clock.advance(wait - 1);
        expect(await store.jobs.claim({ holder: "p2" })).toBeUndefined();
        harness.clock.advance(1);
      }
      expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    });

    it("fail at once where that is final", async () => {
      await enqueue("a");
      const row = await store.jobs.fail(token(await claim()), { error: "", retry: false });
      expect(row).toMatchObject({ state: "failed", error: "", attempts: 1, finishedAt: harness.clock.now() });
    });

    it("given back keep their place, their number of attempts left, and a fresh claim number", async () => {
      await enqueue("a", { maxAttempts: 1 });
      harness.clock.advance(1);
      await enqueue("b");
      for (let attempt = 1; attempt <= 4; attempt++) {
        const row = await claim();
        expect(row).toMatchObject({ id: "a", attempts: attempt, maxAttempts: attempt });
        expect(await store.jobs.release(token(row))).toMatchObject({
          state: "queued",
          claim: null,
          error: null,
        });
        expect(await store.jobs.release(token(row))).toBeUndefined();
      }
      const last = token(await claim());
      expect(await store.jobs.fail(last, { error: "x", retry: true })).toMatchObject({ state: "failed" });
    });

    it("are canceled at once while queued", async () => {
      await enqueue("a");
      harness.clock.advance(1);
      const canceled = await store.jobs.cancel(jobId("a"), fence);
      expect(canceled).toMatchObject({
        state: "canceled",
        cancelRequested: true,
        finishedAt: harness.clock.now(),
      });
      expect(await get("a")).toEqual(canceled);
      expect(await drain()).toEqual([]);
      expect(await store.jobs.cancel(jobId("none"), fence)).toBeUndefined();
    });

    it("in progress are canceled when their holder notices, however it ends", async () => {
      const endings: [string, (held: JobClaimToken) => Promise<JobRow | undefined>, JobState][] = [
        ["fail", (held) => store.jobs.fail(held, { error: "stopped", retry: true }), "canceled"],
        ["release", (held) => store.jobs.release(held), "canceled"],
        ["complete", (held) => store.jobs.complete(held), "completed"],
        [
          "crash",
          async () => {
            harness.clock.advance(jobClaimTtlMs);
            await drain();
            return other.jobs.get(jobId("crash"));
          },
          "canceled",
        ],
      ];
      for (const [id, end, state] of endings) {
        await enqueue(id);
        const held = token(await claim());
        const asked = await other.jobs.cancel(jobId(id), fence);
        expect(asked).toMatchObject({ state: "in_progress", cancelRequested: true, claim: { holder: "p1" } });
        harness.clock.advance(1);
        expect(await other.jobs.cancel(jobId(id), fence)).toEqual(asked);
        expect(await store.jobs.heartbeat(held)).toMatchObject({ cancelRequested: true });
        const ended = await end(held);
        expect(ended).toMatchObject({ state, claim: null, finishedAt: harness.clock.now() });
        harness.clock.advance(1);
        expect(await store.jobs.cancel(jobId(id), fence)).toEqual(ended);
        expect(await drain()).toEqual([]);
      }
    });

    it("are listed oldest first, by state, page by page, whatever happens behind the page", async () => {
      for (let n = 0; n < 30; n++) {
        await enqueue(`${(n * 7) % 30}`, { type: n % 3 === 0 ? "x" : "y" });
        if (n % 4 === 3) harness.clock.advance(1);
      }
      await store.jobs.complete(token(await claim("p1", ["x"])));
      await claim("p1", ["x"]);
      const all = await other.jobs.list();
      expect(all).toHaveLength(30);
      const sorted = all.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
      expect(ids(all)).toEqual(ids(sorted));
      expect(ids(await other.jobs.list({ states: ["completed", "in_progress"] }))).toEqual(
        ids(all.filter(({ state }) => state !== "queued")),
      );
      expect(await other.jobs.list({ states: [] })).toEqual([]);
      const paged: string[] = [];
      for (;;) {
        const last = all.find(({ id }) => id === paged.at(-1));
        const page = await other.jobs.list({
          states: ["queued"],
          limit: 4,
          ...(last === undefined ? {} : { after: last }),
        });
        if (page.length === 0) break;
        paged.push(...ids(page));
        // What was listed is on its way meanwhile.
        await store.jobs.cancel(jobId(page.at(-1)?.id ?? ""), fence);
      }
      expect(paged).toEqual(ids(all.filter(({ state }) => state === "queued")));
      expect(await other.jobs.list({ after: { createdAt: 0, id: jobId("x") }, limit: 30 })).toHaveLength(30);
    });

    it("are listed by thousands, with texts of any size", async () => {
      const big = JSON.stringify("ü".repeat(1_500_000));
      for (let n = 0; n < 1_040; n++) {
        await enqueue(`${10_000 + n}`, n % 200 === 0 ? { paramsJson: big } : {});
      }
      const all = await other.jobs.list({ limit: 10_000 });
      expect(ids(all)).toEqual(Array.from({ length: 1_040 }, (_, n) => `${10_000 + n}`));
      expect(all.filter(({ paramsJson }) => paramsJson === big)).toHaveLength(6);
      expect(await other.jobs.list()).toHaveLength(1_000);
    });

    it("are counted by state", async () => {
      const none = { queued: 0, in_progress: 0, completed: 0, failed: 0, canceled: 0 };
      expect(await store.jobs.countByState()).toEqual(none);
      for (const id of ["a", "b", "c", "d", "e", "f"]) await enqueue(id);
      await store.jobs.complete(token(await claim()));
      await store.jobs.fail(token(await claim()), { error: "x", retry: false });
      await store.jobs.fail(token(await claim()), { error: "x", retry: true });
      await claim();
      await store.jobs.cancel(jobId("e"), fence);
      expect(await other.jobs.countByState()).toEqual({
        queued: 2,
        in_progress: 1,
        completed: 1,
        failed: 1,
        canceled: 1,
      });
    });

    it("are pruned by age and by number once finished, never before", async () => {
      for (let n = 0; n < 8; n++) {
        await enqueue(`${n}`);
        if (n < 6) await store.jobs.complete(token(await claim()));
        harness.clock.advance(10);
      }
      await claim();
      const start = harness.clock.now() - 80;
      expect(await store.retention.pruneJobs({ finishedBefore: start + 30, limit: 2 }, fence)).toBe(2);
      expect(await store.retention.pruneJobs({ finishedBefore: start + 30, limit: 2 }, fence)).toBe(1);
      expect(await store.retention.pruneJobs({ finishedBefore: start + 30 }, fence)).toBe(0);
      expect(ids(await other.jobs.list())).toEqual(["3", "4", "5", "6", "7"]);
      expect(await store.retention.pruneJobs({ keepFinished: 2 }, fence)).toBe(1);
      expect(ids(await other.jobs.list())).toEqual(["4", "5", "6", "7"]);
      const everything = { keepFinished: 0, finishedBefore: start + 1_000_000 };
      expect(await store.retention.pruneJobs(everything, fence)).toBe(2);
      expect(ids(await other.jobs.list())).toEqual(["6", "7"]);
      expect(await other.jobs.countByState()).toMatchObject({ queued: 1, in_progress: 1, completed: 0 });
      expect(await enqueue("0")).toBe(true);
    });

    it("are pruned in batches of any size, the rest counted against the number to keep", async () => {
      for (let n = 0; n < 2_300; n++) {
        await enqueue(`${10_000 + n}`);
        await store.jobs.cancel(jobId(`${10_000 + n}`), fence);
      }
      await enqueue("open");
      expect(await store.retention.pruneJobs({ keepFinished: 200, limit: 10_000 }, fence)).toBe(2_100);
      const left = await other.jobs.list();
      expect(ids(left)).toEqual([...Array.from({ length: 200 }, (_, n) => `${12_100 + n}`), "open"]);
      expect(await store.retention.pruneJobs({ keepFinished: 200, limit: 10_000 }, fence)).toBe(0);
    });

    it("refuse what no backend could keep, changing nothing", async () => {
      await enqueue("a");
      const held = token(await claim());
      const before = await get("a");
      const jobs: Partial<NewJob>[] = [
        { type: "" },
        { type: "x".repeat(513) },
        { type: "half \ud800" },
        { paramsJson: "x".repeat(16 * 1024 * 1024 + 1) },
        ...[0, -1, 1.5, 1_001, Number.NaN].map((maxAttempts) => ({ maxAttempts })),
        ...[-1, 0.5, Number.POSITIVE_INFINITY, 2 ** 53].map((delayMs) => ({ delayMs })),
      ];
      for (const job of jobs) await expect(enqueue("b", job)).rejects.toBeInstanceOf(InvalidArgumentError);
      const claims = [
        { holder: "" },
        { holder: "p2", types: [] },
        { holder: "p2", types: Array.from({ length: 101 }, (_, n) => `${n}`) },
        { holder: "p2", types: [""] },
        { holder: "p2", ttlMs: 0 },
        { holder: "p2", ttlMs: 86_400_001 },
      ];
      for (const request of claims) {
        await expect(store.jobs.claim(request)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      const long = "x".repeat(16 * 1024 * 1024 + 1);
      for (const call of [
        store.jobs.heartbeat(held, { ttlMs: 0 }),
        store.jobs.heartbeat(held, { progressJson: long }),
        store.jobs.complete(held, long),
        store.jobs.fail(held, { error: long, retry: true }),
        store.jobs.list({ limit: 0 }),
        store.jobs.list({ limit: 10_001 }),
        store.retention.pruneJobs({ limit: 0 }, fence),
        store.retention.pruneJobs({ keepFinished: -1 }, fence),
      ]) {
        await expect(call).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      expect(await other.jobs.list()).toEqual([before]);
    });

    it("are queued, canceled and pruned by the leader only", async () => {
      await enqueue("a");
      await enqueue("b");
      await store.jobs.complete(token(await claim()));
      const before = await other.jobs.list();
      await store.lease.release(fence);
      await lead(other, "successor");
      await expect(enqueue("c")).rejects.toBeInstanceOf(FencedError);
      await expect(store.jobs.cancel(jobId("b"), fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.retention.pruneJobs({ keepFinished: 0 }, fence)).rejects.toBeInstanceOf(FencedError);
      expect(await other.jobs.list()).toEqual(before);
    });

    it("change hands only as the store's clock says, also when it is set back", async () => {
      await enqueue("a");
      const held = token(await claim());
      harness.clock.advance(jobClaimTtlMs);
      expect(await store.jobs.claim({ holder: "p2", types: ["none"] })).toBeUndefined();
      harness.clock.advance(-2 * jobClaimTtlMs);
      expect(await store.jobs.claim({ holder: "p2" })).toBeUndefined();
      expect(await store.jobs.release(held)).toMatchObject({
        state: "queued",
        runAfter: harness.clock.now(),
      });
      expect(await claim("p2")).toMatchObject({ attempts: 2 });
    });

    describeJobsModel(factory);
  });
}
