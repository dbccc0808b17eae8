import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { createTopologyService } from "../../../src/control/topology/subscribe.js";
import {
  createTopologyControl,
  type TopologyControl,
} from "../../../src/control/topology/topology-control.js";
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

/** Lets time pass; says when `former` wrote last and `latter` first, in milliseconds from now. */
async function handOver(world: ManualWorld, former: TopologyClient, latter: TopologyClient, forMs: number) {
  let formerUntil = -1;
  let latterFrom: number | undefined;
  for (let elapsed = 0; elapsed < forMs; elapsed += 10) {
    if (former.state().kind === "held") formerUntil = elapsed;
    if (latter.state().kind === "held") latterFrom ??= elapsed;
    await world.advance(10);
  }
  return { formerUntil, latterFrom: latterFrom ?? Number.POSITIVE_INFINITY };
}

describe("write lease", () => {
  it("goes to the first proxy, at once in a fresh cluster, and stays there", async () => {
    const { proxy, world } = await simulate();
    const a = proxy("a").client;
    await world.advance(100);
    const b = proxy("b").client;
    await world.advance(100);
    expect(a.state()).toEqual({ kind: "held" });
    expect(b.state()).toEqual({ kind: "elsewhere", address: "http://a.test" });
    await world.advance(60_000);
    expect(a.state()).toEqual({ kind: "held" });
    expect(b.state().kind).toBe("elsewhere");
  });

  it("is handed over at once by Goodbye", async () => {
    const { proxy, world } = await simulate();
    const a = proxy("a").client;
    await world.advance(50);
    const b = proxy("b").client;
    await world.advance(1_500);
    const closing = a.close();
    expect(a.state().kind).toBe("none");
    await world.advance(60);
    await closing;
    expect(b.state()).toEqual({ kind: "held" });
  });

  it("moves only after the lease of a writer that vanished has run out", async () => {
    const { proxy, world } = await simulate();
    const a = proxy("a");
    await world.advance(50);
    const b = proxy("b");
    await world.advance(3_000);
    // From here on nothing of the first one arrives; it cannot know, and may write until its lease ends.
    a.network.silent = true;
    const { formerUntil, latterFrom } = await handOver(world, a.client, b.client, 8_000);
    expect(formerUntil).toBeGreaterThan(1_500);
    expect(latterFrom).toBeGreaterThan(formerUntil);
    expect(latterFrom).toBeLessThan(5_000);
  });

  it("survives a restart of the control plane for the same session, without a gap", async () => {
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
    it(`goes to another session only when the former lease has run out, across a restart (${how})`, async () => {
      const simulation = await simulate();
      const { world } = simulation;
      const a = simulation.proxy("a");
      await world.advance(50);
      const b = simulation.proxy("b");
      await world.advance(2_000);
      a.network.silent = true;
      await simulation.restart(how);
      const { formerUntil, latterFrom } = await handOver(world, a.client, b.client, 12_000);
      expect(formerUntil).toBeGreaterThan(1_500);
      expect(latterFrom).toBeGreaterThanOrEqual(3_000);
      expect(latterFrom).toBeGreaterThan(formerUntil);
      expect(latterFrom).toBeLessThan(8_000);
    });
  }

  it("ends while the control plane is away, and comes back by itself", async () => {
    const simulation = await simulate();
    const { world } = simulation;
    const { client, breakStreams } = simulation.proxy("a");
    await world.advance(1_000);
    simulation.reachable = false;
    breakStreams();
    await world.advance(1_000);
    expect(client.state()).toEqual({ kind: "held" });
    await world.advance(2_500);
    expect(client.state()).toMatchObject({ kind: "none", reason: expect.stringContaining("ran out") });
    expect(client.current()).toBeDefined();
    expect(client.connection().kind).toBe("waiting");
    simulation.reachable = true;
    await world.advance(6_000);
    expect(client.state()).toEqual({ kind: "held" });
  });

  it("notices a half-open connection by its silence", async () => {
    const { proxy, world } = await simulate();
    const { client, network } = proxy("a");
    await world.advance(1_000);
    network.silent = true;
    await world.advance(4_000);
    expect(client.state().kind).toBe("none");
    network.silent = false;
    await world.advance(8_000);
    expect(client.state()).toEqual({ kind: "held" });
  });

  for (let seed = 1; seed <= 12; seed++) {
    it(`is never held by two sessions, whatever breaks (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const latency = () => (random.chance(0.02) ? random.below(2_500) : random.below(40));
      const simulation = await simulate(seed, latency);
      const { world } = simulation;
      const live: SimulatedProxy[] = [];
      const sessions = new Set<string>();
      const check = () => {
        const holders = live.filter(({ client }) => client.state().kind === "held");
        for (const { client } of holders) sessions.add(client.session);
        expect(holders.length, `holders at ${world.clock.monotonic()}`).toBeLessThanOrEqual(1);
      };
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
        () => simulation.restart(random.chance(0.5) ? "stop" : "crash"),
        async () => {
          if (simulation.control().leadership.state().kind !== "leader") return;
          await simulation.control().topology.change("a change", (draft) => {
            draft.minInSync = random.below(4);
          });
        },
      ];
      for (let step = 0; step < 100; step++) {
        if (live.length < 3) live.push(simulation.proxy(random.pick(["a", "b", "c", "d"])));
        if (random.chance(0.6)) await random.pick(events)(random.pick(live));
        const ms = random.below(3_000);
        for (let elapsed = 0; elapsed < ms; elapsed += 50) {
          await world.advance(50);
          check();
        }
      }
      expect(sessions.size).toBeGreaterThan(1);
    });
  }
});
