import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  indexInstance,
  type NodeCursorRow,
  type NodeSettingsVersionRow,
  nodeId,
  nodeTaskUid,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import {
  awkwardIds,
  byBytes,
  call,
  type Handles,
  id,
  modelTimeout,
  plainRecord,
  runCommands,
  time,
} from "../random-commands.js";

const uint32 = fc.nat({ max: 4_294_967_295 }).map(nodeTaskUid);
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const node = fc.constantFrom(...awkwardIds).map(nodeId);
const instance = fc.constantFrom("a", "a:b", "a%", "_index", "\u{1F600}", "\uFFFD").map(indexInstance);

const cursorOf = (nodes: fc.Arbitrary<string>): fc.Arbitrary<NodeCursorRow> =>
  plainRecord({
    nodeId: nodes.map(nodeId),
    frontierUid: fc.option(uint32),
    lastSeenUid: fc.option(uint32),
    identity: text,
    updatedAt: time,
  });

const versionOf = (version: fc.Arbitrary<number>): fc.Arbitrary<NodeSettingsVersionRow> =>
  plainRecord({ instance, nodeId: node, version, fingerprint: text, updatedAt: time });

class CursorModel {
  readonly rows = new Map<string, NodeCursorRow>();

  list(): NodeCursorRow[] {
    return [...this.rows.values()].sort((a, b) => byBytes(a.nodeId, b.nodeId));
  }
}

const cursorCommands = [
  call(
    "put",
    fc.array(cursorOf(node), { maxLength: 4 }),
    async (model: CursorModel, store, rows, { fence }) => {
      await store.nodeCursors.put(rows, fence);
      for (const row of rows) model.rows.set(row.nodeId, row);
    },
  ),
  call("get", node, async (model: CursorModel, store, of) => {
    expect(await store.nodeCursors.get(of)).toEqual(model.rows.get(of));
  }),
  call("list", fc.constant(null), async (model: CursorModel, store) => {
    expect(await store.nodeCursors.list()).toEqual(model.list());
  }),
  call("delete", node, async (model: CursorModel, store, of, { fence }) => {
    expect(await store.nodeCursors.delete(of, fence)).toBe(model.rows.delete(of));
  }),
];

class VersionModel {
  rows: NodeSettingsVersionRow[] = [];

  put(row: NodeSettingsVersionRow): void {
    const same = (other: NodeSettingsVersionRow) =>
      other.instance === row.instance && other.nodeId === row.nodeId;
    const old = this.rows.find(same);
    if (old !== undefined && old.version > row.version) return;
    this.rows = [...this.rows.filter((other) => !same(other)), row];
  }

  list(of?: string): NodeSettingsVersionRow[] {
    return this.rows
      .filter((row) => of === undefined || row.instance === of)
      .sort((a, b) => byBytes(a.instance, b.instance) || byBytes(a.nodeId, b.nodeId));
  }

  delete(of: string, on: string | undefined): number {
    const before = this.rows.length;
    this.rows = this.rows.filter((row) => row.instance !== of || (on !== undefined && row.nodeId !== on));
    return before - this.rows.length;
  }
}

const versionCommands = [
  call(
    "put",
    fc.array(versionOf(fc.nat({ max: 4 })), { maxLength: 4 }),
    async (model: VersionModel, store, rows, { fence }) => {
      await store.nodeSettingsVersions.put(rows, fence);
      for (const row of rows) model.put(row);
    },
  ),
  call("list by instance", instance, async (model: VersionModel, store, of) => {
    expect(await store.nodeSettingsVersions.listByInstance(of)).toEqual(model.list(of));
  }),
  call("list", fc.constant(null), async (model: VersionModel, store) => {
    expect(await store.nodeSettingsVersions.list()).toEqual(model.list());
  }),
  call(
    "delete",
    fc.tuple(instance, fc.option(node, { nil: undefined })),
    async (model: VersionModel, store, [of, on], { fence }) => {
      expect(await store.nodeSettingsVersions.delete(of, on, fence)).toBe(model.delete(of, on));
    },
  ),
];

