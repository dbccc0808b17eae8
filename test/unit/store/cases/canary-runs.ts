import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CanaryRow,
  type CanaryRunRow,
  ConflictError,
  canaryId,
  canaryRunStatuses,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  StoreCorruptError,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { damage } from "../damage.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { byBytes, call, plainRecord, runCommands } from "../random-commands.js";

const kept = 5;
const ids = ["a", "a:b", "\uffee", "\u{1f600}"].map(canaryId);
const [first = canaryId("a"), second = first] = ids;

const canary = (id = first, overrides: Partial<CanaryRow> = {}): CanaryRow => ({
  id,
  name: "front page",
  indexUid: "movies",
  intervalSeconds: 60,
  queryJson: '{"q":"x"}',
  assertionsJson: "[]",
  enabled: true,
  createdAt: 1,
  updatedAt: 1,
  ...overrides,
});
const run = (ranAt: number, overrides: Partial<CanaryRunRow> = {}): CanaryRunRow => ({
  canaryId: first,
  ranAt,
  status: "pass",
  latencyMs: 12,
  failedAssertionsJson: null,
  ...overrides,
});

const id = fc.constantFrom(...ids);
const ranAt = fc.oneof(fc.integer({ min: -3, max: 20 }), fc.constantFrom(Number.MAX_SAFE_INTEGER));
const anyRun: fc.Arbitrary<CanaryRunRow> = plainRecord({
  canaryId: id,
  ranAt,
  status: fc.constantFrom(...canaryRunStatuses),
  latencyMs: fc.oneof(fc.nat({ max: 999 }), fc.constantFrom(Number.MAX_SAFE_INTEGER)),
  failedAssertionsJson: fc.option(fc.oneof(fc.json(), fc.constantFrom("", "7", " ", "a\nb", "é\u{1f600}"))),
});
const page = fc.record({ before: ranAt, limit: fc.integer({ min: 1, max: 7 }) }, { requiredKeys: [] });

/** Canaries and their runs, written to be obvious. */
class CanaryModel {
  readonly canaries = new Map<string, CanaryRow>();
  runs: CanaryRunRow[] = [];

  record(row: CanaryRunRow): void {
    this.runs = this.runs.filter((old) => old.canaryId !== row.canaryId || old.ranAt !== row.ranAt);
    this.runs.push(row);
    const stay = this.of(row.canaryId).slice(0, kept);
    this.runs = this.runs.filter((other) => other.canaryId !== row.canaryId || stay.includes(other));
  }

  of(id: string, before = Number.POSITIVE_INFINITY): CanaryRunRow[] {
    return this.runs
      .filter((row) => row.canaryId === id && row.ranAt < before)
      .sort((a, b) => b.ranAt - a.ranAt);
  }

  prune(ranBefore: number, limit: number): number {
    const doomed = this.runs
      .filter((row) => row.ranAt < ranBefore)
      .sort((a, b) => a.ranAt - b.ranAt || byBytes(a.canaryId, b.canaryId))
      .slice(0, limit);
    this.runs = this.runs.filter((row) => !doomed.includes(row));
    return doomed.length;
  }
}

