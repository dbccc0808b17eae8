import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findJobViolations, findUnexplainedJob } from "../../support/histories/job-history.js";
import { findLeaseViolations, linearizeLease } from "../../support/histories/lease-history.js";
import { linearize, type SequentialObject, type Timed } from "../../support/histories/linearizability.js";
import type { Call, Operation, Result } from "../../support/histories/operations.js";

const op = (start: number, end: number, call: Call, result: Result): Operation => ({
  process: "holder" in call ? call.holder : "reader",
  call,
  start,
  end,
  result,
});
const done: Result = { kind: "done" };
const refused: Result = { kind: "refused" };
const fenced: Result = { kind: "fenced" };
const unknown: Result = { kind: "unknown" };
const never = Number.POSITIVE_INFINITY;

/** Leases last 100; a call at time t of the store gives one until t + 100. */
const acquire = (start: number, end: number, holder: string, term: number | null, at = start): Operation =>
  op(
    start,
    end,
    { kind: "acquire", holder, ttlMs: 100 },
    term === null ? refused : { kind: "lease", term, expiresAt: at + 100 },
  );
const renew = (start: number, end: number, holder: string, term: number, at: number | null): Operation =>
  op(
    start,
    end,
    { kind: "renew", holder, term, ttlMs: 100 },
    at === null ? refused : { kind: "lease", term, expiresAt: at + 100 },
  );
const release = (
  start: number,
  end: number,
  holder: string,
  term: number,
  result: Result = done,
): Operation => op(start, end, { kind: "release", holder, term }, result);
const write = (start: number, end: number, holder: string, term: number, result: Result = done): Operation =>
  op(start, end, { kind: "write", holder, term, value: `${holder} ${start}` }, result);
const read = (start: number, end: number, value: string): Operation =>
  op(start, end, { kind: "read" }, { kind: "value", value });

describe("a history of a lease", () => {
  const isExplained = (history: readonly Operation[]) => linearizeLease(history).linearizable;

  const good: Record<string, Operation[]> = {
    "of nothing": [],
    "of holders one after the other": [
      acquire(1, 2, "a", 1),
      acquire(3, 4, "b", null),
      write(5, 6, "a", 1),
      read(7, 8, "a 5"),
      release(9, 10, "a", 1),
      acquire(11, 12, "b", 2),
      write(13, 14, "a", 1, fenced),
      renew(15, 16, "a", 1, null),
      read(17, 18, "a 5"),
      acquire(111, 112, "c", 3),
    ],
    "whose calls overlap": [
      acquire(1, 50, "a", 2, 40),
      acquire(2, 60, "b", 1, 20),
      release(30, 55, "b", 1),
      write(10, 70, "a", 2),
      read(10, 70, ""),
      read(10, 70, "a 10"),
    ],
    "with a call that was never answered, and done": [
      op(1, never, { kind: "acquire", holder: "a", ttlMs: 100 }, unknown),
      acquire(5, 6, "b", null),
      acquire(150, 151, "b", 2),
    ],
    "with a call that was never answered, nor done": [
      op(1, never, { kind: "acquire", holder: "a", ttlMs: 100 }, unknown),
      acquire(5, 6, "b", 1),
    ],
    "with a renewal that was never answered": [
      acquire(1, 2, "a", 1),
      op(50, never, { kind: "renew", holder: "a", term: 1, ttlMs: 100 }, unknown),
      acquire(140, 141, "b", null),
      acquire(151, 152, "b", 2),
    ],
    "with a write that was never answered, seen later": [
      acquire(1, 2, "a", 1),
      op(3, never, { kind: "write", holder: "a", term: 1, value: "x" }, unknown),
      read(4, 5, ""),
      read(6, 7, "x"),
    ],
  };
  for (const [name, history] of Object.entries(good)) {
    it(`is accepted: one ${name}`, () => {
      expect(findLeaseViolations(history)).toEqual([]);
      expect(isExplained(history)).toBe(true);
    });
  }

  const bad: Record<string, Operation[]> = {
    "two holders of one number": [acquire(1, 2, "a", 1), release(3, 4, "a", 1), acquire(5, 6, "b", 1)],
    "a number below one that was given before": [
      acquire(1, 2, "a", 1),
      acquire(200, 201, "b", 3),
      acquire(400, 401, "c", 2),
    ],
    "a write accepted after the successor's acquire returned": [
      acquire(1, 2, "a", 1),
      acquire(102, 103, "b", 2),
      write(104, 105, "a", 1),
    ],
    "a renewal accepted after the successor's acquire returned": [
      acquire(1, 2, "a", 1),
      acquire(102, 103, "b", 2),
      renew(104, 105, "a", 1, 104),
    ],
  };
  for (const [name, history] of Object.entries(bad)) {
    it(`is refused for ${name}`, () => {
      expect(findLeaseViolations(history)).toHaveLength(1);
      expect(isExplained(history)).toBe(false);
    });
  }

  const unexplained: Record<string, Operation[]> = {
    "a second holder before the end of the first": [acquire(1, 2, "a", 1), acquire(50, 51, "b", 2)],
    "a renewal after the end": [acquire(1, 2, "a", 1), renew(150, 151, "a", 1, 150)],
    "a refusal although it was free": [acquire(1, 2, "a", null)],
    "a refusal after a release": [acquire(1, 2, "a", 1), release(3, 4, "a", 1), acquire(5, 6, "b", null)],
    "a write refused to the holder": [acquire(1, 2, "a", 1), write(3, 4, "a", 1, fenced)],
    "a write accepted after a release": [acquire(1, 2, "a", 1), release(3, 4, "a", 1), write(5, 6, "a", 1)],
    "a number that was skipped": [acquire(1, 2, "a", 2)],
    "an old value read after a new one was written": [
      acquire(1, 2, "a", 1),
      write(3, 4, "a", 1),
      read(5, 6, ""),
    ],
    "a value that came back": [
      acquire(1, 2, "a", 1),
      write(3, 4, "a", 1),
      write(5, 6, "a", 1),
      read(7, 8, "a 5"),
      read(9, 10, "a 3"),
    ],
    "time that went back": [acquire(50, 51, "a", 1), renew(52, 53, "a", 1, 40)],
  };
  for (const [name, history] of Object.entries(unexplained)) {
    it(`is not explained by any order: ${name}`, () => {
      const verdict = linearizeLease(history);
      expect(verdict.linearizable).toBe(false);
      // All but the last is fine by itself.
      expect(verdict.order).toEqual(history.slice(0, -1));
      expect(isExplained(history.slice(0, -1))).toBe(true);
    });
  }
});

