import { cpSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  createMiroirClient,
  type Index,
  type MiroirClient,
  NodeState,
  ReplicaState,
} from "../../src/client/index.js";
import type { ShardCheck } from "../../src/gen/miroir/v1/verify_pb.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { miroir } from "./cli-process.js";

const INDEX = "films";
const DOCUMENTS = 120;
let fleet: Fleet;
let client: MiroirClient;
let written = 0;

beforeAll(async () => {
  fleet = await startFleet({
    nodes: 3,
    replicationFactor: 2,
    shards: 6,
    settingsCheckSeconds: 0,
    nodeWriteTimeoutMs: 1_500,
    controlConfig: { repair_delay_seconds: 0 },
  });
  client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
  await write(DOCUMENTS);
}, 60_000);
afterAll(() => fleet?.stop());

afterEach(async () => {
  await settled();
  expect(await differing()).toEqual([]);
}, 90_000);

/** Adds documents and waits until they are there. */
async function write(count: number): Promise<void> {
  const documents = Array.from({ length: count }, () => ({ id: written++, title: `common film ${written}` }));
  const path = `/indexes/${INDEX}/documents?primaryKey=id`;
  const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", path, documents);
  await fleet.api.waitForTask(taskUid);
}

async function found(): Promise<number> {
  const answer = await fleet.api.ok<{ totalHits: number }>("POST", `/indexes/${INDEX}/search`, {
    q: "common",
    page: 1,
  });
  return answer.totalHits;
}

const folderOf = (at: number): string => dirname(fleet.node(at).logFile);

async function index(): Promise<Index> {
  const { index: entry } = await client.indexes.getIndex({ uid: INDEX });
  if (entry === undefined) throw new Error("the index is gone");
  return entry;
}

async function states(): Promise<readonly NodeState[]> {
  const { nodes } = await client.cluster.listNodes({});
  return nodes.map(({ node }) => node?.state ?? NodeState.UNSPECIFIED);
}

/** Until every replica is in sync, every node active, and nothing is being copied. */
async function settled(): Promise<void> {
  await expect
    .poll(
      async () => ({ replicas: (await index()).replicas.map(({ state }) => state), nodes: await states() }),
      {
        timeout: 30_000,
        interval: 100,
      },
    )
    .toEqual({
      replicas: Array(3).fill(ReplicaState.IN_SYNC),
      nodes: Array(3).fill(NodeState.ACTIVE),
    });
}

/** Shards whose replicas differ, of all that have more than one. */
async function differing(): Promise<readonly number[]> {
  const shards: number[] = [];
  let compared = 0;
  for await (const { check } of client.verify.checkShards({ indexUid: INDEX })) {
    if (check === undefined || check.nodeIds.length < 2) continue;
    compared += 1;
    if (check.differing > 0n || check.error !== "") shards.push(check.shard);
  }
  expect(compared).toBe(6);
  return shards;
}

