import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMiroirClient, type MiroirClient, NodeState, WorkflowStatus } from "../../src/client/index.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { fleetDifferences } from "../support/fleet-differences.js";
import { type StartedNodes, startNodes } from "../support/nodes.js";
import { startTraffic, type Traffic } from "../support/traffic.js";
import { miroir } from "./cli-process.js";

const SHARDS = 16;
let fleet: Fleet;
let spare: StartedNodes;
let client: MiroirClient;

beforeAll(async () => {
  [fleet, spare] = await Promise.all([
    startFleet({ nodes: 3, replicationFactor: 2, shards: SHARDS, settingsCheckSeconds: 0 }),
    startNodes(2),
  ]);
  client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
}, 60_000);
afterAll(async () => {
  await Promise.all([fleet?.stop(), spare?.stop()]);
});

const ctl = (...args: readonly string[]) => miroir(["ctl", ...args, "--server", fleet.controlAddress()]);

/** Writes and searches until it is told to stop; any refusal, and any answer that is not whole, is a failure. */
const startWriting = (): Traffic =>
  startTraffic(async (at) => {
    const id = 1_000 + at;
    await fleet.api.ok("POST", "/indexes/films/documents", [{ id, title: `film ${id}` }]);
    const answer = await fleet.api.ok<{ hits: unknown[] }>("POST", "/indexes/films/search", { q: "seed" });
    if (answer.hits.length !== 20) throw new Error(`a search found ${answer.hits.length} documents`);
  });

/** How a workflow ends. */
async function ended(id = ""): Promise<string> {
  for await (const { workflow } of client.workflows.watchWorkflow({ id })) {
    const status = WorkflowStatus[workflow?.status ?? 0] ?? "";
    if (status !== "RUNNING" && status !== "CANCELLING") return status;
  }
  throw new Error("the workflow was not told of to its end");
}

async function copiesUnderWay(): Promise<number> {
  const { topology } = await client.topology.getTopology({});
  return topology?.indexes.filter(({ copy }) => copy !== undefined).length ?? 0;
}

/** By node: shards that it serves. */
async function held(): Promise<Record<string, number>> {
  const { topology } = await client.topology.getTopology({});
  const counts: Record<string, number> = {};
  for (const { id } of topology?.nodes ?? []) counts[id] = 0;
  for (const { placement } of topology?.indexes ?? []) {
    for (const id of placement.flatMap(({ nodeIds }) => nodeIds)) counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

describe("a fleet under writes and searches", () => {
  it("grows by a node and shrinks again, by miroir ctl, with no request refused and nothing lost", async () => {
    const documents = Array.from({ length: 500 }, (_, id) => ({ id, title: `seed ${id}` }));
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>(
      "POST",
      "/indexes/films/documents",
      documents,
    );
    await fleet.api.waitForTask(taskUid);
    const writing = startWriting();
    const [node] = spare.nodes;
    const grown = await ctl("node", "add", node?.url ?? "", "--key", node?.masterKey ?? "", "--watch");
    expect(grown).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("add node-3: completed, 8 shard replicas"),
    });
    expect(await held()).toEqual({ "node-0": 8, "node-1": 8, "node-2": 8, "node-3": 8 });
    const drained = await ctl("node", "drain", "node-3", "--watch", "--json");
    expect(drained.code).toBe(0);
    expect(JSON.parse(drained.stdout)).toMatchObject({ workflow: { status: "WORKFLOW_STATUS_COMPLETED" } });
    expect((await held())["node-3"]).toBe(0);
    await client.cluster.removeNode({ nodeId: "node-3" });
    const written = await writing.stop();
    expect(written).toBeGreaterThan(10);
    const last = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", [{ id: 0 }]);
    await fleet.api.waitForTask(last.taskUid);
    const stats = await fleet.api.ok<{ numberOfDocuments: number }>("GET", "/indexes/films/stats");
    expect(stats.numberOfDocuments).toBe(500 + written);
    expect(Object.keys(await held())).toEqual(["node-0", "node-1", "node-2"]);
    expect(await fleetDifferences(client)).toBe(0);
  }, 120_000);

  it("refuses a second change meanwhile, and puts a cancelled one back", async () => {
    const { change } = await client.cluster.drainNode({ nodeId: "node-0", maxDocumentsPerSecond: 1 });
    const id = change?.workflowId ?? "";
    await fleet.eventually(async () => ((await copiesUnderWay()) > 0 ? true : undefined));
    const second = await ctl("node", "drain", "node-1");
    expect(second).toMatchObject({
      code: 7,
      stderr: expect.stringContaining(`workflow ${id} (drain node-0)`),
    });
    await client.workflows.cancelWorkflow({ id });
    expect(await ended(id)).toBe("CANCELLED");
    const { topology } = await client.topology.getTopology({});
    expect(topology?.nodes.map(({ state }) => NodeState[state])).toEqual(["ACTIVE", "ACTIVE", "ACTIVE"]);
    expect(await copiesUnderWay()).toBe(0);
  }, 60_000);

  it("gets a second group, fewer copies, more, and gives the group up; its last node stays", async () => {
    const nodes = spare.nodes.map(({ masterKey = "", url }) => ({ url, key: masterKey }));
    const added = await client.cluster.addGroup({ nodes });
    expect(await ended(added.change?.workflowId)).toBe("COMPLETED");
    const [first = "", second = ""] = added.nodeIds;
    expect(await held()).toMatchObject({ [first]: SHARDS, [second]: SHARDS });
    const fewer = await client.cluster.setReplication({ replicationFactor: 1 });
    expect(await ended(fewer.change?.workflowId)).toBe("COMPLETED");
    const counts = await held();
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(2 * SHARDS);
    const drained = await client.cluster.drainNode({ nodeId: first });
    expect(await ended(drained.change?.workflowId)).toBe("COMPLETED");
    await expect(client.cluster.drainNode({ nodeId: second })).rejects.toThrow(
      `${second} is the last node of group ${added.group}`,
    );
    await expect(client.cluster.setReplication({ replicationFactor: 2 })).rejects.toThrow(
      /1 node for 2 replicas/,
    );
    const back = await client.cluster.addNode({ node: nodes[0] ?? {} });
    expect(back.nodeId).toBe(first);
    expect(await ended(back.change?.workflowId)).toBe("COMPLETED");
    const more = await client.cluster.setReplication({ replicationFactor: 2 });
    expect(await ended(more.change?.workflowId)).toBe("COMPLETED");
    const removed = await client.cluster.removeGroup({ group: added.group });
    expect(await ended(removed.change?.workflowId)).toBe("COMPLETED");
    expect(Object.values(await held()).reduce((sum, count) => sum + count, 0)).toBe(2 * SHARDS);
    expect(Object.keys(await held())).toEqual(["node-0", "node-1", "node-2"]);
    expect(await fleetDifferences(client)).toBe(0);
  }, 120_000);

  it("replaces a node that is gone", async () => {
    const [server] = spare.nodes;
    await fleet.node(2).stop();
    const { change, nodeId } = await client.cluster.replaceNode({
      nodeId: "node-2",
      node: { url: server?.url ?? "", key: server?.masterKey ?? "" },
    });
    expect(await ended(change?.workflowId)).toBe("COMPLETED");
    expect(Object.keys(await held()).sort()).toEqual(["node-0", "node-1", nodeId].sort());
    expect(await fleetDifferences(client)).toBe(0);
  }, 120_000);
});
