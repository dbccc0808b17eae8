import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createMiroirClient,
  FleetChangeRefusalReason,
  FleetChangeRefusalSchema,
  type MiroirClient,
} from "../../src/client/index.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { type StartedNodes, startNodes } from "../support/nodes.js";
import { miroir } from "./cli-process.js";

const SHARDS = 16;
let fleet: Fleet;
let spare: StartedNodes;
let client: MiroirClient;

beforeAll(async () => {
  [fleet, spare] = await Promise.all([
    startFleet({ nodes: 3, replicationFactor: 2, shards: SHARDS, settingsCheckSeconds: 0 }),
    startNodes(3),
  ]);
  client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
  const documents = Array.from({ length: 320 }, (_, id) => ({ id, title: `film ${id}` }));
  const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", documents);
  await fleet.api.waitForTask(taskUid);
}, 60_000);
afterAll(async () => {
  await Promise.all([fleet?.stop(), spare?.stop()]);
});

function spareNode(at: number): { readonly url: string; readonly key: string } {
  const node = spare.nodes[at];
  if (node === undefined) throw new Error(`there is no spare node ${at}`);
  return { url: node.url, key: node.masterKey ?? "" };
}

const ctl = (...args: readonly string[]) => miroir(["ctl", ...args, "--server", fleet.controlAddress()]);

/** Why a change was refused. */
async function refusal(call: Promise<unknown>): Promise<{ reason: string | undefined; message: string }> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw new Error("the change was not refused", { cause: error });
  const [detail] = error.findDetails(FleetChangeRefusalSchema);
  const reason = detail === undefined ? Code[error.code] : FleetChangeRefusalReason[detail.reason];
  return { reason, message: error.rawMessage };
}

async function states(): Promise<Record<string, number>> {
  const { topology } = await client.topology.getTopology({});
  return Object.fromEntries((topology?.nodes ?? []).map(({ id, state }) => [id, state]));
}

describe("a dry run", () => {
  it("of a further node shows its share of the shards, documents, bytes and time, and changes nothing", async () => {
    const before = await states();
    const { change, nodeId } = await client.cluster.addNode({ node: { ...spareNode(0) }, dryRun: true });
    expect(nodeId).toBe("node-3");
    const moves = change?.indexes.flatMap((index) => index.moves) ?? [];
    expect(moves.length).toBe((SHARDS * 2) / 4);
    expect(moves.every(({ toNodeId, fromNodeId }) => toNodeId === "node-3" && fromNodeId !== "")).toBe(true);
    expect(Number(change?.documents)).toBeGreaterThan(100);
    expect(Number(change?.documents)).toBeLessThan(220);
    expect(Number(change?.bytes)).toBeGreaterThan(1_000);
    expect(change?.seconds).toBeGreaterThan(0);
    expect(change?.workflowId).toBe("");
    expect(change?.nodes.map(({ replicasAfter }) => Number(replicasAfter))).toEqual([8, 8, 8, 8]);
    expect(await states()).toEqual(before);
  });

  it("leaves the server that it looked at as it was", async () => {
    const { url, key } = spareNode(0);
    const node = meilisearchHttp(url, key);
    const keys = await node.ok<{ results: readonly unknown[] }>("GET", "/keys?limit=100");
    await client.cluster.addNode({ node: { url, key }, dryRun: true });
    const { results } = await node.ok<{ results: readonly unknown[] }>("GET", "/keys?limit=100");
    expect(results.length).toBe(keys.results.length);
  });

  it("of every other change shows what it would take", async () => {
    const dryRun = true;
    const drain = await client.cluster.drainNode({ nodeId: "node-2", dryRun });
    const after = drain.change?.nodes.map(({ replicasAfter }) => Number(replicasAfter));
    expect(after).toEqual([SHARDS, SHARDS, 0]);
    const fewer = await client.cluster.setReplication({ replicationFactor: 1, dryRun });
    const given = fewer.change?.indexes.flatMap((index) => index.moves) ?? [];
    expect(given.length).toBe(SHARDS);
    expect(given.every(({ toNodeId }) => toNodeId === "")).toBe(true);
    const more = await client.cluster.setReplication({ replicationFactor: 3, dryRun });
    expect(more.change?.indexes.flatMap((index) => index.moves).length).toBe(SHARDS);
    const replace = await client.cluster.replaceNode({ nodeId: "node-1", node: spareNode(0), dryRun });
    const held = Number(replace.change?.nodes.find(({ nodeId }) => nodeId === "node-1")?.replicasBefore);
    const moved = replace.change?.indexes.flatMap((index) => index.moves) ?? [];
    // What the old one held, and up to a share of all where that was less.
    expect(moved.length).toBe(Math.max(held, Math.floor((SHARDS * 2) / 3)));
    expect(moved.every(({ fromNodeId, toNodeId }) => fromNodeId === "node-1" || toNodeId === "node-3")).toBe(
      true,
    );
    const group = await client.cluster.addGroup({ nodes: [spareNode(0), spareNode(1)], dryRun });
    expect(group).toMatchObject({ group: 1, nodeIds: ["node-3", "node-4"] });
    expect(group.change?.indexes.flatMap((index) => index.moves).length).toBe(SHARDS * 2);
    const reshard = await client.cluster.reshard({ indexUid: "films", shards: 2 * SHARDS, dryRun });
    expect(Number(reshard.change?.documents)).toBe(320);
    // A new index lies where hashing puts it; a rebalance leaves nobody below the share rounded down or above the cap.
    const share = (SHARDS * 2) / 3;
    const even = await client.cluster.rebalance({ dryRun });
    for (const { replicasAfter } of even.change?.nodes ?? []) {
      expect(Number(replicasAfter)).toBeGreaterThanOrEqual(Math.floor(share));
      expect(Number(replicasAfter)).toBeLessThanOrEqual(Math.ceil(share) + 1);
    }
    for (const idle of [
      await client.cluster.repair({ dryRun }),
      await client.cluster.setReplication({ replicationFactor: 2, dryRun }),
    ]) {
      expect(idle.change?.indexes).toEqual([]);
    }
    expect(Object.keys(await states())).toEqual(["node-0", "node-1", "node-2"]);
  });

  it("is printed as a table", async () => {
    const { key, url } = spareNode(0);
    const people = await ctl("node", "add", url, "--key", key, "--dry-run");
    expect(people.code).toBe(0);
    expect(people.stdout).toMatch(
      /^8 shard replicas to copy, of 1 index: about \d+ documents, [\d.]+ k?B, \d+ s, in 1 copy$/m,
    );
    expect(people.stdout).toMatch(/^node-3 +0 +- +0 +8 +0 +8$/m);
    expect(people.stdout).toMatch(/nothing was changed; without --dry-run it is carried out/);
  }, 30_000);
});

