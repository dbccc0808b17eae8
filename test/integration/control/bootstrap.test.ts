import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BootstrapOptions, bootstrapNodes } from "../../../src/control/nodes/bootstrap-nodes.js";
import { createNodeClient } from "../../../src/meilisearch/node-client.js";
import { type NodeTransport, NodeUnavailableError } from "../../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import { launchNode, type NodeProcess } from "../../../src/nodes/launch.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { DEFAULT_MASTER_KEY, nodeBackend, type StartedNodes, startNodes } from "../../support/nodes.js";
import { eventually } from "./eventually.js";

let nodes: StartedNodes;
let open: (NodeProcess | undefined)[] = [];
let openData = "";
const transport = createUndiciTransport();
const key = DEFAULT_MASTER_KEY;

beforeAll(async () => {
  nodes = await startNodes(2);
  openData = mkdtempSync(join(tmpdir(), "miroir-open-nodes-"));
  open = await Promise.all([0, 1].map((at) => launchOpenNode(join(openData, String(at)))));
});

afterAll(async () => {
  await transport.close();
  await nodes?.stop();
  await Promise.all(open.map((node) => node?.stop()));
  rmSync(openData, { recursive: true, force: true });
});

/** A node without a master key; undefined where the suites' nodes are containers. */
async function launchOpenNode(dataDir: string): Promise<NodeProcess | undefined> {
  if (nodeBackend.kind === "container") return undefined;
  const binary = nodeBackend.kind === "binary" ? { binaryPath: nodeBackend.path } : {};
  return await launchNode({ kind: nodeBackend.kind, dataDir, ...binary });
}

function bootstrap(options: Partial<BootstrapOptions> & Pick<BootstrapOptions, "configured">) {
  return bootstrapNodes({
    world: createSystemWorld(),
    transport,
    logger: pino({ level: "silent" }),
    clusterId: "c-1",
    known: [],
    timeoutMs: 600,
    ...options,
  });
}

const url = (at: number): string => nodes.nodes[at]?.url ?? "";
const closedPort = "http://127.0.0.1:9";