export function describeCanaryRuns(factory: StoreFactory): void {
  describe("runs of canaries", () => {
    let harness: StoreHarness;
    let store: TaskStore;
    let other: TaskStore;
    let fence: FencingToken;

    beforeEach(async () => {
      harness = await factory();
      store = await harness.open({ canaryRuns: kept });
      other = await harness.open({ canaryRuns: kept });
      fence = await lead(store);
    });
    afterEach(() => harness.dispose());

    const times = async (id = first, of = other) => (await of.canaryRuns.list(id)).map((row) => row.ranAt);

    it("come back as recorded, newest first, in whatever order they came, also after a restart", async () => {
      const big = await harness.open({ canaryRuns: 10_000 });
      await store.canaries.put(canary(), fence);
      const model = new CanaryModel();
      let last: CanaryRunRow[] = [];
      await fc.assert(
        fc.asyncProperty(anyRun, fc.maxSafeInteger(), async (row, at) => {
          const recorded = { ...row, canaryId: first, ranAt: at };
          await big.canaryRuns.record(recorded, fence);
          model.runs = [...model.runs.filter((old) => old.ranAt !== at), recorded];
          last = model.of(first);
          expect(await other.canaryRuns.list(first, { limit: 10_000 })).toEqual(last);
          expect(await store.canaryRuns.list(first, { before: at, limit: 3 })).toEqual(
            model.of(first, at).slice(0, 3),
          );
        }),
        { numRuns: 60 },
      );
      await store.close();
      const again = await harness.open();
      expect(await again.canaryRuns.list(first, { limit: 10_000 })).toEqual(last);
    });

    it("are kept up to a number for each canary, the oldest going first", async () => {
      await store.canaries.put(canary(), fence);
      await store.canaries.put(canary(second), fence);
      await store.canaryRuns.record(run(3, { canaryId: second }), fence);
      for (let at = 1; at <= kept + 2; at++) await store.canaryRuns.record(run(at), fence);
      expect(await times()).toEqual([7, 6, 5, 4, 3]);
      // One that would be the oldest of too many goes at once.
      await store.canaryRuns.record(run(1), fence);
      expect(await times()).toEqual([7, 6, 5, 4, 3]);
      expect(await times(second)).toEqual([3]);
      // A handle with a lower limit trims to it.
      const strict = await harness.open({ canaryRuns: 2 });
      await strict.canaryRuns.record(run(5, { status: "error" }), fence);
      expect(await times()).toEqual([7, 6]);
    });

    it("are the last hundred, and page by page, unless told otherwise", async () => {
      const usual = await harness.open();
      await usual.canaries.put(canary(), fence);
      for (let at = 1; at <= 103; at++) await usual.canaryRuns.record(run(at), fence);
      expect(await times(first, usual)).toEqual(Array.from({ length: 100 }, (_, n) => 103 - n));
      const found: number[] = [];
      for (let before: number | undefined; ; before = found.at(-1)) {
        const rows = await usual.canaryRuns.list(first, {
          limit: 33,
          ...(before === undefined ? {} : { before }),
        });
        if (rows.length === 0) break;
        found.push(...rows.map((row) => row.ranAt));
      }
      expect(found).toEqual(await times(first, usual));
    });

    it("are thousands where that is asked for", async () => {
      const big = await harness.open({ canaryRuns: 10_000 });
      await big.canaries.put(canary(), fence);
      const newest = 2_345;
      for (let at = 1; at <= newest; at += 50) {
        const some = Array.from({ length: Math.min(50, newest - at + 1) }, (_, n) => run(at + n));
        await Promise.all(some.map((row) => big.canaryRuns.record(row, fence)));
      }
      const rows = await big.canaryRuns.list(first, { limit: 10_000 });
      expect(rows.map((row) => row.ranAt)).toEqual(Array.from({ length: newest }, (_, n) => newest - n));
      expect(await big.retention.pruneCanaryRuns({ ranBefore: newest, limit: 2_000 }, fence)).toBe(2_000);
      expect(await times(first, big)).toHaveLength(100);
      expect(await big.retention.pruneCanaryRuns({ ranBefore: newest }, fence)).toBe(344);
      expect(await times(first, big)).toEqual([newest]);
    });

    it("are pruned the oldest first, over hundreds of canaries and where they are of one time", async () => {
      const model = new CanaryModel();
      const names = Array.from({ length: 300 }, (_, n) => canaryId(`${n % 2 ? "é" : "z"}${n}`));
      await Promise.all(names.map((id) => store.canaries.put(canary(id), fence)));
      const rows = names.flatMap((canaryId, n) =>
        [1, 5, n % 40].map((ranAt) => run(ranAt, { canaryId, latencyMs: n })),
      );
      for (const row of rows) model.record(row);
      await Promise.all(
        names.map(async (id) => {
          for (const row of rows) if (row.canaryId === id) await store.canaryRuns.record(row, fence);
        }),
      );
      for (const [ranBefore, limit] of [
        [1, 10],
        [6, 100],
        [6, 283],
        [30, 7],
        [5, 1_000],
        [25, 1_000],
      ] as const) {
        const rule = { ranBefore, limit };
        expect(await other.retention.pruneCanaryRuns(rule, fence)).toBe(model.prune(ranBefore, limit));
        for (const id of names) expect(await times(id)).toEqual(model.of(id).map((row) => row.ranAt));
      }
    });

    it("may say at length what failed", async () => {
      await store.canaries.put(canary(), fence);
      const long = run(1, { status: "fail", failedAssertionsJson: JSON.stringify("é".repeat(3_000_000)) });
      await store.canaryRuns.record(long, fence);
      await store.canaryRuns.record(run(2), fence);
      await store.canaryRuns.record({ ...long, ranAt: 3 }, fence);
      const rows = await other.canaryRuns.list(first);
      expect(rows.map((row) => row.ranAt)).toEqual([3, 2, 1]);
      expect(rows[2]?.failedAssertionsJson === long.failedAssertionsJson).toBe(true);
    });

    it("need their canary, and go with it", async () => {
      await expect(store.canaryRuns.record(run(1), fence)).rejects.toBeInstanceOf(ConflictError);
      await store.canaries.put(canary(), fence);
      await store.canaryRuns.record(run(1), fence);
      await store.canaries.put(canary(first, { name: "renamed" }), fence);
      expect(await times()).toEqual([1]);
      expect(await store.canaries.delete(first, fence)).toBe(true);
      expect(await times()).toEqual([]);
      await expect(store.canaryRuns.record(run(2), fence)).rejects.toBeInstanceOf(ConflictError);
      await store.canaries.put(canary(), fence);
      expect(await times()).toEqual([]);
      expect(await store.retention.pruneCanaryRuns({ ranBefore: 100 }, fence)).toBe(0);
    });

    it("are recorded and pruned by the leader alone", async () => {
      await store.canaries.put(canary(), fence);
      await store.canaryRuns.record(run(1), fence);
      harness.clock.advance(60_000);
      const next = await lead(other, "control-2");
      await expect(store.canaryRuns.record(run(2), fence)).rejects.toBeInstanceOf(FencedError);
      // Also where the canary is unknown: a former leader hears that first.
      const unknown = run(2, { canaryId: second });
      await expect(store.canaryRuns.record(unknown, fence)).rejects.toBeInstanceOf(FencedError);
      const rule = { ranBefore: 100 };
      await expect(store.retention.pruneCanaryRuns(rule, fence)).rejects.toBeInstanceOf(FencedError);
      expect(await times()).toEqual([1]);
      expect(await other.retention.pruneCanaryRuns(rule, next)).toBe(1);
    });

    it("are refused where they make no sense", async () => {
      await store.canaries.put(canary(), fence);
      const wrong: object[] = [
        { ranAt: 0.5 },
        { ranAt: 2 ** 53 },
        { ranAt: Number.NaN },
        { status: "maybe" },
        { latencyMs: -1 },
        { latencyMs: 1.5 },
        { failedAssertionsJson: "\udc00" },
        { failedAssertionsJson: "x".repeat(16 * 1024 * 1024 + 1) },
        { canaryId: "" },
      ];
      for (const overrides of wrong) {
        await expect(
          store.canaryRuns.record(run(1, overrides as Partial<CanaryRunRow>), fence),
        ).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      for (const limit of [0, 10_001, 1.5]) {
        await expect(store.canaryRuns.list(first, { limit })).rejects.toBeInstanceOf(InvalidArgumentError);
        await expect(store.retention.pruneCanaryRuns({ ranBefore: 1, limit }, fence)).rejects.toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      await expect(store.canaryRuns.list(first, { before: 0.5 })).rejects.toBeInstanceOf(
        InvalidArgumentError,
      );
      expect(await times()).toEqual([]);
    });

    it("are reported where something else has written them", async () => {
      await store.canaries.put(canary(), fence);
      await store.canaries.put(canary(second), fence);
      for (const at of [1, 2, 3]) await store.canaryRuns.record(run(at), fence);
      await damage(harness.spec, {
        sqlite: "UPDATE canary_runs SET status = 'perhaps' WHERE ran_at = 3",
        redis: [["LSET", ":canary_runs:a", 2, "3x12"]],
      });
      await expect(store.canaryRuns.list(first)).rejects.toBeInstanceOf(StoreCorruptError);
      await damage(harness.spec, {
        sqlite: "UPDATE canary_runs SET status = 'pass', latency_ms = -1 WHERE ran_at = 3",
        redis: [["LSET", ":canary_runs:a", 2, "3p99999999999999999"]],
      });
      await expect(store.canaryRuns.list(first)).rejects.toBeInstanceOf(StoreCorruptError);
      await damage(harness.spec, {
        sqlite: "UPDATE canary_runs SET latency_ms = 9007199254740993 WHERE ran_at = 3",
        redis: [
          ["DEL", ":canary_runs:a"],
          ["SET", ":canary_runs:a", "x"],
        ],
      });
      await expect(store.canaryRuns.list(first)).rejects.toBeInstanceOf(StoreCorruptError);
      // The others go on.
      await store.canaryRuns.record(run(1, { canaryId: second }), fence);
      expect(await times(second)).toEqual([1]);
    });

    it("answer, with their canaries, any sequence of calls as a model does", {
      timeout: 60_000,
    }, async () => {
      const commands = [
        call<CanaryModel, [CanaryRunRow["canaryId"], number]>(
          "put",
          fc.tuple(id, fc.nat({ max: 9 })),
          async (model, to, [id, at]) => {
            const row = canary(id, { createdAt: at, updatedAt: at });
            await to.canaries.put(row, fence);
            const createdAt = model.canaries.get(id)?.createdAt ?? at;
            model.canaries.set(id, { ...row, createdAt });
          },
        ),
        call<CanaryModel, CanaryRunRow["canaryId"]>("delete", id, async (model, to, id) => {
          expect(await to.canaries.delete(id, fence)).toBe(model.canaries.delete(id));
          model.runs = model.runs.filter((row) => row.canaryId !== id);
        }),
        ...[0, 1, 2, 3].map(() =>
          call<CanaryModel, CanaryRunRow>("record", anyRun, async (model, to, row) => {
            const recording = to.canaryRuns.record(row, fence);
            if (!model.canaries.has(row.canaryId)) {
              await expect(recording).rejects.toBeInstanceOf(ConflictError);
              return;
            }
            await recording;
            model.record(row);
          }),
        ),
        call<CanaryModel, [CanaryRunRow["canaryId"], { before?: number; limit?: number }]>(
          "list",
          fc.tuple(id, page),
          async (model, to, [id, page]) => {
            const rows = await to.canaryRuns.list(id, page);
            expect(rows).toEqual(model.of(id, page.before).slice(0, page.limit ?? 100));
          },
        ),
        call<CanaryModel, [number, number]>(
          "prune",
          fc.tuple(ranAt, fc.integer({ min: 1, max: 6 })),
          async (model, to, [ranBefore, limit]) => {
            const pruned = await to.retention.pruneCanaryRuns({ ranBefore, limit }, fence);
            expect(pruned).toBe(model.prune(ranBefore, limit));
          },
        ),
        call<CanaryModel, null>("read everything", fc.constant(null), async (model, to) => {
          const sorted = [...model.canaries.values()].sort((a, b) => byBytes(a.id, b.id));
          expect(await to.canaries.list()).toEqual(sorted);
          for (const id of ids) expect(await to.canaryRuns.list(id)).toEqual(model.of(id));
        }),
      ];
      await runCommands(commands, { stores: [store, other], fence, clock: harness.clock }, async () => {
        for (const id of ids) await store.canaries.delete(id, fence);
        return new CanaryModel();
      });
    });
  });
}
