import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  InvalidArgumentError,
  type TaskFilter,
  type TaskPageRequest,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness, task } from "../harness.js";
import { TaskModel } from "../task-model.js";

const rows: readonly TaskRow[] = [
  task(0, { status: "succeeded", startedAt: 1_010, finishedAt: 1_020 }),
  task(1, { status: "failed", indexUid: "books", startedAt: 1_011, finishedAt: 1_030 }),
  task(2, { status: "canceled", canceledBy: taskUid(4), finishedAt: 1_025 }),
  task(3, { indexUid: null, instance: null, type: "dumpCreation" }),
  task(4, {
    indexUid: null,
    instance: null,
    type: "taskCancelation",
    status: "succeeded",
    finishedAt: 1_026,
  }),
  task(5, { status: "processing", indexUid: "books", startedAt: 1_012 }),
  task(6, { type: "settingsUpdate" }),
];

/** Tasks of a few kinds, whose times do not quite follow their uids. */
function historicTask(uid: number): TaskRow {
  const status = uid % 5 === 0 ? "canceled" : uid % 3 === 0 ? "failed" : "succeeded";
  return task(uid, {
    indexUid: `i${uid % 4}`,
    status,
    enqueuedAt: uid + ((uid * 37) % 101),
    startedAt: status === "canceled" ? null : uid + 200 + ((uid * 17) % 59),
    finishedAt: uid + 300 + ((uid * 11) % 211),
    canceledBy: status === "canceled" ? taskUid(uid % 10 === 0 ? 4 : 9) : null,
    detailsJson: uid % 7 === 0 ? JSON.stringify({ text: `é${"x".repeat(uid % 2_000)}` }) : null,
    documentsByShard: new Map(Array.from({ length: uid % 40 }, (_, shard) => [shard, uid])),
  });
}

