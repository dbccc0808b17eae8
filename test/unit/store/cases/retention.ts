import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type FencingToken,
  nodeId,
  nodeTaskUid,
  type TaskStore,
  taskUid,
} from "../../../../src/store/task-store.js";
import { lead, nodeTask, type StoreFactory, type StoreHarness, task } from "../harness.js";

export function describeRetention(factory: StoreFactory): void {
  describe("retention", () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let fence: FencingToken;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      fence = await lead(store);
      // Every third task is unfinished; finishing times run against the order of uids.
      const rows = Array.from({ length: 30 }, (_, uid) =>
        uid % 3 === 0
          ? task(uid, { nodeTasks: [nodeTask("node-0", uid)] })
          : task(uid, {
              status: "succeeded",
              finishedAt: 1_000 - uid,
              nodeTasks: [nodeTask("node-0", uid, { status: "succeeded" })],
            }),
      );
      await store.tasks.upsert(rows, fence);
    });
    afterEach(() => harness.dispose());

    const finished = async () =>
      (await store.tasks.list({ statuses: ["succeeded"] }, { limit: 100 })).tasks.map((row) => row.uid);

    it("deletes what finished before a time, in bounded batches, with its node tasks", async () => {
      const rule = { finishedBefore: 1_000 - 20, limit: 4 };
      expect(await store.retention.pruneTasks(rule, fence)).toBe(4);
      expect(await finished()).toEqual([23, 22, 20, 19, 17, 16, 14, 13, 11, 10, 8, 7, 5, 4, 2, 1]);
      expect(await store.retention.pruneTasks(rule, fence)).toBe(2);
      expect(await store.retention.pruneTasks(rule, fence)).toBe(0);
      expect(await store.tasks.findByNodeTask(nodeId("node-0"), nodeTaskUid(29))).toBeUndefined();
      expect(await store.tasks.findByNodeTask(nodeId("node-0"), nodeTaskUid(20))).toBe(20);
    });

    it("deletes what exceeds a number, the earliest finished first, never an unfinished task", async () => {
      expect(await store.retention.pruneTasks({ keepFinished: 3 }, fence)).toBe(17);
      expect(await finished()).toEqual([4, 2, 1]);
      expect(await store.retention.pruneTasks({ keepFinished: 0, finishedBefore: 10_000 }, fence)).toBe(3);
      expect(await store.tasks.list({}, { limit: 0 })).toMatchObject({ total: 10 });
      expect(await store.tasks.countOpen()).toBe(10);
    });

    it("keeps a finished task while a node still has to finish its part", async () => {
      await store.tasks.upsert(
        [task(50, { status: "failed", finishedAt: 1, nodeTasks: [nodeTask("node-1", 7)] })],
        fence,
      );
      expect(await store.retention.pruneTasks({ finishedBefore: 2 }, fence)).toBe(0);
      await store.tasks.applyNodeTaskUpdates([nodeTask("node-1", 7, { status: "failed" })], fence);
      expect(await store.retention.pruneTasks({ finishedBefore: 2 }, fence)).toBe(1);
    });

    it("deletes the tasks named, with their node tasks, never an unfinished one", async () => {
      await store.tasks.upsert(
        [task(50, { status: "failed", finishedAt: 1, nodeTasks: [nodeTask("node-1", 7)] })],
        fence,
      );
      const uids = [20, 1, 0, 3, 50, 2, 1, 999].map(taskUid);
      expect(await store.tasks.delete(uids, fence)).toEqual([1, 2, 20]);
      expect(await store.tasks.delete(uids, fence)).toEqual([]);
      expect(await store.tasks.delete([], fence)).toEqual([]);
      expect((await finished()).filter((uid) => uid <= 20)).toEqual([19, 17, 16, 14, 13, 11, 10, 8, 7, 5, 4]);
      expect(await store.tasks.list({}, { limit: 0 })).toMatchObject({ total: 28 });
      expect(await store.tasks.findByNodeTask(nodeId("node-0"), nodeTaskUid(20))).toBeUndefined();
      expect(await store.tasks.countOpen()).toBe(10);
    });

    it("refuses to delete tasks under an old fence, or too many at once", async () => {
      const uids = Array.from({ length: 1_001 }, (_, uid) => taskUid(uid));
      await expect(store.tasks.delete(uids, fence)).rejects.toThrow(/at most 1000/);
      const old = { ...fence, term: fence.term - 1 };
      await expect(store.tasks.delete([taskUid(1)], old)).rejects.toThrow();
      expect(await store.tasks.get(taskUid(1))).toBeDefined();
    });

    it("does not give uids of deleted tasks again", async () => {
      expect(await store.tasks.allocateUids(5, fence)).toBe(30);
      await store.tasks.upsert([task(34, { status: "succeeded", finishedAt: 1 })], fence);
      await store.retention.pruneTasks({ keepFinished: 0 }, fence);
      expect(await store.tasks.allocateUids(1, fence)).toBe(35);
    });
  });
}
