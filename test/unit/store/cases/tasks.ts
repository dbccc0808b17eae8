import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type FencingToken,
  InvalidArgumentError,
  nodeId,
  nodeTaskUid,
  StoreClosedError,
  type TaskErrorRow,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../../../src/store/task-store.js";
import { lead, nodeTask, type StoreFactory, type StoreHarness, task } from "../harness.js";

const failure: TaskErrorRow = { message: 'M "é"', code: "c", type: "invalid_request", link: "https://l" };

export function describeTasks(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;
  let fence: FencingToken;

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
    fence = await lead(store);
  });
  afterEach(() => harness.dispose());

  describe("task uids", () => {
    it("are consecutive, never given twice, and above every recorded task", async () => {
      expect(await store.tasks.nextUid()).toBe(0);
      expect(await store.tasks.allocateUids(3, fence)).toBe(0);
      expect(await store.tasks.allocateUids(1, fence)).toBe(3);
      expect(await (await harness.open()).tasks.allocateUids(10_000, fence)).toBe(4);
      expect(await store.tasks.nextUid()).toBe(10_004);
      await store.tasks.upsert([task(20_000)], fence);
      expect(await store.tasks.nextUid()).toBe(20_001);
      expect(await store.tasks.allocateUids(1, fence)).toBe(20_001);
    });

    it("are refused in numbers that make no sense", async () => {
      for (const count of [0, -1, 1.5, Number.NaN, 10_001]) {
        await expect(store.tasks.allocateUids(count, fence)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    });
  });

  describe("recording tasks", () => {
    it("gives back every member, also through another handle", async () => {
      const full = task(9_007_199_254_740_990, {
        status: "failed",
        enqueuedAt: 4,
        detailsJson: '{"n": 12345678901234567890, "s":"\\u0000 é 😀"}',
        error: failure,
        startedAt: 5,
        finishedAt: 6,
        canceledBy: taskUid(3),
        customMetadata: "a\u0000b😀",
        documentsByShard: new Map([
          [63, 2],
          [0, 9_007_199_254_740_991],
        ]),
        nodeTasks: [
          nodeTask("node-0", 4_294_967_295, { status: "failed", error: failure, shards: [0, 63] }),
          nodeTask("node-1", 0, { status: "succeeded", detailsJson: "{}", startedAt: 1, finishedAt: 2 }),
        ],
      });
      const plain = task(1, { indexUid: null, instance: null, type: "dumpCreation" });
      expect(await store.tasks.upsert([full, plain], fence)).toEqual([full, plain]);
      const other = await harness.open();
      expect(await other.tasks.get(full.uid)).toEqual(full);
      expect(await other.tasks.getMany([full.uid, taskUid(2), plain.uid, plain.uid])).toEqual([plain, full]);
      expect(await other.tasks.get(taskUid(2))).toBeUndefined();
    });

    it("changes nothing when repeated", async () => {
      const row = task(1, { nodeTasks: [nodeTask("node-0", 4)] });
      await store.tasks.upsert([row], fence);
      expect(await store.tasks.upsert([row, row], fence)).toEqual([row, row]);
      expect(await store.tasks.list({}, { limit: 5 })).toMatchObject({ tasks: [row], total: 1 });
    });

    it("never takes back a final status, nor what it came with", async () => {
      const final = task(1, { status: "succeeded", detailsJson: '{"n":1}', finishedAt: 9 });
      await store.tasks.upsert([final], fence);
      const late = task(1, {
        status: "failed",
        detailsJson: '{"n":2}',
        error: failure,
        startedAt: 1,
        finishedAt: 10,
        canceledBy: taskUid(7),
        customMetadata: "from the client",
        nodeTasks: [nodeTask("node-0", 4)],
      });
      await store.tasks.upsert([late], fence);
      expect(await store.tasks.get(taskUid(1))).toEqual({
        ...final,
        customMetadata: "from the client",
        nodeTasks: late.nodeTasks,
      });
    });

    it("lets an earlier state fill gaps without turning the status back", async () => {
      await store.tasks.upsert(
        [task(1, { status: "processing", startedAt: 50, indexUid: null, enqueuedAt: 40 })],
        fence,
      );
      const [merged] = await store.tasks.upsert(
        [task(1, { detailsJson: '{"receivedDocuments":2}', startedAt: 7, enqueuedAt: 30 })],
        fence,
      );
      expect(merged).toMatchObject({
        status: "processing",
        startedAt: 50,
        enqueuedAt: 30,
        indexUid: "movies",
        detailsJson: '{"receivedDocuments":2}',
      });
    });

    it("merges node tasks without dropping any", async () => {
      await store.tasks.upsert(
        [task(1, { nodeTasks: [nodeTask("node-1", 8, { status: "processing" }), nodeTask("node-0", 5)] })],
        fence,
      );
      const [merged] = await store.tasks.upsert(
        [task(1, { nodeTasks: [nodeTask("node-1", 8, { shards: [3] }), nodeTask("node-1", 7)] })],
        fence,
      );
      expect(merged?.nodeTasks).toEqual([
        nodeTask("node-0", 5),
        nodeTask("node-1", 7),
        nodeTask("node-1", 8, { status: "processing", shards: [3] }),
      ]);
      expect(await store.tasks.get(taskUid(1))).toEqual(merged);
    });

    it("stores all of a call or nothing", async () => {
      const bad = [
        task(2, { indexUid: "" }),
        task(2, { enqueuedAt: 1.5 }),
        task(2, { status: "succeeded" }),
        { ...task(2), uid: -1 as ReturnType<typeof taskUid> },
        task(2, { indexUid: "x".repeat(513) }),
        task(2, { type: "somethingElse" as TaskRow["type"] }),
        task(2, { status: "lost" as TaskRow["status"] }),
        task(2, { documentsByShard: new Map([[0, 0.5]]) }),
        task(2, { nodeTasks: [nodeTask("node-0", 1, { shards: [-1] })] }),
        task(2, { nodeTasks: Array.from({ length: 10_001 }, (_, n) => nodeTask("node-0", n)) }),
      ];
      for (const row of bad) {
        await expect(store.tasks.upsert([task(1), row], fence)).rejects.toMatchObject({
          code: "invalid_argument",
          outcome: "certainly-aborted",
        });
      }
      await expect(
        store.tasks.upsert(
          Array.from({ length: 1_001 }, (_, uid) => task(uid)),
          fence,
        ),
      ).rejects.toBeInstanceOf(InvalidArgumentError);
      expect(await store.tasks.get(taskUid(1))).toBeUndefined();
    });
  });

  describe("large and simultaneous calls", () => {
    it("record 1,000 tasks with 10,000 node tasks, and what all of them come to", {
      timeout: 30_000,
    }, async () => {
      const nodes = Array.from({ length: 10 }, (_, n) => `node-${n}`);
      const rows = Array.from({ length: 1_000 }, (_, uid) =>
        task(uid, { nodeTasks: nodes.map((node) => nodeTask(node, uid, { shards: [uid] })) }),
      );
      await store.tasks.upsert(rows, fence);
      const updates = rows.map((row) => ({
        nodeId: nodeId("node-3"),
        nodeTaskUid: nodeTaskUid(row.uid),
        status: "succeeded" as const,
        error: null,
        detailsJson: '{"receivedDocuments":1,"indexedDocuments":1}',
        startedAt: 1,
        finishedAt: 2,
      }));
      const { changed, unknown } = await store.tasks.applyNodeTaskUpdates(updates, fence);
      expect([changed.length, unknown.length]).toEqual([1_000, 0]);
      expect(await store.tasks.getMany(rows.map((row) => row.uid))).toEqual(changed);
      expect((await store.tasks.countOpenNodeTasks()).get(nodeId("node-3"))).toBeUndefined();
      expect((await store.tasks.openNodeTasks(nodeId("node-9"))).length).toBe(1_000);
      await harness.expectConsistentTasks();
      await expect(
        store.tasks.applyNodeTaskUpdates([...updates, ...updates.slice(0, 1)], fence),
      ).rejects.toBeInstanceOf(InvalidArgumentError);
    });

    it("lose nothing of each other", async () => {
      const handles = [store, await harness.open()];
      await Promise.all(
        Array.from({ length: 30 }, (_, n) => {
          const handle = handles[n % 2] ?? store;
          const one = nodeTask("node-0", n, { status: "processing" });
          return n % 3 === 0
            ? handle.tasks.applyNodeTaskUpdates([{ ...one, taskUid: taskUid(1) }], fence)
            : handle.tasks.upsert([task(1, { nodeTasks: [one] }), task(100 + n)], fence);
        }),
      );
      const known = new Set(
        (await store.tasks.get(taskUid(1)))?.nodeTasks.map((one) => Number(one.nodeTaskUid)),
      );
      for (let n = 0; n < 30; n++) if (n % 3 !== 0) expect(known).toContain(n);
      expect((await store.tasks.list({}, { limit: 0 })).total).toBe(21);
      await harness.expectConsistentTasks();
    });
  });

  describe("node tasks", () => {
    it("lead to their client task; the newest one where a node counts again from 0", async () => {
      await store.tasks.upsert(
        [
          task(5, { nodeTasks: [nodeTask("node-0", 1), nodeTask("node-1", 1)] }),
          task(9, { nodeTasks: [nodeTask("node-0", 1)] }),
        ],
        fence,
      );
      expect(await store.tasks.findByNodeTask(nodeId("node-0"), nodeTaskUid(1))).toBe(9);
      expect(
        await store.tasks.findByNodeTasks([
          { nodeId: nodeId("node-1"), nodeTaskUid: nodeTaskUid(1) },
          { nodeId: nodeId("node-1"), nodeTaskUid: nodeTaskUid(2) },
          { nodeId: nodeId("node-0"), nodeTaskUid: nodeTaskUid(1) },
        ]),
      ).toEqual([5, undefined, 9]);
    });

    it("take over what the logs say, and report what changed and what is unknown", async () => {
      await store.tasks.upsert([task(1, { nodeTasks: [nodeTask("node-0", 4)] }), task(2)], fence);
      const update = (uid: number, overrides: object = {}) => ({
        ...nodeTask("node-0", uid, { status: "succeeded", detailsJson: "{}", finishedAt: 3 }),
        ...overrides,
      });
      const updates = [
        update(4),
        update(5),
        update(6, { taskUid: taskUid(2) }),
        update(7, { taskUid: taskUid(3) }),
      ];
      const result = await store.tasks.applyNodeTaskUpdates(updates, fence);
      expect(result.changed).toEqual([
        task(1, { nodeTasks: [update(4)] }),
        task(2, { nodeTasks: [update(6)] }),
      ]);
      expect(result.unknown).toEqual([updates[1], updates[3]]);
      const again = await store.tasks.applyNodeTaskUpdates(
        [update(4), update(4, { status: "processing" }), update(6, { status: "failed", error: failure })],
        fence,
      );
      expect(again).toEqual({ changed: [], unknown: [] });
    });

    it("that are open are listed by node in pages, and counted", async () => {
      await store.tasks.upsert(
        [
          task(1, { nodeTasks: [nodeTask("node-0", 30), nodeTask("node-1", 1, { status: "canceled" })] }),
          task(2, { nodeTasks: [nodeTask("node-0", 10, { status: "processing" })] }),
          task(3, { status: "succeeded", finishedAt: 4, nodeTasks: [nodeTask("node-0", 20)] }),
        ],
        fence,
      );
      const uids = async (page?: { after?: ReturnType<typeof nodeTaskUid>; limit?: number }) =>
        (await store.tasks.openNodeTasks(nodeId("node-0"), page)).map((open) => open.nodeTaskUid);
      expect(await store.tasks.openNodeTasks(nodeId("node-0"), { limit: 1 })).toEqual([
        { nodeId: "node-0", nodeTaskUid: 10, taskUid: 2, status: "processing" },
      ]);
      expect(await uids()).toEqual([10, 20, 30]);
      expect(await uids({ after: nodeTaskUid(10), limit: 1 })).toEqual([20]);
      expect(await store.tasks.openNodeTasks(nodeId("node-1"))).toEqual([]);
      expect(await store.tasks.countOpenNodeTasks()).toEqual(new Map([["node-0", 3]]));
      expect(await store.tasks.countOpen()).toBe(2);
    });
  });

  it("refuses every call once it is closed, and closes twice without complaint", async () => {
    await store.close();
    await store.close();
    await expect(store.tasks.get(taskUid(1))).rejects.toBeInstanceOf(StoreClosedError);
    await expect(store.tasks.list({}, { limit: 1 })).rejects.toBeInstanceOf(StoreClosedError);
    await expect(store.tasks.upsert([task(1)], fence)).rejects.toBeInstanceOf(StoreClosedError);
    await expect(store.topology.load()).rejects.toBeInstanceOf(StoreClosedError);
    await expect(store.lease.renew(fence, 1)).rejects.toBeInstanceOf(StoreClosedError);
  });
}