/** Searches all the time; gives the wrong answers. */
function watch(): { stop(): Promise<readonly string[]> } {
  const wrong: string[] = [];
  let isOver = false;
  const searching = (async () => {
    while (!isOver) {
      try {
        const total = await found();
        if (total !== written) wrong.push(`${total} of ${written} documents`);
      } catch (error) {
        wrong.push(String(error));
      }
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await searching;
      return wrong;
    },
  };
}

/** Stops a node and changes what lies in its folder, then starts it again. */
async function restartWith(at: number, change: (folder: string) => void): Promise<void> {
  await fleet.node(at).kill("SIGKILL");
  change(folderOf(at));
  await fleet.node(at).restart();
}

function empty(folder: string): void {
  for (const name of readdirSync(folder))
    if (name !== "node.log") rmSync(join(folder, name), { recursive: true });
}

describe("a node that comes back", () => {
  it("without its data is not read until it was filled again", async () => {
    const searches = watch();
    await restartWith(1, empty);
    await expect
      .poll(async () => (await index()).replicas.every(({ state }) => state === ReplicaState.IN_SYNC), {
        timeout: 20_000,
        interval: 20,
      })
      .toBe(false);
    await settled();
    expect(await searches.stop()).toEqual([]);
  }, 90_000);

  it("with an old copy of its data is recognised, however fast it was exchanged", async () => {
    const kept = `${folderOf(2)}-kept`;
    await fleet.node(2).stop();
    cpSync(folderOf(2), kept, { recursive: true });
    await fleet.node(2).restart();
    await settled();
    await write(30);
    await settled();
    const searches = watch();
    await restartWith(2, (folder) => {
      empty(folder);
      cpSync(kept, folder, { recursive: true });
    });
    await expect
      .poll(async () => (await index()).replicas.every(({ state }) => state === ReplicaState.IN_SYNC), {
        timeout: 20_000,
        interval: 20,
      })
      .toBe(false);
    await settled();
    expect(await searches.stop()).toEqual([]);
    rmSync(kept, { recursive: true });
  }, 120_000);

  it("with another node's data stays away until it has its own", async () => {
    const own = `${folderOf(0)}-own`;
    const copy = `${folderOf(1)}-copy`;
    await fleet.node(1).stop();
    cpSync(folderOf(1), copy, { recursive: true });
    await fleet.node(1).restart();
    await settled();
    await fleet.node(0).stop();
    renameSync(folderOf(0), own);
    mkdirSync(folderOf(0));
    cpSync(copy, folderOf(0), { recursive: true });
    await fleet.node(0).restart();
    await expect
      .poll(async () => (await client.cluster.listNodes({})).nodes[0]?.lastError, { timeout: 20_000 })
      .toContain("is node-1 of this cluster");
    expect(await found()).toBe(written);
    await write(10);
    expect(await found()).toBe(written);
    await fleet.node(0).stop();
    rmSync(folderOf(0), { recursive: true });
    renameSync(own, folderOf(0));
    await fleet.node(0).restart();
    rmSync(copy, { recursive: true });
    await settled();
    expect(await found()).toBe(written);
  }, 120_000);

  it("after it was killed among writes has what the others have", async () => {
    const writing = (async () => {
      for (let at = 0; at < 12; at += 1) await write(5);
    })();
    await fleet.until(() => written > DOCUMENTS + 60);
    await fleet.node(1).kill("SIGKILL");
    await fleet.node(1).restart();
    await writing;
    await settled();
    expect(await found()).toBe(written);
  }, 120_000);
});

describe("replicas that differ", () => {
  it("are told, decided about and made equal", async () => {
    const { replicas } = await client.indexes.explainDocument({ indexUid: INDEX, primaryKey: "7" });
    const [replica] = replicas;
    const { url, masterKey } = fleet.node(Number(replica?.nodeId.split("-")[1]));
    const node = meilisearchHttp(url, masterKey);
    const path = `/indexes/${replica?.physicalIndex}/documents/7`;
    await node.waitForTask((await node.ok<{ taskUid: number }>("DELETE", path)).taskUid);
    const checks: ShardCheck[] = [];
    for await (const { check } of client.verify.checkShards({ indexUid: INDEX, repair: true })) {
      if (check !== undefined && check.differing > 0n) checks.push(check);
    }
    expect(checks).toMatchObject([{ differing: 1n, oddNodeId: replica?.nodeId, marked: true }]);
    const listed = await client.verify.listShardChecks({ indexUid: INDEX, onlyDiffering: true });
    expect(listed.checks).toMatchObject([{ oddNodeId: replica?.nodeId }]);
    await settled();
    expect((await node.send("GET", path.replace(/_\d+/, `_${(await index()).generation}`))).status).toBe(200);
  }, 60_000);
});

describe("the last copies in sync", () => {
  it("are given up by an operator alone, and then the ones that are behind serve", async () => {
    await fleet.node(2).kill("SIGKILL");
    await write(30);
    await fleet.node(1).kill("SIGKILL");
    await fleet.node(2).restart();
    const args = ["ctl", "elect", "--server", fleet.controlAddress(), "--lost"];
    const refused = await miroir([...args, "node-0"]);
    expect(refused.stderr).toContain("node node-0 answers");
    await expect.poll(states, { timeout: 20_000 }).toContain(NodeState.UNREACHABLE);
    await expect.poll(async () => (await states())[2], { timeout: 20_000 }).not.toBe(NodeState.UNREACHABLE);
    const told = await miroir([...args, "node-1", "--json"]);
    expect(JSON.parse(told.stdout)).toMatchObject({
      elections: [{ indexUid: INDEX, lostNodeIds: ["node-1"] }],
    });
    expect(await found()).toBeLessThan(written);
    const done = await miroir([...args, "node-1", "--accept-loss"]);
    expect(done.stdout).toContain("node-2, which are behind, serve now");
    await expect.poll(found, { timeout: 20_000 }).toBeGreaterThanOrEqual(written - 30);
    await fleet.node(1).restart();
    await settled();
    const left = await found();
    expect(left).toBeLessThanOrEqual(written);
    await write(10);
    expect(await found()).toBe(left + 10);
  }, 120_000);
});