export function describeNodeTables(factory: StoreFactory): void {
  let harness: StoreHarness;
  let store: TaskStore;
  let other: TaskStore;
  let fence: FencingToken;
  let real: Handles;

  beforeEach(async () => {
    harness = await factory();
    store = await harness.open();
    other = await harness.open();
    fence = await lead(store);
    real = { stores: [store, other], fence, clock: harness.clock };
  });
  afterEach(() => harness.dispose());

  const cursor = (of: string, overrides: Partial<NodeCursorRow> = {}): NodeCursorRow => ({
    nodeId: nodeId(of),
    frontierUid: null,
    lastSeenUid: null,
    identity: "",
    updatedAt: 1,
    ...overrides,
  });

  describe("node cursors", () => {
    it("come back as the last ones put, by node, also from a reopened store", async () => {
      const rows = new Map<string, NodeCursorRow>();
      await fc.assert(
        fc.asyncProperty(fc.array(cursorOf(id), { maxLength: 4 }), async (some) => {
          await store.nodeCursors.put(some, fence);
          for (const row of some) rows.set(row.nodeId, row);
          for (const row of some) {
            expect(await other.nodeCursors.get(row.nodeId)).toEqual(rows.get(row.nodeId));
          }
        }),
        { numRuns: 60 },
      );
      const inOrder = [...rows.values()].sort((a, b) => byBytes(a.nodeId, b.nodeId));
      expect(await other.nodeCursors.list()).toEqual(inOrder);
      await store.close();
      expect(await (await harness.open()).nodeCursors.list()).toEqual(inOrder);
    });

    it("forget a frontier that is taken back", async () => {
      const row = cursor("node-0", { frontierUid: nodeTaskUid(7), lastSeenUid: nodeTaskUid(9) });
      await store.nodeCursors.put([row], fence);
      await store.nodeCursors.put([cursor("node-0")], fence);
      expect(await other.nodeCursors.get(nodeId("node-0"))).toEqual(cursor("node-0"));
    });

    it("are put and listed by the thousands", async () => {
      const rows = Array.from({ length: 2_500 }, (_, n) => cursor(`node-${String(n).padStart(5, "0")}`));
      await store.nodeCursors.put(rows, fence);
      expect(await other.nodeCursors.list()).toEqual(rows);
      const tooMany = Array.from({ length: 10_001 }, (_, n) => cursor(`node-${n}`));
      await expect(store.nodeCursors.put(tooMany, fence)).rejects.toBeInstanceOf(InvalidArgumentError);
    });

    it("refuse what does not come back as it is", async () => {
      for (const bad of [cursor("n", { identity: "\uD83D" }), cursor("n", { updatedAt: 0.5 })]) {
        await expect(store.nodeCursors.put([cursor("m"), bad], fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      expect(await store.nodeCursors.list()).toEqual([]);
    });

    it("answer any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      await runCommands(cursorCommands, real, async () => {
        for (const row of await store.nodeCursors.list()) await store.nodeCursors.delete(row.nodeId, fence);
        return new CursorModel();
      });
    });
  });

  describe("settings versions", () => {
    it("come back by instance and node, also from a reopened store", async () => {
      const model = new VersionModel();
      await fc.assert(
        fc.asyncProperty(id, versionOf(fc.maxSafeNat()), async (on, some) => {
          const row = { ...some, nodeId: nodeId(on) };
          await store.nodeSettingsVersions.put([row], fence);
          model.put(row);
          expect(await other.nodeSettingsVersions.listByInstance(row.instance)).toEqual(
            model.list(row.instance),
          );
        }),
        { numRuns: 60 },
      );
      await store.close();
      expect(await (await harness.open()).nodeSettingsVersions.list()).toEqual(model.list());
    });

    it("never go back, and go with their index", async () => {
      const of = indexInstance("abcd2345");
      const row = (on: string, version: number, fingerprint: string) => ({
        instance: of,
        nodeId: nodeId(on),
        version,
        fingerprint,
        updatedAt: 1,
      });
      await store.nodeSettingsVersions.put([row("node-0", 2, "b"), row("node-1", 1, "a")], fence);
      await store.nodeSettingsVersions.put([row("node-0", 1, "a"), row("node-1", 1, "c")], fence);
      expect(await other.nodeSettingsVersions.listByInstance(of)).toEqual([
        row("node-0", 2, "b"),
        row("node-1", 1, "c"),
      ]);
      // Nor within one call.
      await store.nodeSettingsVersions.put([row("node-0", 4, "d"), row("node-0", 3, "e")], fence);
      expect(await other.nodeSettingsVersions.listByInstance(of)).toContainEqual(row("node-0", 4, "d"));
      expect(await store.nodeSettingsVersions.delete(of, undefined, fence)).toBe(2);
      expect(await other.nodeSettingsVersions.list()).toEqual([]);
    });

    it("are listed and deleted by the thousands", async () => {
      const of = indexInstance("abcd2345");
      const rows = Array.from({ length: 2_500 }, (_, n) => ({
        instance: of,
        nodeId: nodeId(`node-${String(n).padStart(5, "0")}`),
        version: 1,
        fingerprint: "f",
        updatedAt: 1,
      }));
      await store.nodeSettingsVersions.put(rows, fence);
      expect(await other.nodeSettingsVersions.listByInstance(of)).toEqual(rows);
      expect(await store.nodeSettingsVersions.delete(of, undefined, fence)).toBe(2_500);
      expect(await other.nodeSettingsVersions.list()).toEqual([]);
    });

    it("refuse what is no version", async () => {
      const row = { instance: indexInstance("i"), nodeId: nodeId("n"), fingerprint: "f", updatedAt: 1 };
      for (const version of [-1, 0.5, Number.NaN, 2 ** 53]) {
        await expect(store.nodeSettingsVersions.put([{ ...row, version }], fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      expect(await store.nodeSettingsVersions.list()).toEqual([]);
    });

    it("answer any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      await runCommands(versionCommands, real, async () => {
        for (const { instance: of } of await store.nodeSettingsVersions.list()) {
          await store.nodeSettingsVersions.delete(of, undefined, fence);
        }
        return new VersionModel();
      });
    });
  });

  it("refuse a former leader's rows, and deletions of what is not there", async () => {
    await store.nodeCursors.put([cursor("node-0")], fence);
    harness.clock.advance(10_000);
    await lead(other, "control-2");
    const instance = indexInstance("i");
    const calls = [
      store.nodeCursors.put([cursor("node-1")], fence),
      store.nodeCursors.delete(nodeId("node-0"), fence),
      store.nodeCursors.delete(nodeId("none"), fence),
      store.nodeSettingsVersions.put([], fence),
      store.nodeSettingsVersions.delete(instance, undefined, fence),
      store.nodeSettingsVersions.delete(instance, nodeId("node-0"), fence),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(FencedError) });
    }
    expect(await other.nodeCursors.list()).toEqual([cursor("node-0")]);
  });
}
