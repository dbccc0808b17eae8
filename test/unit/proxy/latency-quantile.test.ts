import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LatencyQuantile } from "../../../src/proxy/read/latency-quantile.js";
import { seededRandom } from "../../support/random.js";

describe("a streaming quantile", () => {
  it("says nothing of a few values", () => {
    const quantile = new LatencyQuantile(0.95);
    for (let at = 0; at < 19; at++) quantile.add(5);
    expect(quantile.value()).toBeUndefined();
    quantile.add(5);
    expect(quantile.value()).toBeDefined();
  });

  it("is the quantile of what it was given, give or take a fifth", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.constantFrom(0.5, 0.9, 0.95),
        fc.double({ min: 0.5, max: 500, noNaN: true }),
        (seed, fraction, scale) => {
          const random = seededRandom(seed);
          const quantile = new LatencyQuantile(fraction);
          const values = Array.from({ length: 240 }, () => scale * (1 + 2 * random.next()));
          for (const value of values) quantile.add(value);
          values.sort((a, b) => a - b);
          const exact = (share: number): number => values[Math.floor(values.length * share)] ?? 0;
          const found = quantile.value() ?? 0;
          expect(found).toBeGreaterThan(exact(Math.max(0, fraction - 0.08)) / 1.2);
          expect(found).toBeLessThan((exact(Math.min(0.999, fraction + 0.08)) || 1) * 1.2);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("follows a change within some hundred values, up and down", () => {
    const quantile = new LatencyQuantile(0.95);
    const feed = (ms: number): void => {
      for (let at = 0; at < 2_000; at++) quantile.add(ms);
    };
    feed(2);
    expect(quantile.value()).toBeLessThan(2.5);
    feed(200);
    expect(quantile.value()).toBeGreaterThan(160);
    feed(2);
    expect(quantile.value()).toBeLessThan(2.5);
  });

  it("takes any value", () => {
    const quantile = new LatencyQuantile(0.95);
    for (let at = 0; at < 40; at++) quantile.add(at % 2 === 0 ? 0 : 1e9);
    expect(Number.isFinite(quantile.value())).toBe(true);
  });
});
