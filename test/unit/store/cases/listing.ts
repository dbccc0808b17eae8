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
