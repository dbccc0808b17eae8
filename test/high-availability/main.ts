/**
 * The control plane's processes and its Redis are hurt, again and again, while clients write and search. Longer than a suite may take:
 * `npm run high-availability -- --seed 7 --rounds 12`, or one of its parts: `--part faults|workflows|sentinel`.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { createMiroirClient } from "../../src/client/index.js";
import { seededRandom } from "../support/random.js";
import { startSentinelFleet } from "../support/redis-fleet.js";
import { type RedisServer, startRedis } from "../support/redis-server.js";
import { type ReplicatedFleet, startReplicatedFleet } from "./replicated-fleet.js";
import { killAtEveryStep, MOVE_STEPS, REPAIR_STEPS } from "./workflow-fail-over.js";
import { Workload } from "./workload.js";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    rounds: { type: "string", default: "12" },
    part: { type: "string", default: "all" },
  },
});
const LEADER_LEASE_MS = 5_000;
const INDEX = "films";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (text: string) => process.stdout.write(`${text}\n`);

/** A fault, and how long after it a leader serves again, in milliseconds. */
type Fault = (fleet: ReplicatedFleet, redis: RedisServer) => Promise<number>;

const FAULTS: Readonly<Record<string, Fault>> = {
  "leader killed": async (fleet) => {
    const leading = await fleet.untilLed();
    const began = performance.now();
    leading.process().child.kill("SIGKILL");
    await leading.process().ended;
    await fleet.untilLed();
    const led = performance.now() - began;
    await leading.restart();
    return led;
  },
  "leader told to stop": async (fleet) => {
    const leading = await fleet.untilLed();
    const began = performance.now();
    leading.process().child.kill("SIGTERM");
    while ((await fleet.leader()) === leading) await sleep(5);
    await fleet.untilLed();
    const led = performance.now() - began;
    await leading.process().ended;
    await leading.restart();
    return led;
  },
  "leader frozen": async (fleet) => {
    const leading = await fleet.untilLed();
    const began = performance.now();
    leading.process().child.kill("SIGSTOP");
    await sleep(LEADER_LEASE_MS);
    await fleet.untilLed();
    const led = performance.now() - began;
    leading.process().child.kill("SIGCONT");
    return led;
  },
  "standby killed": async (fleet) => {
    const leading = await fleet.untilLed();
    const standby = fleet.replicas.find((replica) => replica !== leading);
    standby?.process().child.kill("SIGKILL");
    await standby?.process().ended;
    await standby?.restart();
    return 0;
  },
  "Redis killed": async (fleet, redis) => {
    const began = performance.now();
    await redis.kill();
    await redis.start();
    await fleet.untilLed();
    return performance.now() - began;
  },
  "Redis frozen for 2 s": async (fleet, redis) => {
    const began = performance.now();
    redis.signal("SIGSTOP");
    await sleep(2_000);
    redis.signal("SIGCONT");
    await fleet.untilLed();
    return performance.now() - began;
  },
};

/** Faults drawn from a seed, one after the other: no client sees a failed request, and nothing acknowledged is lost. */
async function faults(): Promise<void> {
  const random = seededRandom(Number(values.seed));
  const redis = await startRedis();
  const fleet = await startReplicatedFleet({
    store: redis.freshUrl(),
    replicas: 3,
    proxies: 2,
    leaderLeaseMs: LEADER_LEASE_MS,
  });
  const load = new Workload(fleet.proxies.map(({ url }) => url));
  try {
    await load.start();
    const names = Object.keys(FAULTS);
    for (let round = 0; round < Number(values.rounds); round++) {
      const name = names[round < names.length ? round : random.below(names.length)] ?? "";
      load.look();
      const led = await FAULTS[name]?.(fleet, redis);
      await sleep(2_000);
      const seen = load.look();
      say(
        `${name}: led again after ${Math.round(led ?? 0)} ms; ${seen.writes} writes, the longest ${seen.slowestWriteMs} ms; ` +
          `${seen.searches} searches, the longest ${seen.slowestSearchMs} ms; ${seen.failed.length} failed`,
      );
      for (const failed of seen.failed) say(`  ${JSON.stringify(failed)}`);
      assert.deepEqual(
        seen.failed.filter(({ what }) => what === "searching"),
        [],
      );
      assert.ok(seen.failed.every(({ status }) => status === 503 || status === 504));
    }
    await load.stop();
    assert.deepEqual(await load.lost(), []);
    say(`${load.acknowledged.size} acknowledged writes, none lost`);
  } finally {
    await load.stop();
    await fleet.stop();
    await redis.stop();
  }
}

