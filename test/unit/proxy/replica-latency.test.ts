import { beforeEach, describe, expect, it } from "vitest";
import { HedgeBudget } from "../../../src/proxy/read/hedge-budget.js";
import {
  createReplicaLatencies,
  type IndexLatency,
  SLOW_START_MS,
} from "../../../src/proxy/read/replica-latency.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

let world: ManualWorld;
let latency: IndexLatency;

beforeEach(() => {
  world = createManualWorld();
  latency = createReplicaLatencies(world.clock).of("books");
});

const answers = (nodeId: string, ms: number, times = 20): void => {
  for (let at = 0; at < times; at++) latency.answered(nodeId, ms);
};

describe("a slow replica", () => {
  it("takes several times as long as its peers, and more than nobody would notice", () => {
    answers("a", 4);
    answers("b", 200);
    expect([latency.isSlow("a"), latency.isSlow("b")]).toEqual([false, true]);
    const fast = createReplicaLatencies(world.clock).of("films");
    for (let at = 0; at < 50; at++) {
      fast.answered("a", 0.5);
      fast.answered("b", 4);
    }
    expect(fast.isSlow("b")).toBe(false);
  });

  it("is not told from a few answers, nor where all are as slow", () => {
    answers("a", 4);
    answers("b", 200, 9);
    expect(latency.isSlow("b")).toBe(false);
    latency = createReplicaLatencies(world.clock).of("films");
    answers("a", 4);
    answers("b", 4);
    for (let at = 0; at < 100; at++) {
      latency.answered("a", 190);
      latency.answered("b", 210);
      expect([latency.isSlow("a"), latency.isSlow("b")]).toEqual([false, false]);
    }
  });

  it("is found though nobody waits for its answers", () => {
    answers("a", 4);
    answers("b", 4);
    for (let at = 0; at < 20; at++) {
      latency.outrun("b", 9);
      latency.answered("a", 4);
    }
    expect(latency.isSlow("b")).toBe(true);
  });

  it("is not one that loses a race now and then", () => {
    for (let at = 0; at < 1_000; at++) {
      latency.answered("a", 4);
      if (at % 40 === 0) latency.outrun("b", 12);
      else latency.answered("b", 4);
      expect(latency.isSlow("b")).toBe(false);
    }
  });

  it("is sampled now and then, and gets its share back by degrees when it answers as its peers do", async () => {
    answers("a", 4);
    answers("b", 200);
    const { version } = latency;
    expect([latency.takeSample(), latency.takeSample()]).toEqual(["b", undefined]);
    latency.answered("b", 200);
    for (let at = 0; at < 2; at++) {
      await world.advance(500);
      expect(latency.takeSample()).toBe("b");
      latency.answered("b", 5);
    }
    expect([latency.isSlow("b"), latency.warmth("b")]).toEqual([true, 0]);
    latency.answered("b", 5);
    expect([latency.isSlow("b"), latency.warmth("b"), latency.warmth("a")]).toEqual([false, 0, 1]);
    expect(latency.version).toBeGreaterThan(version);
    await world.advance(SLOW_START_MS / 2);
    expect(latency.warmth("b")).toBeCloseTo(0.5);
    await world.advance(SLOW_START_MS);
    expect([latency.warmth("b"), latency.takeSample()]).toEqual([1, undefined]);
  });

  it("is forgotten with its node", () => {
    answers("a", 4);
    answers("b", 200);
    latency.keepOnly(new Set(["a"]));
    expect([latency.isSlow("b"), latency.takeSample(), latency.p95Ms("b")]).toEqual([
      false,
      undefined,
      undefined,
    ]);
  });
});

describe("what a replica is expected to take", () => {
  it("is its mean, and what is usual where that is long past or unknown", async () => {
    expect(latency.expectedMs("a")).toBe(1);
    answers("a", 4);
    answers("b", 8);
    answers("a", 4);
    expect([latency.expectedMs("b"), latency.expectedMs("c")]).toEqual([8, 4]);
    await world.advance(6_000);
    expect(latency.expectedMs("b")).toBe(4);
  });
});

describe("the memory of replicas", () => {
  it("is bounded: indexes that are not read go first", () => {
    const latencies = createReplicaLatencies(world.clock);
    for (let at = 0; at < 20; at++) latencies.of("first").answered("a", 4);
    expect(latencies.of("first").p95Ms("a")).toBeDefined();
    for (let index = 0; index < 2_000; index++) {
      const of = latencies.of(`i${index}`);
      for (let node = 0; node < 10; node++) of.answered(`node-${node}`, 1);
    }
    expect(latencies.of("first").p95Ms("a")).toBeUndefined();
  });
});

describe("the budget of hedges", () => {
  it("allows a few at once, and a share of what is needed in the long run", () => {
    const budget = new HedgeBudget(5);
    let taken = 0;
    for (let request = 0; request < 10_000; request++) {
      budget.earn();
      if (budget.take(1)) taken++;
    }
    expect(taken).toBeLessThanOrEqual(510);
    expect(taken).toBeGreaterThan(490);
  });

  it("makes hedges wait for samples, never samples for hedges", () => {
    const budget = new HedgeBudget(5);
    for (let at = 0; at < 100; at++) budget.charge();
    for (let request = 0; request < 200; request++) budget.earn();
    expect(budget.take(1)).toBe(false);
    for (let request = 0; request < 21; request++) budget.earn();
    expect(budget.take(1)).toBe(true);
  });

  it("makes nodes be waited for longer the less of it is left", () => {
    const budget = new HedgeBudget(5);
    expect(budget.patience()).toBe(1);
    budget.take(5);
    expect(budget.patience()).toBe(2);
    budget.take(5);
    expect(budget.patience()).toBe(3);
  });

  it("of nothing allows none", () => {
    const budget = new HedgeBudget(0);
    budget.earn();
    expect(budget.take(1)).toBe(false);
  });
});
