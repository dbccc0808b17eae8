import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLeadership, NotLeaderError } from "../../../src/control/leader/leadership.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { type LeaseTable, StoreUnavailableError, type TaskStore } from "../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld, mortal } from "../../support/manual-world.js";

const logger = pino({ level: "silent" });
let world: ManualWorld;
let store: TaskStore;

beforeEach(async () => {
  world = createManualWorld();
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
});
afterEach(() => store.close());

function candidate(holder: string, leases: LeaseTable = store.lease) {
  const life = mortal(world);
  return { ...life, leadership: createLeadership({ leases, world: life.world, logger, holder }) };
}

describe("leadership", () => {
  it("is one process's, goes on by renewal, and goes over when given back", async () => {
    const a = candidate("a").leadership;
    const b = candidate("b").leadership;
    await a.start();
    await b.start();
    await world.advance(60_000);
    expect(a.fence()).toMatchObject({ holder: "a", term: 1 });
    expect(() => b.fence()).toThrow(NotLeaderError);
    await a.close();
    await world.advance(1_000);
    expect(b.fence()).toMatchObject({ holder: "b", term: 2 });
    expect(() => a.fence()).toThrow(NotLeaderError);
  });

  it("goes over when its holder dies, after the lease and never before", async () => {
    const a = candidate("a");
    const b = candidate("b").leadership;
    await a.leadership.start();
    await b.start();
    await world.advance(5_000);
    a.kill();
    let seconds = 0;
    while (b.state().kind !== "leader") {
      await world.advance(1_000);
      seconds += 1;
      // The dead one's own view ends no later than the store's.
      if (b.state().kind === "leader") expect(() => a.leadership.fence()).toThrow(NotLeaderError);
    }
    expect(seconds).toBeGreaterThanOrEqual(7);
    expect(seconds).toBeLessThanOrEqual(11);
  });

  it("ends on the holder's own clock when the store does not answer", async () => {
    let broken = false;
    const { leadership } = candidate("a", {
      ...store.lease,
      acquire: (request) => store.lease.acquire(request),
      release: (token) => store.lease.release(token),
      current: (scope) => store.lease.current(scope),
      renew: (token, ttlMs) =>
        broken
          ? Promise.reject(new StoreUnavailableError("no answer", "maybe-executed"))
          : store.lease.renew(token, ttlMs),
    });
    const states: string[] = [];
    leadership.onChange((state) => states.push(state.kind));
    await leadership.start();
    await world.advance(3_500);
    broken = true;
    await world.advance(6_000);
    expect(leadership.state().kind).toBe("leader");
    await world.advance(4_000);
    broken = false;
    expect(states).toEqual(["leader", "follower"]);
    await world.advance(2_000);
    expect(states).toEqual(["leader", "follower", "leader"]);
  });

  it("takes a term above one that was seen elsewhere", async () => {
    const { leadership } = candidate("a");
    await leadership.start();
    const terms: number[] = [];
    leadership.onChange((state) => {
      if (state.kind === "leader") terms.push(state.fence.term);
    });
    expect(await leadership.raise(41)).toMatchObject({ term: 42 });
    expect(await leadership.raise(7)).toMatchObject({ term: 42 });
    expect(terms).toEqual([42]);
    expect(leadership.fence().term).toBe(42);
  });

  it("gives back a lease that the store renewed after its holder had given up", async () => {
    const { leadership } = candidate("a", {
      acquire: (request) => store.lease.acquire(request),
      // The store renews just in time, and its answer comes when the holder's own time is over.
      renew: async (token, ttlMs) => {
        await world.timers.sleep(6_500);
        const lease = await store.lease.renew(token, ttlMs);
        await world.timers.sleep(1_000);
        return lease;
      },
      release: (token) => store.lease.release(token),
      current: (scope) => store.lease.current(scope),
    });
    leadership.onChange(({ kind }) => {
      if (kind === "follower") leadership.close().catch(() => undefined);
    });
    await leadership.start();
    await world.advance(11_000);
    expect(leadership.state().kind).toBe("closed");
    const b = candidate("b").leadership;
    await b.start();
    expect(b.state().kind).toBe("leader");
  });

  it("stays closed, and takes nothing, when the answer to a renewal comes after it was closed", async () => {
    let answer: (lease: undefined) => void = () => undefined;
    const { leadership } = candidate("a", {
      acquire: (request) => store.lease.acquire(request),
      renew: () => new Promise((resolve) => (answer = resolve)),
      release: (token) => store.lease.release(token),
      current: (scope) => store.lease.current(scope),
    });
    await leadership.start();
    leadership.onChange(({ kind }) => {
      if (kind === "follower") leadership.close().catch(() => undefined);
    });
    await world.advance(11_000);
    expect(leadership.state().kind).toBe("closed");
    answer(undefined);
    await world.advance(30_000);
    expect(leadership.state().kind).toBe("closed");
    const b = candidate("b").leadership;
    await b.start();
    expect(b.state().kind).toBe("leader");
    await b.close();
  });
});
