import { Counter, Histogram, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import {
  oncePer,
  oncePerPair,
  SeriesCounter,
  SeriesHistogram,
} from "../../../src/proxy/http/series-metrics.js";

const BOUNDS = [0.005, 0.1, 1];
const VALUES = [0, 0.005, 0.0051, 0.1, 0.7, 1, 1.5, 40];

/** Lines apart from their order, which says nothing. */
function lines(text: string): string[] {
  return text.split("\n").sort();
}

describe("metrics by series", () => {
  it("are printed as prom-client prints its own", async () => {
    const [mine, theirs] = [new Registry(), new Registry()];
    const names = { name: "seconds", help: "Time\nof \\ calls.", labelNames: ["node", "kind"] as const };
    const counted = { name: "calls_total", help: "Calls.", labelNames: ["node"] as const };
    const histogram = new SeriesHistogram({ ...names, registry: mine }, BOUNDS);
    const counter = new SeriesCounter({ ...counted, registry: mine });
    const plainHistogram = new Histogram({ ...names, buckets: BOUNDS, registers: [theirs] });
    const plainCounter = new Counter({ ...counted, registers: [theirs] });
    for (const node of ["a", 'b"\\']) {
      const labels = { node, kind: "x" };
      const [seconds, calls] = [histogram.series(labels), counter.series({ node })];
      for (const value of VALUES) {
        seconds.observe(value);
        calls.inc();
        plainHistogram.observe(labels, value);
        plainCounter.inc({ node });
      }
    }
    // A second look counts nothing twice.
    await mine.metrics();
    expect(lines(await mine.metrics())).toEqual(lines(await theirs.metrics()));
  });

  it("are made once for the same labels", () => {
    const ofPair = oncePerPair((a, b) => [a, b]);
    const ofStatus = oncePer((status: number) => [status]);
    expect(ofPair("a", "b")).toBe(ofPair("a", "b"));
    expect(ofPair("a", "c")).toEqual(["a", "c"]);
    expect(ofStatus(200)).toBe(ofStatus(200));
    expect(ofStatus(404)).toEqual([404]);
  });
});
