import { pino } from "pino";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CandidacyObserver, standForLeadership, WaitedInVainError } from "../../../src/cli/candidacy.js";
import { configSchema } from "../../../src/cli/config.js";
import { createServerMetrics } from "../../../src/control/server/server-metrics.js";
import type { NodeTransport } from "../../../src/meilisearch/transport.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { type Lease, leaseScope, type TaskStore } from "../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld } from "../../support/manual-world.js";

const scope = leaseScope("leader");
const noNodes: NodeTransport = {
  request: () => Promise.reject(new Error("there are no nodes")),
  close: () => Promise.resolve(),
};

let world: ManualWorld;
let store: TaskStore;

beforeEach(async () => {
  world = createManualWorld();
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
});
afterEach(() => store.close());

/** Lets everything that waits for nothing but its turn have it. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

function stand(holder: string, options: { clusterId?: string; patienceMs?: number; store?: TaskStore } = {}) {
  const events: string[] = [];
  const stop = new AbortController();
  const observer: CandidacyObserver = {
    cluster: () => undefined,
    standingBy: (leader) => events.push(`standing by for ${leader?.holder}`),
    serving: () => events.push("serving"),
    over: () => events.at(-1) !== "over" && events.push("over"),
  };
  const outcome = standForLeadership(
    {
      config: configSchema.parse({}),
      world,
      logger: pino({ level: "silent" }),
      store: options.store ?? store,
      transport: noNodes,
      metrics: createServerMetrics(new Registry()),
      holder,
      clusterId: options.clusterId,
      ...(options.patienceMs === undefined ? {} : { patienceMs: options.patienceMs }),
    },
    observer,
    stop.signal,
  );
  outcome.catch(() => undefined);
  return { events, outcome, stop: () => stop.abort() };
}

/**
 * Moves time on, a second at a time, until the condition holds. Bounded by the time outside: a leader that begins looks into folders, which
 * takes as long as the disk takes, however fast time goes in here.
 */
async function advanceUntil(condition: () => boolean): Promise<void> {
  for (const began = performance.now(); !condition(); ) {
    if (performance.now() - began > 4_000) throw new Error("it did not come");
    await world.advance(1_000);
    await settle();
  }
}

async function take(holder: string, ttlMs = 10_000): Promise<Lease> {
  const lease = await store.lease.acquire({ scope, holder, ttlMs });
  if (lease === undefined) throw new Error("the lease is taken");
  return lease;
}

describe("a candidacy", () => {
  it("leads where nobody does, and gives the lease back when it is stopped", async () => {
    const one = stand("a");
    await advanceUntil(() => one.events.includes("serving"));
    expect((await store.lease.current(scope))?.holder).toBe("a");
    one.stop();
    await one.outcome;
    expect(one.events).toEqual(["serving", "over"]);
    expect(await store.lease.current(scope)).toBeUndefined();
  });

  it("stands by while another one leads, for as long as it takes, and says when that changes", async () => {
    const first = await take("first", 300_000);
    const one = stand("a");
    await world.advance(120_000);
    await settle();
    expect(one.events).toEqual(["standing by for first"]);
    await store.lease.release(first);
    await advanceUntil(() => one.events.includes("serving"));
    one.stop();
    await one.outcome;
  });

  it("can be stopped while it stands by", async () => {
    await take("first", 300_000);
    const one = stand("a");
    await settle();
    one.stop();
    await one.outcome;
    expect((await store.lease.current(scope))?.holder).toBe("first");
  });

  it("gives up after its patience, and names who leads", async () => {
    await take("first", 300_000);
    const one = stand("a", { patienceMs: 50 });
    await expect(one.outcome).rejects.toThrow(new WaitedInVainError("first"));
  });

  it("is over for good when another one has the lease, and takes nothing from it", async () => {
    const one = stand("a");
    await advanceUntil(() => one.events.includes("serving"));
    const held = await store.lease.current(scope);
    if (held === undefined) throw new Error("nobody leads");
    await store.lease.release(held);
    const other = await take("b", 300_000);
    await advanceUntil(() => one.events.includes("over"));
    await one.outcome;
    expect(await store.lease.current(scope)).toMatchObject({ holder: "b", term: other.term });
  });

  it("is over on its own clock when the store does not answer", async () => {
    let away = false;
    const broken: TaskStore = {
      ...store,
      lease: {
        acquire: (request) => store.lease.acquire(request),
        renew: (...args) => (away ? Promise.reject(new Error("away")) : store.lease.renew(...args)),
        release: (token) => store.lease.release(token),
        current: (of) => store.lease.current(of),
      },
    };
    const one = stand("a", { store: broken });
    await advanceUntil(() => one.events.includes("serving"));
    away = true;
    const began = world.clock.monotonic();
    await advanceUntil(() => one.events.includes("over"));
    expect(world.clock.monotonic() - began).toBeLessThanOrEqual(10_000);
    await one.outcome;
  });

  it("ends with what is wrong where the store lost its cluster", async () => {
    await expect(stand("a", { clusterId: "gone" }).outcome).rejects.toThrow("no longer holds cluster gone");
    expect(await store.lease.current(scope)).toBeUndefined();
  });
});
