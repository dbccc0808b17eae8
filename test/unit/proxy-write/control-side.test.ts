import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  AllocateTaskUidsResponseSchema,
  RegisterTasksResponseSchema,
} from "../../../src/gen/miroir/v1/tasks_pb.js";
import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import { type ControlTransport, ControlUnavailableError } from "../../../src/proxy/control-transport.js";
import { Lane } from "../../../src/proxy/write/lane.js";
import { createTaskRegistrar } from "../../../src/proxy/write/task-registrar.js";
import { createTaskUids } from "../../../src/proxy/write/task-uids.js";
import { noWriteMetrics } from "../../../src/proxy/write/write-metrics.js";
import { createVirtualWorld, type VirtualWorld } from "../../simulation/virtual-world.js";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A control plane that can be away. */
function controlPlane() {
  const state = { away: false, next: 0n, blocks: [] as number[], registered: [] as bigint[] };
  const away = () => Promise.reject(new ControlUnavailableError("away"));
  const control = {
    allocateTaskUids: ({ count = 0 }: { count?: number }) => {
      if (state.away) return away();
      const firstUid = state.next;
      state.next += BigInt(count);
      state.blocks.push(count);
      return Promise.resolve(create(AllocateTaskUidsResponseSchema, { firstUid, count }));
    },
    registerTasks: ({ tasks = [] }: { tasks?: { uid?: bigint }[] }) => {
      if (state.away) return away();
      state.registered.push(...tasks.map(({ uid }) => uid ?? -1n));
      return Promise.resolve(create(RegisterTasksResponseSchema));
    },
  } as unknown as ControlTransport;
  return { state, control };
}

async function finish<T>(world: VirtualWorld, work: Promise<T>): Promise<T> {
  let done = false;
  const watched = work.finally(() => {
    done = true;
  });
  watched.catch(() => undefined);
  await world.runUntil(() => done, 600_000);
  return watched;
}

describe("task uids", () => {
  it("ascend, and go on for a while without the control plane", async () => {
    const world = createVirtualWorld(1);
    const { state, control } = controlPlane();
    const uids = createTaskUids(control, "s", world, { block: 16, ttlMs: 10_000, timeoutMs: 1_000 });
    const taken: bigint[] = [];
    for (let i = 0; i < 100; i++) taken.push(await finish(world, uids.take()));
    expect(taken).toEqual([...taken].sort((a, b) => Number(a - b)));
    expect(new Set(taken).size).toBe(100);
    state.away = true;
    for (let i = 0; i < 8; i++) taken.push(await finish(world, uids.take()));
    const rest = async () => {
      for (let i = 0; i < 5_000; i++) await finish(world, uids.take());
    };
    await expect(rest()).rejects.toMatchObject({ status: 503, body: { code: "miroir_control_unavailable" } });
    state.away = false;
    expect(await finish(world, uids.take())).toBeGreaterThan(taken[107] ?? 0n);
  });

  it("are not handed out long after they were reserved, unless there are no others", async () => {
    const world = createVirtualWorld(1);
    const { state, control } = controlPlane();
    const uids = createTaskUids(control, "s", world, { block: 16, ttlMs: 10_000, timeoutMs: 1_000 });
    expect(await finish(world, uids.take())).toBe(0n);
    await finish(world, world.timers.sleep(20_000));
    state.next = 100n;
    expect(await finish(world, uids.take())).toBe(100n);
    await finish(world, world.timers.sleep(20_000));
    state.away = true;
    expect(await finish(world, uids.take())).toBe(101n);
  });

  it("have no gaps where nobody else has reserved any, however long ago they were reserved", async () => {
    const world = createVirtualWorld(1);
    const { control } = controlPlane();
    const uids = createTaskUids(control, "s", world, { block: 16, ttlMs: 10_000, timeoutMs: 1_000 });
    for (let uid = 0n; uid < 60n; uid += 1n) {
      expect(await finish(world, uids.take())).toBe(uid);
      await finish(world, world.timers.sleep(uid % 5n === 0n ? 20_000 : 3_000));
    }
  });
});

describe("registration", () => {
  it("waits for the control plane, keeps what it could not say, and says it later in order", async () => {
    const world = createVirtualWorld(1);
    const { state, control } = controlPlane();
    const registrar = createTaskRegistrar(control, "s", world, silent, noWriteMetrics, {
      maxPending: 3,
      timeoutMs: 1_000,
    });
    await finish(world, registrar.register({ uid: 1n }));
    expect(state.registered).toEqual([1n]);
    state.away = true;
    for (const uid of [2n, 3n, 4n]) {
      expect(registrar.hasRoom()).toBe(true);
      await finish(world, registrar.register({ uid }));
    }
    expect(registrar.hasRoom()).toBe(false);
    expect(registrar.pending()).toBe(3);
    state.away = false;
    await finish(world, registrar.flush(new AbortController().signal));
    expect(state.registered).toEqual([1n, 2n, 3n, 4n]);
    registrar.close();
  });
});

describe("a lane", () => {
  it("runs one write at a time in the order in which they came, and turns away what it cannot hold", async () => {
    const lane = new Lane(3);
    const { signal } = new AbortController();
    const order: number[] = [];
    let running = 0;
    const work = (n: number) => async () => {
      expect(++running).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(n);
      running--;
    };
    const runs = [1, 2, 3].map((n) => lane.run(signal, work(n)));
    await expect(lane.run(signal, work(4))).rejects.toThrow(MeilisearchError);
    await Promise.all(runs);
    expect(order).toEqual([1, 2, 3]);
    expect(lane.length).toBe(0);
  });

  it("goes on after a write that fails, and drops one that was taken back", async () => {
    const lane = new Lane(10);
    const { signal } = new AbortController();
    const gone = new AbortController();
    const failing = lane.run(signal, () => Promise.reject(new Error("no")));
    const taken = lane.run(gone.signal, () => Promise.resolve("made"));
    const last = lane.run(signal, () => Promise.resolve("made"));
    gone.abort(new Error("taken back"));
    await expect(failing).rejects.toThrow("no");
    await expect(taken).rejects.toThrow("taken back");
    expect(await last).toBe("made");
  });
});