/** The leader killed in the middle of every step of a drain, of a rebalance, and of a repair. */
async function workflows(): Promise<void> {
  const redis = await startRedis();
  const storeUrl = redis.freshUrl();
  const fleet = await startReplicatedFleet({
    store: storeUrl,
    replicas: 4,
    proxies: 1,
    nodes: 3,
    leaderLeaseMs: 1_000,
    nodeWriteTimeoutMs: 3_000,
  });
  const load = new Workload(fleet.proxies.map(({ url }) => url));
  try {
    await load.start();
    const common = { fleet, storeUrl, indexUid: INDEX };
    const drain = await killAtEveryStep({
      ...common,
      steps: MOVE_STEPS,
      begin: async (client) =>
        (await client.cluster.drainNode({ nodeId: "node-2" })).change?.workflowId ?? "",
    });
    say(`drained, the leader killed at ${drain.report.killedAt.join(", ")}`);
    const emptied = fleet.nodes[2];
    assert.ok(emptied !== undefined);
    await (await leaderClient(fleet)).cluster.removeNode({ nodeId: "node-2" });
    await settled(fleet);
    const move = await killAtEveryStep({
      ...common,
      steps: MOVE_STEPS,
      begin: async (client) => {
        const node = { id: "node-9", url: emptied.url, key: emptied.masterKey ?? "" };
        return (await client.cluster.addNode({ node })).change?.workflowId ?? "";
      },
    });
    say(`moved to a node that was added, the leader killed at ${move.report.killedAt.join(", ")}`);
    const repair = await killAtEveryStep({
      ...common,
      steps: REPAIR_STEPS,
      begin: async (client) => {
        const node = fleet.nodes[0];
        await node?.kill();
        await staleReplica(fleet);
        await node?.restart();
        return await workflowOf(client, "repair");
      },
    });
    say(`repaired, the leader killed at ${repair.report.killedAt.join(", ")}`);
    await load.stop();
    assert.deepEqual(await load.lost(), []);
    say(`${load.acknowledged.size} acknowledged writes, none lost`);
  } finally {
    await load.stop();
    await fleet.stop();
    await redis.stop();
  }
}

type Client = ReturnType<typeof createMiroirClient>;

async function leaderClient(fleet: ReplicatedFleet): Promise<Client> {
  return createMiroirClient({ baseUrl: `http://${(await fleet.untilLed()).address}` });
}

async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(50)) {
    if (await condition().catch(() => false)) return;
  }
  throw new Error(`waited in vain: ${what}`);
}

/** Resolves once no workflow runs. */
async function settled(fleet: ReplicatedFleet): Promise<void> {
  await eventually("every workflow has ended", async () => {
    const { workflows: all } = await (await leaderClient(fleet)).workflows.listWorkflows({});
    return all.every(({ finishedAt }) => finishedAt !== undefined);
  });
}

async function staleReplica(fleet: ReplicatedFleet): Promise<void> {
  await eventually("a replica is stale", async () => {
    const { nodes } = await (await leaderClient(fleet)).cluster.getStatus({});
    return nodes.some(({ staleReplicas }) => staleReplicas > 0n);
  });
}

/** The id of the workflow under way whose title begins so. */
async function workflowOf(client: Client, title: string): Promise<string> {
  let id = "";
  await eventually(`a workflow: ${title}`, async () => {
    const { workflows: all } = await client.workflows.listWorkflows({});
    id = all.find((one) => one.title.startsWith(title))?.id ?? "";
    return id !== "";
  });
  return id;
}

/** The primary of a replicated Redis is lost, and its replica promoted by sentinels: what waited for the replica is there. */
async function sentinel(): Promise<void> {
  const redis = await startSentinelFleet();
  const fleet = await startReplicatedFleet({
    store: redis.freshUrl("&wait_replicas=1"),
    replicas: 3,
    proxies: 2,
    leaderLeaseMs: LEADER_LEASE_MS,
  });
  const load = new Workload(fleet.proxies.map(({ url }) => url));
  try {
    await load.start();
    await sleep(3_000);
    load.look();
    const began = performance.now();
    await redis.primary.kill();
    while ((await redis.currentPrimary()) === redis.primary.port) await sleep(20);
    const promoted = performance.now() - began;
    await redis.primary.start();
    await sleep(8_000);
    await fleet.untilLed();
    const seen = load.look();
    say(
      `Redis failed over after ${Math.round(promoted)} ms; ${seen.writes} writes, the longest ${seen.slowestWriteMs} ms; ` +
        `${seen.searches} searches, the longest ${seen.slowestSearchMs} ms; ${seen.failed.length} failed`,
    );
    for (const failed of seen.failed) say(`  ${JSON.stringify(failed)}`);
    await load.stop();
    assert.deepEqual(await load.lost(), []);
    say(`${load.acknowledged.size} acknowledged writes, none lost`);
  } finally {
    await load.stop();
    await fleet.stop();
    await redis.stop();
  }
}

const parts: Readonly<Record<string, () => Promise<void>>> = { faults, workflows, sentinel };
for (const [name, run] of Object.entries(parts)) {
  if (values.part !== "all" && values.part !== name) continue;
  say(`── ${name} ──`);
  await run();
}
