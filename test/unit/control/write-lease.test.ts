import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { createTopologyService } from "../../../src/control/topology/subscribe.js";
import {
  createTopologyControl,
  type TopologyControl,
} from "../../../src/control/topology/topology-control.js";
import { LeaseHeldError } from "../../../src/control/topology/write-leases.js";
import { createTopologyClient, type TopologyClient } from "../../../src/proxy/topology/topology-client.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { createManualWorld, type ManualWorld, mortal } from "../../support/manual-world.js";
import { seededRandom } from "../../support/random.js";
import { createSimulatedTransport, type SimulatedNetwork } from "../../support/simulated-control.js";
import { sampleTopology } from "../../support/topologies.js";

const logger = pino({ level: process.env.MIROIR_TEST_LOG ?? "silent" });

interface SimulatedProxy {
  readonly client: TopologyClient;
  readonly network: SimulatedNetwork;
  breakStreams(): void;
}

interface Simulation {
  readonly world: ManualWorld;
  readonly control: () => TopologyControl;
  /** Undefined takes the control plane away from proxies that connect from now on. */
  reachable: boolean;
  /** `crash`: the process just ends; the leader's lease is left behind. */
  restart(how: "stop" | "crash"): Promise<void>;
  proxy(id: string): SimulatedProxy;
}

async function simulate(seed = 1, latency: () => number = () => 5): Promise<Simulation> {
  const world = createManualWorld(seed);
  const store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
  const start = async () => {
    const life = mortal(world);
    const control = createTopologyControl({
      store,
      world: life.world,
      logger,
      initial: sampleTopology(),
      credentials: { current: () => [], onChange: () => () => undefined },
      leader: { ttlMs: 2_000, renewMs: 500, retryMs: 200 },
    });
    await control.start();
    const service = createTopologyService({
      topology: control.topology,
      fleet: control.fleet,
      world: life.world,
    });
    return { control, service, kill: () => life.kill() };
  };
  const proxies: SimulatedProxy[] = [];
  let running: Awaited<ReturnType<typeof start>> | undefined = await start();
  const simulation: Simulation = {
    world,
    control() {
      if (running === undefined) throw new Error("the control plane is down");
      return running.control;
    },
    reachable: true,
    async restart(how) {
      const former = running;
      running = undefined;
      if (how === "stop") await former?.control.close();
      former?.kill();
      for (const proxy of proxies) proxy.breakStreams();
      running = await start();
    },
    proxy(id) {
      const network: SimulatedNetwork = {
        service: () => (simulation.reachable ? running?.service : undefined),
        latency,
        silent: false,
      };
      const transport = createSimulatedTransport(network, world);
      const client = createTopologyClient({
        control: transport,
        world,
        logger,
        proxyId: id,
        address: `http://${id}.test`,
        version: "1",
      });
      client.start();
      const proxy = { client, network, breakStreams: () => transport.breakStreams() };
      proxies.push(proxy);
      return proxy;
    },
  };
  return simulation;
}

/** The ids of the proxies that a proxy takes for possible writers. */
function known(client: TopologyClient): readonly string[] {
  return client.writers().proxies.map(({ proxyId }) => proxyId);
}

/** Lets time pass; says when `former` held its lease last, and when `other` first took it for gone, in milliseconds from now. */
async function passing(world: ManualWorld, former: TopologyClient, other: TopologyClient, forMs: number) {
  let heldUntil = -1;
  let goneFrom: number | undefined;
  for (let elapsed = 0; elapsed < forMs; elapsed += 10) {
    if (former.state().kind === "held") heldUntil = elapsed;
    if (isGone(former, other)) goneFrom ??= elapsed;
    await world.advance(10);
  }
  return { heldUntil, goneFrom: goneFrom ?? Number.POSITIVE_INFINITY };
}

/** Whether `other` would take over what `former` writes. */
function isGone(former: TopologyClient, other: TopologyClient): boolean {
  const { proxies, complete } = other.writers();
  return complete && proxies.every(({ session }) => session !== former.session);
}

