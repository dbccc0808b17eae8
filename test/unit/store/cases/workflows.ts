import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConflictError,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type TaskStore,
  type WorkflowRow,
  workflowId,
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

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const row = (of: string, createdAt: number, overrides: Partial<WorkflowRow> = {}): WorkflowRow => ({
  id: workflowId(of),
  kind: "copy",
  step: "planned",
  stateJson: "{}",
  createdAt,
  updatedAt: createdAt,
  finishedAt: null,
  ...overrides,
});

interface Rule {
  finishedBefore?: number;
  keepFinished?: number;
  limit?: number;
}

class WorkflowModel {
  readonly rows = new Map<string, WorkflowRow>();

  put(next: WorkflowRow): "conflict" | undefined {
    const finishedAt = this.rows.get(next.id)?.finishedAt ?? null;
    if (finishedAt !== null) return "conflict";
    this.rows.set(next.id, next);
    return undefined;
  }

  open(): WorkflowRow[] {
    return this.list({ limit: 1_000 })
      .filter(({ finishedAt }) => finishedAt === null)
      .reverse();
  }

  list({ after, limit }: { after?: WorkflowRow; limit: number }): WorkflowRow[] {
    const order = (a: WorkflowRow, b: WorkflowRow) => b.createdAt - a.createdAt || byBytes(b.id, a.id);
    return [...this.rows.values()]
      .filter((each) => after === undefined || order(after, each) < 0)
      .sort(order)
      .slice(0, limit);
  }

  prune({ finishedBefore = Number.NEGATIVE_INFINITY, keepFinished = 1_000, limit = 1_000 }: Rule): number {
    const finished = [...this.rows.values()]
      .flatMap((each) => (each.finishedAt === null ? [] : [{ id: each.id, at: each.finishedAt }]))
      .sort((a, b) => a.at - b.at || byBytes(a.id, b.id));
    const doomed = finished
      .filter(({ at }, n) => at < finishedBefore || n < finished.length - keepFinished)
      .slice(0, limit);
    for (const each of doomed) this.rows.delete(each.id);
    return doomed.length;
  }
}

const few = fc.constantFrom(-20, -1, 0, 3, 4, 1_700_000_000_000);
const some = fc.constantFrom(...awkwardIds).map(workflowId);
const workflow: fc.Arbitrary<WorkflowRow> = plainRecord({
  id: some,
  kind: text,
  step: text,
  stateJson: fc.json(),
  createdAt: few,
  updatedAt: few,
  finishedAt: fc.option(few, { freq: 2 }),
});
const rule: fc.Arbitrary<Rule> = fc.record(
  { finishedBefore: few, keepFinished: fc.nat({ max: 4 }), limit: fc.integer({ min: 1, max: 3 }) },
  { requiredKeys: [], noNullPrototype: true },
);

const commands = [
  call("put", workflow, async (model: WorkflowModel, store, next, { fence }) => {
    const refusal = await store.workflows.put(next, fence).catch((error: unknown) => error);
    if (model.put(next) === "conflict") expect(refusal).toBeInstanceOf(ConflictError);
    else expect(refusal).toBeUndefined();
  }),
  call("get", some, async (model: WorkflowModel, store, of) => {
    expect(await store.workflows.get(of)).toEqual(model.rows.get(of));
  }),
  call("list open", fc.constant(null), async (model: WorkflowModel, store) => {
    expect(await store.workflows.listOpen()).toEqual(model.open());
  }),
  call(
    "list",
    fc.tuple(fc.option(workflow, { nil: undefined }), fc.integer({ min: 1, max: 5 })),
    async (model: WorkflowModel, store, [after, limit]) => {
      const page = { limit, ...(after === undefined ? {} : { after }) };
      expect(await store.workflows.list(page)).toEqual(model.list(page));
    },
  ),
  call("prune", rule, async (model: WorkflowModel, store, what, { fence }) => {
    expect(await store.retention.pruneWorkflows(what, fence)).toBe(model.prune(what));
  }),
];

