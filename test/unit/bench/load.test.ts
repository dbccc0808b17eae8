import { expect, it } from "vitest";
import type { OpenCaller, Outcome } from "../../bench/caller.js";
import { runLoad } from "../../bench/load.js";

/** Callers that answer at once, by turn; what was called is put into `turns`. */
function callers(turns: number[], outcomeOf: (turn: number) => Outcome): OpenCaller {
  return async () => ({
    call: async (turn) => {
      turns.push(turn);
      return outcomeOf(turn);
    },
    close: () => {},
  });
}

it("counts failed and wrong answers apart", async () => {
  const outcomes: readonly Outcome[] = ["right", "failed", "wrong", "right"];
  const open = callers([], (turn) => outcomes[turn % outcomes.length] ?? "right");
  const result = await runLoad(open, { perSecond: 2_000, durationMs: 20 });
  expect(result).toMatchObject({ requests: 40, failures: 10, wrong: 10 });
});

it("makes every request of a constant rate that is due, also those that a stalled server kept waiting", async () => {
  const turns: number[] = [];
  let release = (): void => {};
  const stalled = new Promise<void>((resolve) => {
    release = resolve;
  });
  const open: OpenCaller = async () => ({
    call: async (turn) => {
      turns.push(turn);
      if (turn === 9) release();
      if (turn < 9) await stalled;
      return "right";
    },
    close: () => {},
  });
  const result = await runLoad(open, { perSecond: 1_000, durationMs: 10 });
  expect(turns).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(result.requests).toBe(10);
});