describe("making nodes ready", () => {
  it("makes a write key without indexes.create and an admin key, the same at every start", async () => {
    const configured = [0, 1].map((at) => ({ url: url(at), key }));
    const first = await bootstrap({ configured });
    const known = first.map(({ id, url: address, group }) => ({ id, url: address, group }));
    expect(await bootstrap({ configured, known })).toEqual(first);
    expect(first.map(({ id }) => id)).toEqual(["node-0", "node-1"]);
    const { status } = first[0] as (typeof first)[number];
    if (status.kind !== "ready") throw new Error("not ready");
    expect(status.version).toMatch(/^1\.50\./);
    const write = createNodeClient(transport, { id: "node-0", url: url(0), key: status.keys.writeKey });
    await expect(write.createIndex("x", undefined)).rejects.toMatchObject({ status: 403 });
    const late = (await write.json({
      method: "POST",
      path: "/indexes/never-made/documents?primaryKey=id",
      body: '[{"id":1}]',
      contentType: "application/json",
    })) as { taskUid: number };
    const admin = createNodeClient(transport, { id: "node-0", url: url(0), key: status.keys.adminKey });
    await eventually(async () => {
      expect((await admin.task(late.taskUid)).error?.code).toBe("index_not_found");
    });
    const made = await admin.createIndex("renamed-from", "id");
    const renamed = await admin.renameIndex("renamed-from", "renamed-to");
    await eventually(async () => {
      expect((await admin.task(made.taskUid)).status).toBe("succeeded");
      expect((await admin.task(renamed.taskUid)).status).toBe("succeeded");
    });
    await admin.deleteIndex("renamed-to");
  });

  it("keeps a server's id under another position", async () => {
    const known = [
      { id: "node-0", url: url(0), group: 0 },
      { id: "node-1", url: url(1), group: 0 },
    ];
    await bootstrap({ configured: [0, 1].map((at) => ({ url: url(at), key })), known });
    const moved = await bootstrap({ configured: [1, 0].map((at) => ({ url: url(at), key })), known });
    expect(moved.map((node) => [node.id, node.url])).toEqual([
      ["node-1", url(1)],
      ["node-0", url(0)],
    ]);
    await expect(
      bootstrap({ configured: [{ id: "node-1", url: url(0), key }], known }),
    ).rejects.toMatchObject({ code: "other_node", message: expect.stringContaining("is node-0") });
  });

  it("refuses one server under two URLs", async () => {
    const other = url(0).replace("127.0.0.1", "localhost");
    await expect(
      bootstrap({ configured: [url(0), other].map((address) => ({ url: address, key })) }),
    ).rejects.toMatchObject({ code: "same_server", message: expect.stringContaining(other) });
  });

  it("says which node refuses its key, or lacks one", async () => {
    await expect(
      bootstrap({
        configured: [
          { url: url(0), key },
          { url: url(1), key: "not-the-key-at-all" },
        ],
      }),
    ).rejects.toMatchObject({
      code: "foreign_key",
      nodeId: "node-1",
      message: expect.stringContaining(url(1)),
    });
    await expect(bootstrap({ configured: [{ url: url(0) }] })).rejects.toMatchObject({
      code: "foreign_key",
      message: expect.stringContaining("none is configured"),
    });
  });

  it("refuses a node that is down, unless the cluster knows it", async () => {
    await expect(bootstrap({ configured: [{ url: closedPort, key }] })).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining(closedPort),
    });
    const [known, fresh] = await bootstrap({
      configured: [
        { url: closedPort, key },
        { url: url(0), key },
      ],
      known: [{ id: "node-7", url: closedPort, group: 3 }],
    });
    expect(known).toMatchObject({ id: "node-7", group: 3, status: { kind: "down" } });
    expect(fresh?.status.kind).toBe("ready");
  });

  it("goes on without a known node that stops to answer while servers are told apart, but not without a new one", async () => {
    const configured = [0, 1].map((at) => ({ url: url(at), key }));
    const known = configured.map((node, at) => ({ id: `node-${at}`, url: node.url, group: 0 }));
    const clusterId = "c-silent";
    await bootstrap({ clusterId, configured });
    // Its mark is the one thing that is changed there once its keys are made.
    const silent: NodeTransport = {
      close: transport.close,
      request: (node, request) =>
        node.url === url(1) && request.method === "PATCH"
          ? Promise.reject(new NodeUnavailableError(node.id, "unknown", "read ECONNRESET"))
          : transport.request(node, request),
    };
    const nodes = await bootstrap({ clusterId, configured, known, transport: silent });
    expect(nodes.map(({ status }) => status.kind)).toEqual(["ready", "down"]);
    await expect(bootstrap({ clusterId, configured, transport: silent })).rejects.toMatchObject({
      code: "unreachable",
    });
  });

  it("asks a node again whose connection broke while servers are told apart", async () => {
    const configured = [0, 1].map((at) => ({ url: url(at), key }));
    let broken = 0;
    const shaky: NodeTransport = {
      close: transport.close,
      request: (node, request) =>
        request.method === "PATCH" && ++broken <= 2
          ? Promise.reject(new NodeUnavailableError(node.id, "unknown", "read ECONNRESET"))
          : transport.request(node, request),
    };
    const nodes = await bootstrap({ configured, transport: shaky });
    expect(nodes.map(({ status }) => status.kind)).toEqual(["ready", "ready"]);
  });

  it("goes on without a known node that cannot be used, but not where that holds for all", async () => {
    await bootstrap({ configured: [0, 1].map((at) => ({ url: url(at), key })) });
    const known = [0, 1].map((at) => ({ id: `node-${at}`, url: url(at), group: 0 }));
    const wrong = { url: url(1), key: "not-the-key-at-all" };
    const found = await bootstrap({ configured: [{ url: url(0), key }, wrong], known });
    expect(found.map(({ status }) => status.kind)).toEqual(["ready", "down"]);
    expect(found[1]?.status).toMatchObject({ error: expect.stringContaining("refuses the configured key") });
    await expect(bootstrap({ configured: [wrong], known })).rejects.toMatchObject({ code: "foreign_key" });
  });

  it("takes nodes without a master key as they are, and tells them apart", async (context) => {
    const addresses = open.flatMap((node) => (node === undefined ? [] : [node.url]));
    if (addresses.length < 2) return context.skip();
    const ready = await bootstrap({ configured: addresses.map((address) => ({ url: address })) });
    expect(ready.map(({ status }) => (status.kind === "ready" ? status.keys : undefined))).toEqual([
      { writeKey: "", adminKey: "" },
      { writeKey: "", adminKey: "" },
    ]);
    const other = (addresses[0] ?? "").replace("127.0.0.1", "localhost");
    await expect(
      bootstrap({ configured: [addresses[0] ?? "", other].map((address) => ({ url: address })) }),
    ).rejects.toMatchObject({ code: "same_server" });
    return undefined;
  });
});