describe("a change that cannot be made is refused", () => {
  it("where a server is in the fleet already, under whatever address", async () => {
    const { url, masterKey: key = "" } = fleet.node(1);
    expect(await refusal(client.cluster.addNode({ node: { url, key } }))).toMatchObject({
      reason: "ALREADY_THERE",
      message: expect.stringContaining("as node-1"),
    });
    const other = url.replace("127.0.0.1", "localhost");
    expect(await refusal(client.cluster.addNode({ node: { url: other, key } }))).toMatchObject({
      reason: "ALREADY_THERE",
    });
    const twins = [spareNode(0), spareNode(0)];
    expect(await refusal(client.cluster.addGroup({ nodes: twins }))).toMatchObject({
      reason: "InvalidArgument",
    });
  });

  it("where a server does not answer, refuses its key, or serves somebody else", async () => {
    const gone = { url: "http://127.0.0.1:9", key: "0123456789abcdef" };
    expect(await refusal(client.cluster.addNode({ node: gone }))).toMatchObject({
      reason: "UNSUITABLE_SERVER",
    });
    const { url } = spareNode(0);
    const locked = { url, key: "not-the-key-of-this-server" };
    expect(await refusal(client.cluster.addNode({ node: locked }))).toMatchObject({
      reason: "UNSUITABLE_SERVER",
    });
    const used = spareNode(2);
    const http = meilisearchHttp(used.url, used.key);
    const { taskUid } = await http.ok<{ taskUid: number }>("POST", "/indexes", { uid: "somebodys" });
    await http.waitForTask(taskUid);
    expect(await refusal(client.cluster.addNode({ node: used }))).toMatchObject({
      reason: "UNSUITABLE_SERVER",
      message: expect.stringContaining("somebodys"),
    });
  });

  it("where too few nodes would be left, or none", async () => {
    expect(await refusal(client.cluster.setReplication({ replicationFactor: 4 }))).toMatchObject({
      reason: "TOO_FEW_NODES",
      message: expect.stringContaining("group 0 would have 3 nodes for 4 replicas"),
    });
    expect(await refusal(client.cluster.removeGroup({ group: 0 }))).toMatchObject({ reason: "LAST_GROUP" });
    expect(await refusal(client.cluster.addGroup({ nodes: [spareNode(0)] }))).toMatchObject({
      reason: "TOO_FEW_NODES",
    });
  });

  it("where a node still holds shards", async () => {
    expect(await refusal(client.cluster.removeNode({ nodeId: "node-0" }))).toMatchObject({
      reason: "NOT_DRAINED",
      message: expect.stringContaining("drain it first"),
    });
  });

  it("where something is named that does not exist, or makes no sense", async () => {
    const { cluster } = client;
    const absent = [
      cluster.drainNode({ nodeId: "node-9" }),
      cluster.removeNode({ nodeId: "node-9", force: true }),
      cluster.replaceNode({ nodeId: "node-9", node: spareNode(0) }),
      cluster.removeGroup({ group: 7 }),
      cluster.addNode({ node: spareNode(0), group: 5 }),
      cluster.repair({ indexUids: ["nothing"] }),
      cluster.reshard({ indexUid: "nothing", shards: 3 }),
    ];
    for (const call of absent) expect((await refusal(call)).reason).toBe("NotFound");
    const senseless = [
      cluster.addNode({}),
      cluster.addNode({ node: { url: "ftp://example.org" } }),
      cluster.addNode({ node: { ...spareNode(0), weight: -1 } }),
      cluster.addGroup({}),
      cluster.setReplication({}),
      cluster.reshard({ indexUid: "films", shards: SHARDS }),
      cluster.reshard({ indexUid: "films", shards: 0 }),
    ];
    for (const call of senseless) expect((await refusal(call)).reason).toBe("InvalidArgument");
  });

  it("with an exit code and the reason", async () => {
    const held = await ctl("node", "remove", "node-0");
    expect(held).toMatchObject({ code: 7, stderr: expect.stringContaining("drain it first") });
  }, 30_000);
});