export function describeListing(factory: StoreFactory): void {
  describe("listing tasks", () => {
    let harness: StoreHarness;
    let store: TaskStore;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      await store.tasks.upsert(rows, await lead(store));
    });
    afterEach(() => harness.dispose());

    async function uids(filter: TaskFilter, page: Partial<TaskPageRequest> = {}): Promise<number[]> {
      const { tasks } = await store.tasks.list(filter, { limit: 20, ...page });
      return tasks.map((row) => row.uid);
    }

    it("gives the newest first, the oldest first when reversed, whole rows either way", async () => {
      expect(await store.tasks.list({}, { limit: 20 })).toEqual({
        tasks: rows.toReversed(),
        total: 7,
        next: undefined,
      });
      expect(await uids({}, { reverse: true })).toEqual([0, 1, 2, 3, 4, 5, 6]);
    });

    it("pages in both directions, with the total of all pages", async () => {
      for (const reverse of [false, true]) {
        for (const filter of [{}, { afterEnqueuedAt: 0 }, { statuses: ["enqueued", "succeeded"] }] as const) {
          const whole = await uids(filter, { reverse });
          const seen: number[] = [];
          let from: TaskPageRequest["from"];
          do {
            const page = await store.tasks.list(filter, {
              limit: 2,
              reverse,
              ...(from === undefined ? {} : { from }),
            });
            expect(page.total).toBe(whole.length);
            seen.push(...page.tasks.map((row) => row.uid));
            from = page.next;
          } while (from !== undefined);
          expect(seen).toEqual(whole);
        }
      }
    });

    it("starts at a uid that need not match", async () => {
      expect(await uids({ statuses: ["enqueued"] }, { from: taskUid(5) })).toEqual([3]);
      expect(await uids({ statuses: ["enqueued"] }, { from: taskUid(4), reverse: true })).toEqual([6]);
      expect(
        await store.tasks.list({ afterEnqueuedAt: 1_005 }, { limit: 2, from: taskUid(5) }),
      ).toMatchObject({
        tasks: [],
        total: 1,
      });
    });

    it("gives totals alone with a limit of 0", async () => {
      expect(await store.tasks.list({ statuses: ["failed"] }, { limit: 0 })).toEqual({
        tasks: [],
        total: 1,
        next: 1,
      });
    });

    it("filters", async () => {
      expect(await uids({ uids: [taskUid(2), taskUid(5), taskUid(77)] })).toEqual([5, 2]);
      expect(await uids({ indexUids: ["books", "none"] })).toEqual([5, 1]);
      expect(await uids({ indexUids: [""] })).toEqual([]);
      expect(await uids({ statuses: ["failed", "canceled"] })).toEqual([2, 1]);
      expect(await uids({ types: ["dumpCreation", "settingsUpdate"] })).toEqual([6, 3]);
      expect(await uids({ canceledBy: [taskUid(4)] })).toEqual([2]);
      expect(await uids({ statuses: ["succeeded"], types: ["documentAdditionOrUpdate"] })).toEqual([0]);
      expect(await uids({ indexUids: ["movies"], uids: [taskUid(0), taskUid(1)] })).toEqual([0]);
    });

    it("filters by times, bounds excluded, tasks without that time left out", async () => {
      expect(await uids({ afterEnqueuedAt: 1_001, beforeEnqueuedAt: 1_004 })).toEqual([3, 2]);
      expect(await uids({ beforeStartedAt: 1_012 })).toEqual([1, 0]);
      expect(await uids({ afterStartedAt: 1_011 })).toEqual([5]);
      expect(await uids({ beforeFinishedAt: 1_026, statuses: ["succeeded", "canceled"] })).toEqual([2, 0]);
      expect(await uids({ afterFinishedAt: 1_025 })).toEqual([4, 1]);
    });

    it("matches nothing with an empty list of values", async () => {
      for (const filter of [{ uids: [] }, { indexUids: [] }, { statuses: [] }, { canceledBy: [] }] as const) {
        expect(await store.tasks.list(filter, { limit: 5 })).toEqual({
          tasks: [],
          total: 0,
          next: undefined,
        });
      }
    });

    it("lists over more kinds of tasks than it merges ranges for", async () => {
      const fence = await lead(store);
      const many = Array.from({ length: 400 }, (_, index) => task(100 + index, { indexUid: `i${index}` }));
      await store.tasks.upsert(many, fence);
      const page = await store.tasks.list({ statuses: ["enqueued"] }, { limit: 3, from: taskUid(200) });
      expect(page).toMatchObject({ total: 402, next: 197 });
      expect(page.tasks.map((row) => row.uid)).toEqual([200, 199, 198]);
    });

    it("lists a longer history than one step takes, by one filter and by several", {
      timeout: 30_000,
    }, async () => {
      const fence = await lead(store);
      const model = new TaskModel();
      for (const row of rows) model.upsert(row);
      for (let first = 1_000; first < 4_000; first += 1_000) {
        const history = Array.from({ length: 1_000 }, (_, offset) => historicTask(first + offset));
        for (const row of history) model.upsert(row);
        await store.tasks.upsert(history, fence);
      }
      const filters: TaskFilter[] = [
        {},
        { statuses: ["succeeded"] },
        { uids: Array.from({ length: 2_500 }, (_, index) => taskUid(index * 2)) },
        { canceledBy: [taskUid(4), taskUid(9)] },
        { beforeEnqueuedAt: 3_500 },
        { afterStartedAt: 2_500, beforeStartedAt: 4_800 },
        { afterFinishedAt: 3_000, beforeFinishedAt: 3_001 },
        { afterFinishedAt: 2_100, statuses: ["succeeded", "failed"] },
        { beforeEnqueuedAt: 4_000, afterFinishedAt: 3_000 },
        { canceledBy: [taskUid(9)], indexUids: ["i1", "i2"], afterEnqueuedAt: 2_000 },
        { types: ["documentAdditionOrUpdate"], uids: [taskUid(1_500), taskUid(3_999), taskUid(5_000)] },
      ];
      for (const filter of filters) {
        for (const page of [
          { limit: 2_345 },
          { limit: 1_000, from: taskUid(2_048), reverse: true },
          { limit: 3, from: taskUid(1_023) },
          { limit: 0, reverse: true },
        ]) {
          expect(await store.tasks.list(filter, page)).toEqual(model.list(filter, page));
        }
      }
    });

    it("finds indexes by names that mean something in keys", async () => {
      const fence = await lead(store);
      const names = ["a:b", "a%3Ab", "a%", "_x", "b", "é:"];
      await store.tasks.upsert(
        names.map((indexUid, index) => task(50 + index, { indexUid })),
        fence,
      );
      for (const [index, name] of names.entries())
        expect(await uids({ indexUids: [name] })).toEqual([50 + index]);
      expect(await uids({ indexUids: ["a"] })).toEqual([]);
    });

    it("refuses limits and times that make no sense", async () => {
      for (const limit of [-1, 0.5, 1_000_001, Number.NaN]) {
        await expect(store.tasks.list({}, { limit })).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      await expect(store.tasks.list({ afterStartedAt: 0.5 }, { limit: 1 })).rejects.toBeInstanceOf(
        InvalidArgumentError,
      );
    });
  });
}
