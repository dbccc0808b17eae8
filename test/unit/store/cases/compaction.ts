import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FencingToken, type TaskStore, taskUid } from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness, task } from "../harness.js";

export function describeCompaction(factory: StoreFactory): void {
  describe("compaction", () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let fence: FencingToken;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open();
      fence = await lead(store);
    });
    afterEach(() => harness.dispose());

    it("keeps every row, and takes no more space than before", async () => {
      const detailsJson = JSON.stringify({ text: "x".repeat(2_000) });
      const rows = Array.from({ length: 500 }, (_, uid) =>
        task(uid, { detailsJson, status: "succeeded", finishedAt: 1 }),
      );
      await store.tasks.upsert(rows, fence);
      await store.tasks.delete(
        rows.slice(0, 480).map(({ uid }) => taskUid(uid)),
        fence,
      );
      const result = await store.compact(Number.MAX_SAFE_INTEGER);
      if (result.kind !== "compacted") throw new Error(result.kind);
      expect(result.bytesAfter).toBeLessThanOrEqual(result.bytesBefore);
      const { tasks, total } = await store.tasks.list({}, { limit: 100 });
      expect(total).toBe(20);
      expect(tasks.map(({ uid, detailsJson: details }) => [uid, details])).toEqual(
        rows
          .slice(480)
          .reverse()
          .map(({ uid }) => [uid, detailsJson]),
      );
      await store.tasks.upsert([task(500)], fence);
    });
  });
}
