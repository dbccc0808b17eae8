import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  findWriteOrder,
  type OrderedKey,
  type OrderedRead,
  type OrderedWrite,
} from "../../chaos-harness/checker/write-order.js";

/** A register: each write leaves its own number, or nothing. */
const register: OrderedKey<string> = {
  initial: "nothing",
  text: (state) => state,
  once: (state) => state !== "nothing",
};

interface Made {
  readonly write: OrderedWrite<string>;
  /** When it was executed. */
  readonly at: number;
}

/** Writes as a fleet executes them: somewhere between request and answer, and visible some time later. */
const executions = fc
  .array(
    fc.record({
      gap: fc.nat(20),
      length: fc.nat(30),
      part: fc.nat(100),
      lag: fc.nat(30),
      deletes: fc.boolean(),
    }),
    { minLength: 1, maxLength: 9 },
  )
  .map((drawn) => {
    let start = 0;
    return drawn.map(({ gap, length, part, lag, deletes }, id): Made => {
      start += gap;
      const end = start + length;
      const write = {
        id,
        start,
        orderedBy: end,
        visibleBy: end + lag,
        optional: false,
        apply: () => (deletes ? "nothing" : `${id}`),
      };
      return { write, at: start + (length * part) / 100 };
    });
  });

/** Reads of whatever one replica of several may show. */
function readsOf(
  made: readonly Made[],
  drawn: readonly { at: number; part: number; length: number }[],
): OrderedRead[] {
  const order = made.toSorted((a, b) => a.at - b.at);
  return drawn.map(({ at, part, length }) => {
    // Behind everything that had to be visible before; at most as far as what was executed.
    const must = order.findLastIndex(({ write }) => write.visibleBy < at) + 1;
    const may = order.findLastIndex((one) => one.at <= at) + 1;
    const shown = must + Math.floor(((Math.max(may, must) - must) * part) / 100);
    const value = order[shown - 1]?.write.apply("nothing") ?? "nothing";
    return { start: at, end: at + length, value };
  });
}

const looks = fc.array(fc.record({ at: fc.nat(250), part: fc.nat(100), length: fc.nat(10) }), {
  maxLength: 12,
});

/** Whether any order of the writes explains the reads, by trying them all. */
function someOrderExplains(writes: readonly OrderedWrite<string>[], reads: readonly OrderedRead[]): boolean {
  const orders = (left: readonly OrderedWrite<string>[]): OrderedWrite<string>[][] =>
    left.length === 0
      ? [[]]
      : left
          .filter((first) => left.every((other) => other.orderedBy >= first.start))
          .flatMap((first) =>
            orders(left.filter((other) => other !== first)).map((rest) => [first, ...rest]),
          );
  return orders(writes).some((order) =>
    reads.every((read) =>
      Array.from({ length: order.length + 1 }).some((_, point) => {
        const state = order.slice(0, point).reduce((before, write) => write.apply(before), "nothing");
        return (
          state === read.value &&
          order.slice(0, point).every(({ start }) => start <= read.end) &&
          order.slice(point).every(({ visibleBy }) => visibleBy >= read.start)
        );
      }),
    ),
  );
}

describe("the search for an order of writes", () => {
  it("explains whatever replicas that execute one order can show", () => {
    fc.assert(
      fc.property(executions, looks, (made, drawn) => {
        const writes = made.map(({ write }) => write);
        expect(findWriteOrder(writes, readsOf(made, drawn), register).kind).toBe("legal");
      }),
      { numRuns: 500 },
    );
  });

  it("says the same as trying every order, of reads of any value", () => {
    const values = fc.array(
      fc.record({
        start: fc.nat(120),
        length: fc.nat(30),
        value: fc.constantFrom("nothing", "0", "1", "2", "3"),
      }),
      { maxLength: 4 },
    );
    const few = executions.filter((made) => made.length <= 5);
    let illegal = 0;
    fc.assert(
      fc.property(few, values, (made, drawn) => {
        const writes = made.map(({ write }) => write);
        const reads = drawn.map(({ start, length, value }) => ({ start, end: start + length, value }));
        const legal = someOrderExplains(writes, reads);
        if (!legal) illegal++;
        expect(findWriteOrder(writes, reads, register).kind).toBe(legal ? "legal" : "illegal");
      }),
      { numRuns: 1_000 },
    );
    expect(illegal).toBeGreaterThan(100);
  });

  it("lets a write that may never have been executed come in anywhere, or not at all", () => {
    const once = { orderedBy: 1, visibleBy: 2, optional: false };
    const set: OrderedWrite<string> = { ...once, id: 1, start: 0, apply: () => "1" };
    const never = Number.POSITIVE_INFINITY;
    const deletion = {
      id: 2,
      start: 5,
      orderedBy: never,
      visibleBy: never,
      optional: true,
      apply: () => "nothing",
    };
    const later = [
      { start: 10, end: 11, value: "1" },
      { start: 90, end: 91, value: "nothing" },
    ];
    expect(findWriteOrder([set, deletion], later, register).kind).toBe("legal");
    expect(findWriteOrder([set, deletion], later.slice(0, 1), register).kind).toBe("legal");
    const early = [{ start: 3, end: 4, value: "nothing" }];
    expect(findWriteOrder([set, deletion], early, register).kind).toBe("illegal");
  });
});
