import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CdcCursorRow,
  FencedError,
  type FencingToken,
  InvalidArgumentError,
  type SinkName,
  StoreCorruptError,
  sinkName,
  type TaskStore,
} from "../../../../src/store/task-store.js";
import { damage } from "../damage.js";
import { lead, type StoreFactory, type StoreHarness } from "../harness.js";
import { awkwardIds, byBytes } from "../random-commands.js";

const kafka = sinkName("kafka");

export function describeCdcCursors(factory: StoreFactory): void {
  describe("cursors of change data capture", () => {
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

    const cursor = (lastEventSeq: number, overrides: Partial<CdcCursorRow> = {}): CdcCursorRow => ({
      sink: kafka,
      indexUid: "movies",
      lastEventSeq,
      updatedAt: 1,
      ...overrides,
    });
    const sinks = ["kafka", "_sinks", "a:b", "\uffee", "\u{1f600}"].map(sinkName);
    const indexes = [...awkwardIds, "__proto__", "constructor", "0", "\uffee", "hasOwnProperty"];
    const anyCursor: fc.Arbitrary<CdcCursorRow> = fc.record({
      sink: fc.constantFrom(...sinks),
      indexUid: fc.constantFrom(...indexes),
      lastEventSeq: fc.oneof(
        fc.maxSafeNat(),
        fc.nat({ max: 3 }),
        fc.integer({ min: 2 ** 53 - 4, max: 2 ** 53 - 1 }),
      ),
      updatedAt: fc.integer({ min: -2, max: 3 }),
    });
    const later = (a: CdcCursorRow | undefined, b: CdcCursorRow) =>
      a === undefined ||
      b.lastEventSeq > a.lastEventSeq ||
      (b.lastEventSeq === a.lastEventSeq && b.updatedAt > a.updatedAt)
        ? b
        : a;

    it("move forward only, whatever the order, exact up to 2^53 - 1, also after a restart", async () => {
      const model = new Map<string, CdcCursorRow>();
      const inOrder = (sink?: SinkName) =>
        [...model.values()]
          .filter((row) => sink === undefined || row.sink === sink)
          .sort((a, b) => byBytes(a.sink, b.sink) || byBytes(a.indexUid, b.indexUid));
      await fc.assert(
        fc.asyncProperty(fc.array(anyCursor, { maxLength: 6 }), fc.boolean(), async (rows, second) => {
          await (second ? other : store).cdcCursors.advance(rows, fence);
          for (const row of rows) {
            const key = `${row.sink}\n${row.indexUid}`;
            model.set(key, later(model.get(key), row));
          }
          for (const { sink, indexUid } of rows) {
            const recorded = model.get(`${sink}\n${indexUid}`);
            expect(await other.cdcCursors.get(sink, indexUid)).toEqual(recorded);
          }
        }),
        { numRuns: 100 },
      );
      for (const sink of sinks) expect(await other.cdcCursors.list(sink)).toEqual(inOrder(sink));
      await store.close();
      const again = await harness.open();
      expect(await again.cdcCursors.list()).toEqual(inOrder());
      for (const sink of sinks) {
        expect(await again.cdcCursors.delete(sink, undefined, fence)).toBe(inOrder(sink).length);
      }
      expect(await again.cdcCursors.list()).toEqual([]);
    });

    it("are the largest after any shuffle of the same moves", async () => {
      const shuffled = fc
        .array(anyCursor, { minLength: 2, maxLength: 8 })
        .map((rows) => rows.map((row) => ({ ...row, sink: kafka, indexUid: "movies" })))
        .chain((rows) =>
          fc.tuple(
            fc.constant(rows),
            fc.shuffledSubarray(rows, { minLength: rows.length, maxLength: rows.length }),
          ),
        );
      await fc.assert(
        fc.asyncProperty(shuffled, async ([rows, inAnotherOrder]) => {
          await store.cdcCursors.advance(rows, fence);
          const expected = await store.cdcCursors.get(kafka, "movies");
          expect(await store.cdcCursors.delete(kafka, "movies", fence)).toBe(1);
          await Promise.all(
            inAnotherOrder.map((row, at) => (at % 2 ? other : store).cdcCursors.advance([row], fence)),
          );
          expect(await other.cdcCursors.get(kafka, "movies")).toEqual(expected);
          expect(await store.cdcCursors.delete(kafka, undefined, fence)).toBe(1);
        }),
        { numRuns: 40 },
      );
    });

    it("do not take neighbours above 2^52 for equal", async () => {
      const max = Number.MAX_SAFE_INTEGER;
      for (const seq of [max - 2, max - 1, max]) {
        await store.cdcCursors.advance([cursor(seq)], fence);
        expect((await other.cdcCursors.get(kafka, "movies"))?.lastEventSeq).toBe(seq);
      }
      await store.cdcCursors.advance([cursor(max - 1, { updatedAt: 9 })], fence);
      expect(await other.cdcCursors.get(kafka, "movies")).toEqual(cursor(max));
    });

    it("are forgotten one by one, or all of a sink", async () => {
      const rows = ["a", "b", "c"].map((indexUid) => cursor(1, { indexUid }));
      await store.cdcCursors.advance([...rows, cursor(1, { sink: sinkName("other") })], fence);
      expect(await other.cdcCursors.delete(kafka, "b", fence)).toBe(1);
      expect(await other.cdcCursors.delete(kafka, "b", fence)).toBe(0);
      expect((await store.cdcCursors.list(kafka)).map((row) => row.indexUid)).toEqual(["a", "c"]);
      expect(await other.cdcCursors.delete(kafka, undefined, fence)).toBe(2);
      expect(await other.cdcCursors.delete(kafka, undefined, fence)).toBe(0);
      expect((await store.cdcCursors.list()).map((row) => row.sink)).toEqual(["other"]);
      // Forgotten means forgotten: a lower one is new.
      await store.cdcCursors.advance([cursor(0)], fence);
      expect(await other.cdcCursors.get(kafka, "movies")).toEqual(cursor(0));
      expect(await store.cdcCursors.get(kafka, "none")).toBeUndefined();
    });

    it("are taken ten thousand at once, and written by the leader alone", async () => {
      const rows = Array.from({ length: 10_000 }, (_, n) =>
        cursor(n, { indexUid: `index ${n % 5_000}`, sink: sinkName(`sink ${n % 3}`) }),
      );
      await store.cdcCursors.advance(rows, fence);
      expect(await other.cdcCursors.list()).toHaveLength(10_000);
      for (const bad of [
        [...rows, cursor(1)],
        [cursor(-1)],
        [cursor(0.5)],
        [cursor(2 ** 53)],
        [cursor(1, { updatedAt: Number.NaN })],
        [cursor(1, { indexUid: "" })],
        [cursor(1, { indexUid: "\ud800" })],
        [cursor(1, { indexUid: "x".repeat(513) })],
      ]) {
        await expect(store.cdcCursors.advance(bad, fence)).rejects.toBeInstanceOf(InvalidArgumentError);
      }
      harness.clock.advance(60_000);
      await lead(other, "control-2");
      await expect(store.cdcCursors.advance([cursor(9)], fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.cdcCursors.delete(kafka, undefined, fence)).rejects.toBeInstanceOf(FencedError);
      await expect(store.cdcCursors.delete(kafka, "movies", fence)).rejects.toBeInstanceOf(FencedError);
      expect(await other.cdcCursors.list()).toHaveLength(10_000);
    });

    it("are reported where something else has written them", async () => {
      await store.cdcCursors.advance([cursor(5)], fence);
      await damage(harness.spec, {
        sqlite: "UPDATE cdc_cursors SET last_event_seq = -1",
        redis: [["HSET", ":cdc_cursors:kafka", "movies", "5:"]],
      });
      await expect(store.cdcCursors.get(kafka, "movies")).rejects.toBeInstanceOf(StoreCorruptError);
      await expect(store.cdcCursors.list()).rejects.toBeInstanceOf(StoreCorruptError);
      await damage(harness.spec, {
        sqlite: "UPDATE cdc_cursors SET last_event_seq = 9007199254740993",
        redis: [["HSET", ":cdc_cursors:kafka", "movies", "9007199254740993:1"]],
      });
      await expect(store.cdcCursors.get(kafka, "movies")).rejects.toBeInstanceOf(StoreCorruptError);
      expect(await store.cdcCursors.delete(kafka, "movies", fence)).toBe(1);
      expect(await store.cdcCursors.list()).toEqual([]);
    });
  });
}
