import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCopy } from "../../../src/control/copy/start-copy.js";
import { NodeState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { createNodeClient } from "../../../src/meilisearch/node-client.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";

const key = DEFAULT_MASTER_KEY;
const transport = createUndiciTransport();
let nodes: StartedNodes;
let folder: string;
let harness: Harness;

const url = (at: number): string => nodes.nodes[at]?.url ?? "";
const operator = (at: number) => createNodeClient(transport, { id: `server-${at}`, url: url(at), key });
const configured = () => [{ url: url(0), key, zone: "a" }];

async function start(): Promise<void> {
  harness = await startHarness({
    config: { nodes: configured() },
    path: join(folder, "control.db"),
    shards: 4,
  });
}

beforeAll(async () => {
  nodes = await startNodes(3);
  folder = mkdtempSync(join(tmpdir(), "miroir-node-fleet-"));
  await start();
});

afterAll(async () => {
  await harness?.stop();
  await transport.close();
  await nodes?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const nodeOf = (id: string) => harness.topology.current().nodes.find((node) => node.id === id);
const miroirKeys = async (at: number) =>
  (await operator(at).keys()).filter(({ name }) => name?.startsWith("Miroir ") === true).length;

describe("nodes that come and go", () => {
  it("looks at a server without leaving anything there", async () => {
    const wanted = { url: url(1), key, group: 0, zone: "b", weight: 2 };
    const node = await harness.control.nodes.inspect(wanted);
    expect(node).toMatchObject({ id: "node-1", zone: "b", weight: 2, key: "", meilisearchVersion: "1.50.0" });
    expect(await miroirKeys(1)).toBe(0);
    expect(nodeOf("node-1")).toBeUndefined();
  });

  it("admits a server as joining, follows it and hands its keys out", async () => {
    await harness.control.nodes.admit({ url: url(1), key, group: 0, zone: "b", weight: 2 });
    expect(nodeOf("node-1")).toMatchObject({ state: NodeState.JOINING, zone: "b", weight: 2, group: 0 });
    expect(nodeOf("node-0")?.zone).toBe("a");
    expect(harness.control.credentials().map(({ nodeId }) => nodeId)).toEqual(["node-0", "node-1"]);
    expect([...harness.control.nodeStatus().keys()]).toContain("node-1");
    const again = await harness.control.nodes.admit({ url: url(1), key, group: 0, zone: "c" });
    expect(again).toMatchObject({ id: "node-1", zone: "c", weight: 2 });
    await expect(harness.writer("node-1").createIndex("x", undefined)).rejects.toMatchObject({ status: 403 });
  });

  it("refuses a server that it has, that is in use elsewhere, or that does not answer", async () => {
    const { nodes: fleet } = harness.control;
    const alias = url(1).replace("127.0.0.1", "localhost");
    await expect(fleet.admit({ url: alias, key, group: 0 })).rejects.toMatchObject({ code: "same_server" });
    await expect(fleet.admit({ url: "http://127.0.0.1:9", key, group: 0 })).rejects.toMatchObject({
      code: "unreachable",
    });
    await expect(fleet.admit({ url: url(2), key: "not-its-key", group: 0 })).rejects.toMatchObject({
      code: "foreign_key",
    });
    await operator(2).createIndex("somebodys", "id");
    await expect
      .poll(async () => (await operator(2).tasks({ limit: 1 })).results[0]?.status)
      .toBe("succeeded");
    await expect(fleet.admit({ url: url(2), key, group: 0 })).rejects.toMatchObject({
      code: "not_empty",
      message: expect.stringContaining("somebodys"),
    });
    await operator(2).deleteIndex("somebodys");
    await operator(2).createKey({
      description: "node-4 of Miroir cluster other-cluster (0a)",
      actions: ["search"],
      indexes: ["*"],
      expiresAt: null,
    });
    await expect(fleet.admit({ url: url(2), key, group: 0 })).rejects.toMatchObject({
      code: "other_cluster",
      message: expect.stringContaining("other-cluster"),
    });
    expect(await miroirKeys(2)).toBe(0);
  });

  it("has admitted nodes also after its restart, with the key that was given", async () => {
    await harness.stop();
    await start();
    expect(nodeOf("node-1")).toMatchObject({ url: url(1), zone: "c", key, state: NodeState.JOINING });
    expect(harness.control.credentials().map(({ nodeId }) => nodeId)).toEqual(["node-0", "node-1"]);
  });

  it("forgets a node that holds nothing, and leaves nothing there", async () => {
    await harness.control.nodes.forget("node-1");
    expect(nodeOf("node-1")).toBeUndefined();
    expect(await miroirKeys(1)).toBe(0);
    expect(harness.control.credentials().map(({ nodeId }) => nodeId)).toEqual(["node-0"]);
    expect([...harness.control.nodeStatus().keys()]).toEqual(["node-0"]);
  });

  it("keeps a node that indexes are on", async () => {
    await harness.indexes.createIndex({ uid: "movies", taskUid: 1n });
    await expect.poll(() => harness.topology.current().indexes.map(({ uid }) => uid)).toEqual(["movies"]);
    await expect(harness.control.nodes.forget("node-0")).rejects.toMatchObject({
      name: "NodeInUseError",
      indexUids: ["movies"],
    });
  });

  it("takes copies back that were planned to a node that leaves", async () => {
    await harness.control.nodes.admit({ url: url(1), key, group: 0 });
    const [index] = harness.topology.current().indexes;
    const move = { shard: 0, from: "node-0", to: "node-1" };
    await harness.topology.change("a copy", (draft) =>
      startCopy(draft, index?.instance ?? "", {
        id: "copy-1",
        workflowId: "",
        moves: [move],
        repairNodeIds: [],
        maxDocumentsPerSecond: 0,
      }),
    );
    expect(harness.topology.current().indexes[0]?.copy?.id).toBe("copy-1");
    await harness.control.nodes.forget("node-1");
    expect(nodeOf("node-1")).toBeUndefined();
    expect(harness.topology.current().indexes[0]?.copy).toBeUndefined();
  });

  it("does not take a configured node back that was taken out", async () => {
    await harness.control.nodes.admit({ url: url(1), key, group: 0 });
    await harness.control.nodes.forget("node-1");
    await harness.stop();
    const both = [...configured(), { url: url(1), key }];
    harness = await startHarness({ config: { nodes: both }, path: join(folder, "control.db"), shards: 4 });
    expect(nodeOf("node-1")).toBeUndefined();
    await harness.control.nodes.admit({ url: url(1), key, group: 1 });
    expect(nodeOf("node-1")).toMatchObject({ group: 1 });
    expect(harness.topology.current().removedNodes).toEqual([]);
    expect(harness.topology.current().groups.map(({ id }) => id)).toEqual([0, 1]);
  });
});
