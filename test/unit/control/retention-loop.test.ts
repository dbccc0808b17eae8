import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { NotLeaderError } from "../../../src/control/leader/leadership.js";
import { RetentionLoop, type RetentionTuning } from "../../../src/control/tasks/task-retention.js";
import {
  type FencingToken,
  leaseScope,
  type Retention,
  StoreUnavailableError,
} from "../../../src/store/task-store.js";
import { createManualWorld } from "../../support/manual-world.js";

const token: FencingToken = { scope: leaseScope("leader"), holder: "a", term: 1 };
const HOUR_MS = 3_600_000;

/** A store that has so many rows of each kind to prune, and remembers what it was asked. */
function backlog(rows: Partial<Record<keyof Retention, number>>) {
  const left: Record<string, number> = { ...rows };
  const calls: { kind: keyof Retention; rule: Readonly<Record<string, unknown>> }[] = [];
  let failing: keyof Retention | undefined;
  const prune = (kind: keyof Retention) => async (rule: { limit?: number }) => {
    calls.push({ kind, rule: { ...rule } });
    if (kind === failing) throw new StoreUnavailableError("the store is away", "certainly-aborted");
    const going = Math.min(left[kind] ?? 0, rule.limit ?? 1_000);
    left[kind] = (left[kind] ?? 0) - going;
    return going;
  };
  const retention: Retention = {
    pruneTasks: prune("pruneTasks"),
    pruneWorkflows: prune("pruneWorkflows"),
    pruneJobs: prune("pruneJobs"),
    pruneCanaryRuns: prune("pruneCanaryRuns"),
    pruneExpired: prune("pruneExpired"),
  };
  return {
    store: { retention },
    calls,
    left,
    fail: (kind: keyof Retention | undefined) => {
      failing = kind;
    },
  };
}

function start(
  store: { readonly retention: Retention },
  tuning: RetentionTuning = {},
  fence: () => FencingToken = () => token,
) {
  const world = createManualWorld();
  const loop = new RetentionLoop({ store, fence, world, logger: pino({ level: "silent" }), tuning });
  loop.start();
  return { world, loop };
}

describe("the retention loop", () => {
  it("asks for every kind once a round, by age and count", async () => {
    const { calls, store } = backlog({});
    const { loop, world } = start(store, { keepTasks: 5, keepTasksMs: 2 * HOUR_MS, keepHistoryMs: HOUR_MS });
    const began = world.clock.now() + 60_000;
    await world.advance(60_000);
    await loop.stop();
    expect(calls).toEqual([
      { kind: "pruneExpired", rule: { limit: 1_000 } },
      { kind: "pruneTasks", rule: { keepFinished: 5, finishedBefore: began - 2 * HOUR_MS, limit: 1_000 } },
      { kind: "pruneJobs", rule: { finishedBefore: began - HOUR_MS, limit: 1_000 } },
      { kind: "pruneWorkflows", rule: { finishedBefore: began - HOUR_MS, limit: 1_000 } },
      { kind: "pruneCanaryRuns", rule: { ranBefore: began - HOUR_MS, limit: 1_000 } },
    ]);
  });

  it("deletes a long backlog batch by batch, and rests after each full one", async () => {
    const { calls, left, store } = backlog({ pruneTasks: 25, pruneExpired: 3 });
    const { loop, world } = start(store, { batch: 10, restMs: 1_000 });
    await world.advance(60_000);
    const tasks = () => calls.filter(({ kind }) => kind === "pruneTasks").length;
    expect(tasks()).toBe(1);
    await world.advance(1_000);
    expect(tasks()).toBe(2);
    await world.advance(1_000);
    expect(tasks()).toBe(3);
    expect(left).toMatchObject({ pruneTasks: 0, pruneExpired: 0 });
    await loop.stop();
  });

  it("goes on with the other kinds where one fails, and tries that one again in the next round", async () => {
    const { calls, fail, left, store } = backlog({ pruneTasks: 2, pruneJobs: 3 });
    const { loop, world } = start(store);
    fail("pruneTasks");
    await world.advance(60_000);
    expect(left).toMatchObject({ pruneTasks: 2, pruneJobs: 0 });
    fail(undefined);
    await world.advance(60_000);
    expect(left).toMatchObject({ pruneTasks: 0 });
    await loop.stop();
    const rounds = calls.filter(({ kind }) => kind === "pruneCanaryRuns").length;
    await world.advance(600_000);
    expect(calls.filter(({ kind }) => kind === "pruneCanaryRuns")).toHaveLength(rounds);
  });

  it("asks the store for nothing while this process does not lead", async () => {
    const { calls, store } = backlog({ pruneTasks: 5 });
    const { loop, world } = start(store, {}, () => {
      throw new NotLeaderError("another one leads");
    });
    await world.advance(180_000);
    await loop.stop();
    expect(calls).toEqual([]);
  });
});
