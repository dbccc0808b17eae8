import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  MAX_REPLICAS,
  type ReplicaIdentity,
  ReplicaSeats,
} from "../../../src/control/leader/replica-seats.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import type { LeaseTable, TaskStore } from "../../../src/store/task-store.js";
import { createManualWorld, type ManualWorld, mortal } from "../../support/manual-world.js";

const logger = pino({ level: "silent" });
let world: ManualWorld;
let store: TaskStore;

beforeEach(async () => {
  world = createManualWorld();
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
});
afterEach(() => store.close());

function replica(name: string, leases: LeaseTable = store.lease) {
  const self: ReplicaIdentity = {
    address: `[::1]:${name}`,
    session: `session-${name}`,
    version: "1.2.3-rc.1+build",
    protocol: { min: 1, max: Number(name) },
  };
  const life = mortal(world);
  return { ...life, self, seats: new ReplicaSeats({ leases, world: life.world, logger, self }) };
}

it("shows every process to the others, with what it speaks, in the order of seats", async () => {
  const [a, b] = [replica("1"), replica("2")];
  await a.seats.start();
  await b.seats.start();
  await world.advance(60_000);
  expect(a.seats.live()).toEqual([a.self, b.self]);
  expect(b.seats.live()).toEqual([a.self, b.self]);
});

it("forgets one that stops at once, and one that dies after its time, whatever the clocks say", async () => {
  const [a, b, c] = [replica("1"), replica("2"), replica("3")];
  for (const { seats } of [a, b, c]) await seats.start();
  await b.seats.close();
  c.kill();
  await world.advance(3_000);
  expect(a.seats.live()).toEqual([a.self, c.self]);
  await world.advance(15_000);
  expect(a.seats.live()).toEqual([a.self]);
  // Its seat is free for the next.
  const d = replica("4");
  await d.seats.start();
  await world.advance(3_000);
  expect(a.seats.live()).toEqual([a.self, d.self]);
});

it("knows itself at least while the store is away, and sits down when it is back", async () => {
  let isAway = true;
  const guarded = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return (...args: A): Promise<R> => (isAway ? Promise.reject(new Error("away")) : call(...args));
  };
  const leases: LeaseTable = {
    acquire: guarded((request) => store.lease.acquire(request)),
    renew: guarded((token, ttlMs) => store.lease.renew(token, ttlMs)),
    release: guarded((token) => store.lease.release(token)),
    current: guarded((scope) => store.lease.current(scope)),
  };
  const a = replica("1", leases);
  await a.seats.start();
  expect(a.seats.live()).toEqual([a.self]);
  isAway = false;
  await world.advance(3_000);
  const b = replica("2");
  await b.seats.start();
  expect(b.seats.live()).toEqual([a.self, b.self]);
});

it("does without a seat where all are taken, and takes the first that is given back", async () => {
  const all = Array.from({ length: MAX_REPLICAS }, (_, at) => replica(`${at + 1}`));
  for (const { seats } of all) await seats.start();
  const late = replica("99");
  await late.seats.start();
  expect(late.seats.live()).toHaveLength(MAX_REPLICAS + 1);
  await world.advance(3_000);
  expect(all[0]?.seats.live()).toHaveLength(MAX_REPLICAS);
  await all[7]?.seats.close();
  await world.advance(6_000);
  expect(all[0]?.seats.live()[7]).toEqual(late.self);
});