describe("a history of a job", () => {
  const id = "j";
  const enqueue = op(0, 1, { kind: "enqueue", holder: "l", term: 1, id }, done);
  const job = (attempt: number, at: number, runAfter = 0): Result => ({
    kind: "job",
    id,
    attempt,
    at,
    runAfter,
  });
  const claim = (start: number, end: number, holder: string, attempt: number, at = start) =>
    op(start, end, { kind: "claim", holder, ttlMs: 100 }, job(attempt, at));
  const held = (
    kind: "complete" | "fail" | "give back",
    [start, end]: [number, number],
    holder: string,
    attempt: number,
    result: Result = job(attempt, start),
  ) => op(start, end, { kind, holder, id, attempt }, result);
  const beat = (
    start: number,
    end: number,
    holder: string,
    attempt: number,
    result: Result = job(attempt, start),
  ) => op(start, end, { kind: "heartbeat", holder, id, attempt, ttlMs: 100 }, result);

  const good: Record<string, Operation[]> = {
    "of one holder": [
      enqueue,
      claim(2, 3, "a", 1),
      beat(90, 91, "a", 1),
      held("complete", [180, 181], "a", 1),
    ],
    "of a late holder": [enqueue, claim(2, 3, "a", 1), held("complete", [500, 501], "a", 1)],
    "of several holders": [
      enqueue,
      claim(2, 3, "a", 1),
      claim(102, 103, "b", 2),
      beat(104, 105, "a", 1, refused),
      held("fail", [106, 107], "b", 2, job(2, 106, 200)),
      claim(200, 201, "a", 3),
      held("give back", [202, 203], "a", 3),
      claim(204, 205, "b", 4),
      held("complete", [206, 207], "b", 4),
    ],
    "of a claim that was never answered": [
      enqueue,
      op(2, never, { kind: "claim", holder: "a", ttlMs: 100 }, unknown),
      claim(110, 111, "b", 2),
      held("complete", [112, 113], "b", 2),
    ],
  };
  for (const [name, history] of Object.entries(good)) {
    it(`is accepted: one ${name}`, () => {
      expect(findJobViolations(history)).toEqual([]);
      expect(findUnexplainedJob(history)).toBeUndefined();
    });
  }

  const bad: Record<string, Operation[]> = {
    "an attempt given twice": [enqueue, claim(2, 3, "a", 1), claim(102, 103, "b", 1)],
    "a job completed twice": [
      enqueue,
      claim(2, 3, "a", 1),
      held("complete", [4, 5], "a", 1),
      held("complete", [6, 7], "a", 1),
    ],
    "a claim after completion": [
      enqueue,
      claim(2, 3, "a", 1),
      held("complete", [4, 5], "a", 1),
      claim(102, 103, "b", 2),
    ],
    "a heartbeat accepted after another had the job": [
      enqueue,
      claim(2, 3, "a", 1),
      claim(102, 103, "b", 2),
      beat(104, 105, "a", 1),
    ],
    "a completion by another than the holder": [
      enqueue,
      claim(2, 3, "a", 1),
      held("complete", [4, 5], "b", 1),
    ],
  };
  for (const [name, history] of Object.entries(bad)) {
    it(`is refused for ${name}`, () => {
      expect(findJobViolations(history)).toHaveLength(1);
      expect(findUnexplainedJob(history)).toMatchObject({ id });
    });
  }

  const unexplained: Record<string, Operation[]> = {
    "a claim before the one before has ended": [enqueue, claim(2, 3, "a", 1), claim(50, 51, "b", 2)],
    "a claim within the back-off": [
      enqueue,
      claim(2, 3, "a", 1),
      held("fail", [4, 5], "a", 1, job(1, 4, 1_000)),
      claim(500, 501, "b", 2),
    ],
    "a claim of what was not queued": [claim(2, 3, "a", 1)],
    "a heartbeat refused to the holder": [enqueue, claim(2, 3, "a", 1), beat(4, 5, "a", 1, refused)],
    "an attempt that was skipped": [enqueue, claim(2, 3, "a", 2)],
  };
  for (const [name, history] of Object.entries(unexplained)) {
    it(`is not explained by any order: ${name}`, () => {
      expect(findUnexplainedJob(history)).toMatchObject({ id });
      expect(findUnexplainedJob(history.slice(0, -1))).toBeUndefined();
    });
  }
});