describe("write leases", () => {
  it("are held by every proxy that keeps up, and each knows of all", async () => {
    const { proxy, world } = await simulate();
    const a = proxy("a").client;
    await world.advance(100);
    const b = proxy("b").client;
    await world.advance(100);
    for (const client of [a, b]) {
      expect(client.state()).toMatchObject({ kind: "held" });
      expect(known(client)).toEqual(["a", "b"]);
    }
    await world.advance(60_000);
    for (const client of [a, b]) {
      expect(client.state()).toMatchObject({ kind: "held" });
      expect(client.writers()).toMatchObject({ complete: true });
    }
  });

  it("end at once by Goodbye, and the others are told at once", async () => {
    const { proxy, world } = await simulate();
    const a = proxy("a").client;
    const b = proxy("b").client;
    await world.advance(5_500);
    const closing = a.close();
    expect(a.state().kind).toBe("none");
    await world.advance(60);
    await closing;
    expect(known(b)).toEqual(["b"]);
    expect(isGone(a, b)).toBe(true);
  });

  it("of a proxy that vanished are taken for over only when they are", async () => {
    const { proxy, world } = await simulate();
    const a = proxy("a");
    const b = proxy("b");
    await world.advance(5_000);
    // From here on nothing of the first one arrives; it cannot know, and may write until its lease ends.
    a.network.silent = true;
    const { heldUntil, goneFrom } = await passing(world, a.client, b.client, 8_000);
    expect(heldUntil).toBeGreaterThan(1_500);
    expect(goneFrom).toBeGreaterThan(heldUntil);
    expect(goneFrom).toBeLessThan(5_000);
  });

  it("of an earlier session of a restarted proxy run on, behind the new one's", async () => {
    const { proxy, world } = await simulate();
    const first = proxy("a");
    const b = proxy("b");
    await world.advance(5_000);
    first.network.silent = true;
    const second = proxy("a");
    await world.advance(500);
    expect(b.client.writers().proxies.map(({ session }) => session)).toEqual([
      second.client.session,
      first.client.session,
      b.client.session,
    ]);
    const { heldUntil, goneFrom } = await passing(world, first.client, b.client, 8_000);
    expect(goneFrom).toBeGreaterThan(heldUntil);
  });

  it("survive a restart of the control plane, without a gap", async () => {
    const simulation = await simulate();
    const { world } = simulation;
    const { client } = simulation.proxy("a");
    await world.advance(2_000);
    await simulation.restart("stop");
    const kinds = new Set<string>();
    for (let elapsed = 0; elapsed < 3_000; elapsed += 50) {
      await world.advance(50);
      kinds.add(client.state().kind);
    }
    expect([...kinds]).toEqual(["held"]);
    expect(client.current()?.epoch.term).toBe(2n);
  });

  for (const how of ["stop", "crash"] as const) {
    it(`are waited for by the next leader, which knows of none (${how})`, async () => {
      const simulation = await simulate();
      const { world } = simulation;
      const a = simulation.proxy("a");
      const b = simulation.proxy("b");
      await world.advance(2_000);
      a.network.silent = true;
      await simulation.restart(how);
      const { heldUntil, goneFrom } = await passing(world, a.client, b.client, 12_000);
      expect(heldUntil).toBeGreaterThan(1_500);
      expect(goneFrom).toBeGreaterThanOrEqual(3_000);
      expect(goneFrom).toBeGreaterThan(heldUntil);
      expect(goneFrom).toBeLessThan(8_000);
    });
  }

  it("end while the control plane is away, and come back by themselves", async () => {
    const simulation = await simulate();
    const { world } = simulation;
    const { client, breakStreams } = simulation.proxy("a");
    await world.advance(1_000);
    simulation.reachable = false;
    breakStreams();
    await world.advance(1_000);
    expect(client.state()).toMatchObject({ kind: "held" });
    await world.advance(2_500);
    expect(client.state()).toMatchObject({ kind: "none", reason: expect.stringContaining("ran out") });
    expect(client.current()).toBeDefined();
    expect(client.connection().kind).toBe("waiting");
    simulation.reachable = true;
    await world.advance(6_000);
    expect(client.state()).toMatchObject({ kind: "held" });
  });

  it("end with a half-open connection, which its silence shows", async () => {
    const { proxy, world } = await simulate();
    const { client, network } = proxy("a");
    await world.advance(1_000);
    network.silent = true;
    await world.advance(4_000);
    expect(client.state().kind).toBe("none");
    network.silent = false;
    await world.advance(8_000);
    expect(client.state()).toMatchObject({ kind: "held" });
  });

  for (let seed = 1; seed <= 8; seed++) {
    it(`are not held by whom an index is taken from, whatever breaks (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const latency = () => (random.chance(0.02) ? random.below(2_500) : random.below(40));
      const simulation = await simulate(seed, latency);
      const { world } = simulation;
      const live: SimulatedProxy[] = [];
      const all = new Set<TopologyClient>();
      const open = new Set<{ readonly former: TopologyClient; readonly end: () => void }>();
      let [taken, refused] = [0, 0];
      /** Takes an index from a proxy, as it were, which takes the control plane a few looks. */
      const takeFrom = async (former: TopologyClient) => {
        try {
          await simulation.control().fleet.withoutLease(former.session, async () => {
            taken += 1;
            expect(former.state().kind).not.toBe("held");
            await new Promise<void>((resolve) => open.add({ former, end: resolve }));
          });
        } catch (error) {
          if (!(error instanceof LeaseHeldError)) throw error;
          refused += 1;
        }
      };
      const endAll = () => {
        for (const { end } of open) end();
        open.clear();
      };
      const check = () => {
        for (const { former } of open) {
          expect(former.state().kind, `a writer at ${world.clock.monotonic()}`).not.toBe("held");
        }
      };
      const change = async () => {
        if (simulation.control().leadership.state().kind !== "leader") return;
        await simulation.control().topology.change("a change", (draft) => {
          draft.minInSync = (draft.minInSync + 1) % 4;
        });
      };
      const failures: Promise<void>[] = [];
      const events: ((one: SimulatedProxy) => unknown)[] = [
        (one) => one.breakStreams(),
        (one) => {
          live.splice(live.indexOf(one), 1);
          void one.client.close();
        },
        // A process that is killed holds nothing any more, but nobody is told.
        (one) => {
          live.splice(live.indexOf(one), 1);
          one.network.silent = true;
        },
        (one) => {
          one.network.silent = !one.network.silent;
        },
        async () => {
          // A leader that is gone grants nothing, and what it was asked for fails.
          endAll();
          await simulation.restart(random.chance(0.5) ? "stop" : "crash");
        },
        change,
      ];
      for (let step = 0; step < 60; step++) {
        if (live.length < 3) {
          const proxy = simulation.proxy(random.pick(["a", "b", "c", "d"]));
          live.push(proxy);
          all.add(proxy.client);
        }
        if (random.chance(0.6)) await random.pick(events)(random.pick(live));
        for (const former of all) if (random.chance(0.2)) failures.push(takeFrom(former));
        if (random.chance(0.5)) endAll();
        const ms = random.below(3_000);
        for (let elapsed = 0; elapsed < ms; elapsed += 50) {
          await world.advance(50);
          check();
        }
      }
      endAll();
      await Promise.all(failures);
      expect(taken).toBeGreaterThan(10);
      expect(refused).toBeGreaterThan(10);
    });
  }
});
