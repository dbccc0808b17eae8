import { expect, it } from "vitest";
import { slopeOf } from "../../bench/line-fit.js";

it("gives the slope of a line, and of the line nearest to points beside it", () => {
  const line = [0, 1, 2, 5].map((at) => ({ at, value: 3 * at + 7 }));
  expect(slopeOf(line)).toBeCloseTo(3);
  const noise = [0.5, -0.5, -0.5, 0.5];
  const beside = [0, 1, 2, 3].map((at) => ({ at, value: 10 - 2 * at + (noise[at] ?? 0) }));
  expect(slopeOf(beside)).toBeCloseTo(-2);
});

it("knows no slope of a single moment", () => {
  expect(slopeOf([{ at: 1, value: 4 }])).toBeNaN();
  expect(slopeOf([])).toBeNaN();
});