describe("the search for an order", () => {
  interface Step extends Timed {
    readonly id: number;
    readonly kind: "set" | "get";
    readonly value: number;
  }
  const register: SequentialObject<number, Step> = {
    initial: 0,
    key: String,
    apply: (state, { kind, value }) => (kind === "set" ? value : value === state ? state : undefined),
  };

  /** Every order there is. */
  const isExplainedBySome = (left: readonly Step[], state: number): boolean =>
    left.every(({ end }) => end === never) ||
    left.some((step) => {
      const isFirst = left.every((other) => other === step || other.end >= step.start);
      const after = isFirst ? register.apply(state, step) : undefined;
      return (
        after !== undefined &&
        isExplainedBySome(
          left.filter((other) => other !== step),
          after,
        )
      );
    });

  const history = fc
    .array(
      fc.record({
        kind: fc.constantFrom("set" as const, "get" as const),
        value: fc.nat({ max: 2 }),
        start: fc.nat({ max: 20 }),
        length: fc.nat({ max: 8 }),
        answered: fc.integer({ min: 0, max: 5 }).map((n) => n > 0),
      }),
      { maxLength: 7 },
    )
    .map((steps) =>
      steps.map(
        ({ kind, value, start, length, answered }, id): Step => ({
          id,
          kind,
          value,
          start,
          end: answered ? start + length : never,
        }),
      ),
    );

  it("finds one exactly where there is one", () => {
    const verdicts = { yes: 0, no: 0 };
    fc.assert(
      fc.property(history, (steps) => {
        const verdict = linearize(steps, register);
        expect(verdict.linearizable).toBe(isExplainedBySome(steps, register.initial));
        verdicts[verdict.linearizable ? "yes" : "no"]++;
        let state = register.initial;
        for (const [index, step] of verdict.order.entries()) {
          state = register.apply(state, step) ?? Number.NaN;
          expect(state).not.toBeNaN();
          for (const later of verdict.order.slice(index + 1)) {
            expect(later.end).toBeGreaterThanOrEqual(step.start);
          }
        }
      }),
      { numRuns: 3_000 },
    );
    expect(verdicts.yes).toBeGreaterThan(100);
    expect(verdicts.no).toBeGreaterThan(100);
  });

  it("goes through long histories", () => {
    const steps: Step[] = Array.from({ length: 20_000 }, (_, id) => ({
      id,
      kind: id % 2 === 0 ? "set" : "get",
      value: id >> 1,
      start: id,
      end: id + 1.5,
    }));
    expect(linearize(steps, register).linearizable).toBe(true);
    const broken = steps.map((step) => (step.id === 19_991 ? { ...step, value: 7 } : step));
    const verdict = linearize(broken, register);
    expect(verdict.linearizable).toBe(false);
    expect(verdict.order.length).toBeGreaterThan(19_980);
  });
});
