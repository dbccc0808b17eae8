import { Code } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { createNodeClient } from "../../../src/meilisearch/node-client.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";
import { eventually } from "./eventually.js";
import { FaultyTransport } from "./faulty-transport.js";

let nodes: StartedNodes;
let harness: Harness | undefined;
const inner = createUndiciTransport();
const transport = new FaultyTransport(inner);

beforeAll(async () => {
  nodes = await startNodes(3);
});

afterAll(async () => {
  await inner.close();
  await nodes?.stop();
});

afterEach(async () => {
  transport.fault = () => undefined;
  await harness?.stop();
  // What was accepted may still have to be created.
  await eventually(async () => {
    for (const at of [0, 1, 2]) {
      const { total } = await nodeClient(at).tasks({ statuses: "enqueued,processing", limit: 1 });
      expect(total).toBe(0);
      for (const { uid } of await indexesOn(at)) await nodeClient(at).deleteIndex(uid);
      expect(await indexesOn(at)).toEqual([]);
    }
  });
});

function nodeClient(at: number) {
  return createNodeClient(inner, { id: `n${at}`, url: nodes.nodes[at]?.url ?? "", key: DEFAULT_MASTER_KEY });
}

async function indexesOn(at: number): Promise<readonly { uid: string }[]> {
  const page = await nodeClient(at).json({ method: "GET", path: "/indexes?limit=1000" });
  return (page as { results: { uid: string }[] }).results;
}

async function start(groups: readonly number[], replicationFactor: number): Promise<Harness> {
  harness = await startHarness({
    config: {
      nodes: nodes.nodes.map(({ url }, at) => ({ url, key: DEFAULT_MASTER_KEY, group: groups[at] ?? 0 })),
    },
    replicationFactor,
    transport,
  });
  return harness;
}

const isCreation = (path: string, method: string) => method === "POST" && path === "/indexes";
const isSettings = (path: string, method: string) => method === "PATCH" && path.endsWith("/settings");

describe("index creation with a failing node", () => {
  it.each([
    ["refuses the index", isCreation, { kind: "refuse", status: 507 } as const],
    ["refuses the settings", isSettings, { kind: "refuse", status: 500 } as const],
    ["is silent after doing it", isCreation, { kind: "lose-answer" } as const],
  ])("goes without a node that %s, and leaves nothing there", async (_, matches, fault) => {
    const { indexes } = await start([0, 0, 0], 2);
    transport.fault = (node, { path, method }) =>
      node.id === "node-1" && matches(path, method) ? fault : undefined;
    const { index, created } = await indexes.ensureIndex({ uid: "books", session: "s" });
    expect(created).toBe(true);
    expect(index?.replicas).toMatchObject([
      { nodeId: "node-0", state: ReplicaState.IN_SYNC },
      { nodeId: "node-2", state: ReplicaState.IN_SYNC },
    ]);
    const expected = [`m${index?.instance}_1`];
    await eventually(async () => {
      expect((await indexesOn(0)).map(({ uid }) => uid)).toEqual(expected);
      expect(await indexesOn(1)).toEqual([]);
    });
  });

  it("marks the replica stale from birth where another group holds everything", async () => {
    const { indexes } = await start([0, 1, 1], 1);
    transport.fault = (node, { path, method }) =>
      node.id === "node-0" && isCreation(path, method) ? { kind: "unreachable" } : undefined;
    const { index } = await indexes.ensureIndex({ uid: "books", session: "s" });
    expect(index?.replicas).toMatchObject([
      { nodeId: "node-0", state: ReplicaState.STALE },
      { nodeId: "node-1", state: ReplicaState.IN_SYNC },
      { nodeId: "node-2", state: ReplicaState.IN_SYNC },
    ]);
    expect(index?.placement.every(({ nodeIds }) => nodeIds.includes("node-0"))).toBe(true);
  });

  it("fails where a shard would be nowhere, leaves nothing, and succeeds later", async () => {
    const { indexes, topology } = await start([0, 0, 0], 3);
    transport.fault = (_node, { path, method }) =>
      isCreation(path, method) ? { kind: "refuse", status: 507 } : undefined;
    await expect(indexes.ensureIndex({ uid: "books", session: "s" })).rejects.toMatchObject({
      code: Code.Unavailable,
      rawMessage: expect.stringContaining("No space left"),
    });
    expect(topology.current().indexes).toEqual([]);
    await eventually(async () => expect(await indexesOn(2)).toEqual([]));
    transport.fault = () => undefined;
    expect((await indexes.ensureIndex({ uid: "books", session: "s" })).created).toBe(true);
  });
});
