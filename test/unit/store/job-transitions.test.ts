import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeJob } from "../../../src/store/job-record.js";
import {
  cancelJob,
  checkClaimRequest,
  completeJob,
  failJob,
  isHeldUnder,
  releaseJob,
  renewJob,
  takeJob,
} from "../../../src/store/job-transitions.js";
import { jobIndexEntries } from "../../../src/store/redis/jobs-table.js";
import { Keyspace } from "../../../src/store/redis/keyspace.js";
import { presentFields } from "../../../src/store/redis/row-fields.js";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import { type JobRow, jobId, type TaskStore } from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { lead, ManualClock } from "./harness.js";
import { openBackend } from "./open-backend.js";

const now = 1_700_000_000_000;
const around = fc.integer({ min: now - 3, max: now + 3 });
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 });

/** A job in any state that its history can have brought it to. */
const job: fc.Arbitrary<JobRow> = fc
  .record({
    id: fc.uuid().map(jobId),
    type: text,
    paramsJson: fc.json(),
    progressJson: fc.json(),
    attempts: fc.integer({ min: 1, max: 30 }),
    spare: fc.integer({ min: -1, max: 2 }),
    runAfter: around,
    cancelRequested: fc.boolean(),
    error: fc.option(fc.string()),
    createdAt: around,
    updatedAt: around,
    state: fc.constantFrom(
      "queued",
      "in_progress",
      "in_progress",
      "in_progress",
      "completed",
      "failed",
      "canceled",
    ),
    holder: text,
    ends: around,
  })
  .map(({ spare, holder, ends, ...row }) => ({
    ...row,
    maxAttempts: Math.max(1, row.attempts + spare),
    cancelRequested: row.cancelRequested && row.state !== "queued",
    claim: row.state === "in_progress" ? { holder, expiresAt: ends } : null,
    finishedAt: row.state === "queued" || row.state === "in_progress" ? null : ends,
  }));

/** What a caller may do to a job, by the store and by the pure functions that SQLite runs. */
interface Act {
  readonly name: string;
  readonly store: (store: TaskStore, row: JobRow) => Promise<JobRow | undefined>;
  readonly pure: (row: JobRow) => JobRow | undefined;
}

const token = (row: JobRow, stale: number) => ({
  id: row.id,
  holder: row.claim?.holder ?? "nobody",
  attempt: row.attempts - stale,
});

describeWithRedis("what becomes of a job", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "no" });
  });
  afterAll(() => server.stop());

  describe("on Redis", () => {
    it("is decided by its scripts as by the functions that SQLite runs", async () => {
      const url = server.freshUrl();
      const location = parseStoreUrl(url);
      if (location.kind !== "redis") throw new Error("not a Redis URL");
      const keys = new Keyspace(location.keyPrefix);
      const store = await openBackend({ url }, new ManualClock(now));
      const fence = await lead(store);
      const client = server.client();

      const stale = fc.constantFrom(0, 0, 0, 1);
      const ttlMs = fc.integer({ min: 1, max: 60_000 });
      const progress = fc.option(fc.json(), { nil: undefined });
      const heldAct = (
        name: string,
        offset: number,
        call: (store: TaskStore, claim: ReturnType<typeof token>) => Promise<JobRow | undefined>,
        pure: (row: JobRow) => JobRow,
      ): Act => ({
        name,
        store: (to, row) => call(to, token(row, offset)),
        pure: (row) => (isHeldUnder(row, token(row, offset)) ? pure(row) : undefined),
      });
      const act: fc.Arbitrary<Act> = fc.oneof(
        fc.tuple(stale, ttlMs, progress).map(([offset, ttl, progressJson]) =>
          heldAct(
            "heartbeat",
            offset,
            (to, claim) =>
              to.jobs.heartbeat(claim, {
                ttlMs: ttl,
                ...(progressJson === undefined ? {} : { progressJson }),
              }),
            (row) => renewJob(row, { ttlMs: ttl, progressJson }, now),
          ),
        ),
        fc.tuple(stale, progress).map(([offset, progressJson]) =>
          heldAct(
            "complete",
            offset,
            (to, claim) => to.jobs.complete(claim, progressJson),
            (row) => completeJob(row, progressJson, now),
          ),
        ),
        fc.tuple(stale, fc.string(), fc.boolean()).map(([offset, error, retry]) =>
          heldAct(
            "fail",
            offset,
            (to, claim) => to.jobs.fail(claim, { error, retry }),
            (row) => failJob(row, { error, retry }, now),
          ),
        ),
        stale.map((offset) =>
          heldAct(
            "release",
            offset,
            (to, claim) => to.jobs.release(claim),
            (row) => releaseJob(row, now),
          ),
        ),
        fc.constant<Act>({
          name: "cancel",
          store: (to, row) => to.jobs.cancel(row.id, fence),
          pure: (row) => cancelJob(row, now),
        }),
        fc.tuple(text, ttlMs).map(
          ([holder, ttl]): Act => ({
            name: "claim",
            store: (to, row) => to.jobs.claim({ holder, ttlMs: ttl, types: [row.type] }),
            pure: (row) => {
              const due =
                (row.state === "queued" && row.runAfter <= now) ||
                (row.claim !== null && row.claim.expiresAt <= now);
              return due ? takeJob(row, checkClaimRequest({ holder, ttlMs: ttl }), now) : undefined;
            },
          }),
        ),
      );

      await fc.assert(
        fc.asyncProperty(job, act, async (row, { name, store: call, pure }) => {
          const leftOver = await client.keys(`${keys.table("jobs")}:*`);
          if (leftOver.length > 0) await client.del(...leftOver);
          const key = keys.row("jobs", row.id);
          const record = encodeJob(row);
          const put = client.multi().hset(key, presentFields({ ...record }));
          for (const entry of jobIndexEntries(keys, record)) put.zadd(entry.key, entry.score, entry.member);
          await put.exec();
          const expected = pure(row);
          const result = await call(store, row);
          // A claim that only ended the job gives nothing to its caller.
          const given = name === "claim" && expected?.state !== "in_progress" ? undefined : expected;
          expect(result).toEqual(given);
          const after = expected ?? row;
          expect(await store.jobs.get(row.id)).toEqual(after);
          // It stands where a job of that kind does, and nowhere else.
          for (const entry of jobIndexEntries(keys, encodeJob(after))) {
            expect(await client.zscore(entry.key, entry.member)).toBe(String(entry.score));
            await client.zrem(entry.key, entry.member);
          }
          await client.del(key);
          const indexes = await client.keys(`${keys.table("jobs")}:_*`);
          expect(name === "claim" ? indexes.filter((index) => !index.includes(":_queued")) : indexes).toEqual(
            [],
          );
        }),
        { numRuns: 2_000 },
      );
      await store.close();
    }, 60_000);
  });
});
