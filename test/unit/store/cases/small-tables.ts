import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConflictError,
  type FencingToken,
  indexInstance,
  type NodeCursorRow,
  type NodeSettingsVersionRow,
  nodeId,
  nodeTaskUid,
  type TaskStore,
  type WorkflowRow,
  workflowId,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";

const time = fc.nat({ max: 4_102_444_800_000 });
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const uint32 = fc.nat({ max: 4_294_967_295 }).map(nodeTaskUid);

const cursor: fc.Arbitrary<NodeCursorRow> = fc.record({
  nodeId: text.map(nodeId),
  frontierUid: fc.option(uint32),
  lastSeenUid: fc.option(uint32),
  identity: text,
  updatedAt: time,
});
const settingsVersion: fc.Arbitrary<NodeSettingsVersionRow> = fc.record({
  instance: text.map(indexInstance),
  nodeId: text.map(nodeId),
  version: fc.maxSafeNat(),
  fingerprint: text,
  updatedAt: time,
});
const workflow: fc.Arbitrary<WorkflowRow> = fc.record({
  id: text.map(workflowId),
  kind: text,
  step: text,
  stateJson: fc.json(),
  createdAt: time,
  updatedAt: time,
  finishedAt: fc.option(time),
});
const runs = { numRuns: 60 };

export function describeSmallTables(factory: StoreFactory): void {
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

  describe("node cursors", () => {
    it("come back as the last ones put, by node", async () => {
      const model = new Map<string, NodeCursorRow>();
      await fc.assert(
        fc.asyncProperty(fc.array(cursor, { maxLength: 4 }), async (rows) => {
          await store.nodeCursors.put(rows, fence);
          for (const row of rows) model.set(row.nodeId, row);
          for (const row of rows) {
            expect(await other.nodeCursors.get(row.nodeId)).toEqual(model.get(row.nodeId));
          }
          expect(new Set(await other.nodeCursors.list())).toEqual(new Set(model.values()));
        }),
        runs,
      );
      for (const id of model.keys()) expect(await store.nodeCursors.delete(nodeId(id), fence)).toBe(true);
      expect(await other.nodeCursors.list()).toEqual([]);
      expect(await store.nodeCursors.delete(nodeId("node-0"), fence)).toBe(false);
      expect(await store.nodeCursors.get(nodeId("node-0"))).toBeUndefined();
    });
  });

  describe("settings versions", () => {
    it("come back by instance and node", async () => {
      await fc.assert(
        fc.asyncProperty(settingsVersion, async (row) => {
          await store.nodeSettingsVersions.put([row], fence);
          const found = await other.nodeSettingsVersions.listByInstance(row.instance);
          expect(found).toContainEqual(row);
          expect(await other.nodeSettingsVersions.list()).toContainEqual(row);
          expect(await store.nodeSettingsVersions.delete(row.instance, row.nodeId, fence)).toBe(1);
        }),
        runs,
      );
      expect(await other.nodeSettingsVersions.list()).toEqual([]);
    });

    it("never go back, and go with their index", async () => {
      const instance = indexInstance("abcd2345");
      const row = (node: string, version: number, fingerprint: string) => ({
        instance,
        nodeId: nodeId(node),
        version,
        fingerprint,
        updatedAt: 1,
      });
      await store.nodeSettingsVersions.put([row("node-0", 2, "b"), row("node-1", 1, "a")], fence);
      await store.nodeSettingsVersions.put([row("node-0", 1, "a"), row("node-1", 1, "c")], fence);
      expect(await other.nodeSettingsVersions.listByInstance(instance)).toEqual([
        row("node-0", 2, "b"),
        row("node-1", 1, "c"),
      ]);
      expect(await store.nodeSettingsVersions.delete(instance, undefined, fence)).toBe(2);
    });
  });

  describe("workflows", () => {
    it("come back as stored", async () => {
      await fc.assert(
        fc.asyncProperty(workflow, fc.uuid(), async (row, suffix) => {
          const unique = { ...row, id: workflowId(`${row.id} ${suffix}`) };
          await store.workflows.put(unique, fence);
          expect(await other.workflows.get(unique.id)).toEqual(unique);
        }),
        runs,
      );
      expect(await store.workflows.get(workflowId("none"))).toBeUndefined();
    });

    it("are listed while unfinished, oldest first, and cannot be changed afterwards", async () => {
      const row = (id: string, createdAt: number, overrides: Partial<WorkflowRow> = {}): WorkflowRow => ({
        id: workflowId(id),
        kind: "copy",
        step: "planned",
        stateJson: "{}",
        createdAt,
        updatedAt: createdAt,
        finishedAt: null,
        ...overrides,
      });
      await store.workflows.put(row("b", 1), fence);
      await store.workflows.put(row("a", 2), fence);
      await store.workflows.put(row("b", 1, { step: "copying" }), fence);
      expect((await other.workflows.listOpen()).map(({ id, step }) => `${id} ${step}`)).toEqual([
        "b copying",
        "a planned",
      ]);
      await store.workflows.put(row("b", 1, { step: "done", finishedAt: 9 }), fence);
      await expect(store.workflows.put(row("b", 1), fence)).rejects.toBeInstanceOf(ConflictError);
      expect((await other.workflows.listOpen()).map(({ id }) => id)).toEqual(["a"]);
      expect(await store.retention.pruneWorkflows({ finishedBefore: 9 }, fence)).toBe(0);
      expect(await store.retention.pruneWorkflows({ finishedBefore: 10 }, fence)).toBe(1);
      expect((await other.workflows.listOpen()).map(({ id }) => id)).toEqual(["a"]);
    });
  });
}