export function describeWorkflows(factory: StoreFactory): void {
  describe("workflows", () => {
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

    const ids = (rows: readonly WorkflowRow[]) => rows.map((each) => each.id);

    it("come back as stored, also from a reopened store", async () => {
      const model = new WorkflowModel();
      await fc.assert(
        fc.asyncProperty(workflow, id, time, async (given, of, createdAt) => {
          const next = { ...given, id: workflowId(of), createdAt };
          if (model.put(next) === "conflict") return;
          await store.workflows.put(next, fence);
          expect(await other.workflows.get(next.id)).toEqual(next);
        }),
        { numRuns: 60 },
      );
      await store.close();
      const reopened = await harness.open();
      expect(await reopened.workflows.list()).toEqual(model.list({ limit: 100 }));
      expect(await reopened.workflows.listOpen()).toEqual(model.open());
    });

    it("are listed while unfinished, oldest first, and cannot be changed afterwards", async () => {
      await store.workflows.put(row("b", 1), fence);
      await store.workflows.put(row("a", 2), fence);
      await store.workflows.put(row("b", 1, { step: "copying" }), fence);
      expect((await other.workflows.listOpen()).map((each) => `${each.id} ${each.step}`)).toEqual([
        "b copying",
        "a planned",
      ]);
      await store.workflows.put(row("b", 1, { step: "done", finishedAt: 9 }), fence);
      await expect(store.workflows.put(row("b", 1), fence)).rejects.toBeInstanceOf(ConflictError);
      expect(ids(await other.workflows.listOpen())).toEqual(["a"]);
      expect(ids(await other.workflows.list())).toEqual(["a", "b"]);
    });

    it("are listed in pages, newest first, of 1 to 10,000", async () => {
      for (const of of awkwardIds) await store.workflows.put(row(of, of.length % 2), fence);
      const all = await other.workflows.list();
      expect(all).toHaveLength(awkwardIds.length);
      const seen: WorkflowRow[] = [];
      for (;;) {
        const after = seen.at(-1);
        const page = await other.workflows.list({ limit: 3, ...(after === undefined ? {} : { after }) });
        if (page.length === 0) break;
        seen.push(...page);
        // A page goes on behind a workflow that is no longer there.
        const last = page.at(-1);
        if (last !== undefined) await store.workflows.put({ ...last, finishedAt: 1 }, fence);
        await store.retention.pruneWorkflows({ keepFinished: 0 }, fence);
      }
      expect(seen).toEqual(all);
      for (const limit of [0, -1, 1.5, 10_001]) {
        await expect(store.workflows.list({ limit })).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    });

    it("are pruned once finished: by age, by number, in bounded batches", async () => {
      for (let n = 0; n < 20; n++) {
        await store.workflows.put(row(`w${n}`, n, n < 15 ? { finishedAt: 100 - n } : {}), fence);
      }
      const prune = (what: Rule) => store.retention.pruneWorkflows(what, fence);
      const finished = async () =>
        ids((await other.workflows.list()).filter((each) => each.finishedAt !== null));
      expect(await prune({ finishedBefore: 86 })).toBe(0);
      expect(await prune({ finishedBefore: 90, limit: 3 })).toBe(3);
      expect(await prune({ finishedBefore: 90, limit: 3 })).toBe(1);
      expect(await prune({ keepFinished: 12 })).toBe(0);
      expect(await prune({ keepFinished: 8, finishedBefore: 0 })).toBe(3);
      expect(await finished()).toEqual(["w7", "w6", "w5", "w4", "w3", "w2", "w1", "w0"]);
      expect(await prune({})).toBe(0);
      expect(await prune({ keepFinished: 0 })).toBe(8);
      expect(await prune({ keepFinished: 0, finishedBefore: 1_000 })).toBe(0);
      expect(await other.workflows.listOpen()).toHaveLength(5);
      for (const bad of [{ limit: 0 }, { keepFinished: -1 }, { finishedBefore: 0.5 }, { limit: 10_001 }]) {
        await expect(prune(bad)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
    });

    it("keep large states as they were given", async () => {
      const stateJson = JSON.stringify({ text: "\u{1F600}\u0000é".repeat(500_000) });
      for (const of of ["a", "b", "c", "d"]) await store.workflows.put(row(of, 1, { stateJson }), fence);
      const rows = await other.workflows.list();
      expect(rows.map((each) => each.stateJson === stateJson)).toEqual([true, true, true, true]);
      expect(await other.workflows.listOpen()).toHaveLength(4);
    });

    it.each<[string, Partial<WorkflowRow>]>([
      ["a state that is too large", { stateJson: "x".repeat(16 * 1024 * 1024 + 1) }],
      ["half of a surrogate pair", { step: "\uD83D" }],
      ["half a millisecond", { finishedAt: 0.5 }],
      ["no time of creation", { createdAt: Number.NaN }],
    ])("refuse %s", async (_, overrides) => {
      await expect(store.workflows.put(row("a", 1, overrides), fence)).rejects.toBeInstanceOf(
        InvalidArgumentError,
      );
      expect(await store.workflows.list()).toEqual([]);
    });

    it("are not changed by a former leader, whatever it asks for", async () => {
      await store.workflows.put(row("done", 1, { finishedAt: 2 }), fence);
      harness.clock.advance(10_000);
      await lead(other, "control-2");
      await expect(store.workflows.put(row("new", 1), fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.workflows.put(row("done", 1), fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.retention.pruneWorkflows({ keepFinished: 0 }, fence)).rejects.toBeInstanceOf(
        FencedError,
      );
      expect(ids(await other.workflows.list())).toEqual(["done"]);
    });

    it("answer any sequence of calls as an in-memory model does", { timeout: modelTimeout }, async () => {
      const real: Handles = { stores: [store, other], fence, clock: harness.clock };
      await runCommands(commands, real, async () => {
        for (const open of await store.workflows.listOpen()) {
          await store.workflows.put({ ...open, finishedAt: 1 }, fence);
        }
        await store.retention.pruneWorkflows({ keepFinished: 0 }, fence);
        return new WorkflowModel();
      });
    });
  });
}
