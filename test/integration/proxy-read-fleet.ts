import { pino } from "pino";
import { Registry } from "prom-client";
import { idOf } from "../../src/control/documents/node-documents.js";
import type { NodeTransport } from "../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../src/meilisearch/undici-transport.js";
import { sequenceCode, shardCode } from "../../src/placement/injected-fields.js";
import { createShardHasher } from "../../src/placement/shard.js";
import type { ControlTransport } from "../../src/proxy/control-transport.js";
import type { ProxyConfig } from "../../src/proxy/http/config.js";
import { createProxyMetrics } from "../../src/proxy/http/metrics.js";
import { createProxyServer } from "../../src/proxy/http/server.js";
import type { IndexView, NodeView } from "../../src/proxy/topology/topology-view.js";
import type { WriteService } from "../../src/proxy/write/write-service.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { initialNodeSettings, toNodeSettings } from "../../src/settings/canonical-settings.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";
import {
  indexView,
  type Layout,
  placeShards,
  type SettableTopology,
  settableTopology,
  topologyView,
} from "../unit/proxy/views.js";

/** How a fleet's shards are laid out, and what stands in front of it. */
export interface FleetLayout extends Layout {
  readonly config?: Partial<ProxyConfig>;
  /** Stands between the proxy and its nodes. */
  readonly wrapTransport?: (transport: NodeTransport) => NodeTransport;
}

/** An index and its documents, each as JSON text. */
export interface FleetIndex {
  readonly uid: string;
  readonly primaryKey: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly documents: readonly string[];
}

/** A proxy over nodes that were filled by hand, beside one plain node with the same documents. */
export interface ReadFleet {
  readonly plain: MeilisearchHttp;
  readonly proxy: MeilisearchHttp;
  readonly nodes: StartedNodes;
  readonly topology: SettableTopology;
  stop(): Promise<void>;
}

/** Fails loudly when a test reaches for what it did not give. */
export function notGiven<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get: (_target, member) => () =>
      Promise.reject(new Error(`${name}.${String(member)} is not part of this test`)),
  });
}

/** Starts the nodes, fills them, and puts a proxy in front. */
export async function startReadFleet(
  layout: FleetLayout,
  indexes: readonly FleetIndex[],
): Promise<ReadFleet> {
  const count = layout.groups * layout.nodesPerGroup;
  const nodes = await startNodes(count + 1);
  const [plainNode, ...fleetNodes] = nodes.nodes;
  if (plainNode === undefined) throw new Error("no node was started");
  const views = fleetNodes.map((node, at): NodeView => {
    const id = `node-${at}`;
    const address = { id, url: node.url, key: DEFAULT_MASTER_KEY };
    return {
      id,
      group: Math.floor(at / layout.nodesPerGroup),
      url: node.url,
      state: "active",
      writeAddress: address,
      adminAddress: address,
    };
  });
  const plain = meilisearchHttp(plainNode.url, DEFAULT_MASTER_KEY);
  const placement = placeShards(layout, views);
  const indexViews: IndexView[] = [];
  for (const index of indexes) {
    await plain.ok("POST", "/indexes", { uid: index.uid, primaryKey: index.primaryKey });
    await plain.ok("PATCH", `/indexes/${index.uid}/settings`, index.settings);
    const task = await plain.ok("POST", `/indexes/${index.uid}/documents`, `[${index.documents.join(",")}]`);
    await plain.waitForTask(task.taskUid as number);
    const settings = await plain.ok("GET", `/indexes/${index.uid}/settings`);
    const view = indexView(index.uid, index.primaryKey, placement, settings);
    await fillNodes(view, index, views);
    indexViews.push(view);
  }
  const topology = settableTopology();
  topology.set(topologyView(views, indexViews));
  const transport = createUndiciTransport();
  const server = await createProxyServer({
    world: createSystemWorld(),
    topology,
    lease: { session: "s", proxyId: "p", state: () => ({ kind: "none", reason: "a test without writes" }) },
    control: notGiven<ControlTransport>("control"),
    transport: layout.wrapTransport?.(transport) ?? transport,
    writes: notGiven<WriteService>("writes"),
    logger: pino({ level: "silent" }),
    metrics: createProxyMetrics(new Registry()),
    ...(layout.config === undefined ? {} : { config: layout.config }),
  });
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  return {
    plain,
    proxy: meilisearchHttp(url),
    nodes,
    topology,
    async stop() {
      await server.close();
      await transport.close();
      await nodes.stop();
    },
  };
}

async function fillNodes(view: IndexView, index: FleetIndex, nodes: readonly NodeView[]): Promise<void> {
  const hasher = await createShardHasher();
  const stored = index.documents.map((document, at) => {
    const id = idOf(Buffer.from(document), index.primaryKey);
    if (id === undefined) throw new Error(`no document id in ${document}`);
    const shard = hasher.shardOf(id, view.shards);
    const fields = `"_miroir_shard":"${shardCode(shard)}","_miroir_seq":"${sequenceCode(1_000_000 + at)}"`;
    return { shard, text: `${document.slice(0, document.lastIndexOf("}"))},${fields}}` };
  });
  await Promise.all(
    nodes.map(async (node) => {
      const held = new Set(view.shardsByNode.get(node.id));
      const http = meilisearchHttp(node.url, DEFAULT_MASTER_KEY);
      const path = `/indexes/${view.physicalName}`;
      await http.ok("POST", "/indexes", { uid: view.physicalName, primaryKey: index.primaryKey });
      await http.ok("PATCH", `${path}/settings`, {
        ...initialNodeSettings(),
        ...toNodeSettings(index.settings),
      });
      const documents = stored.filter(({ shard }) => held.has(shard)).map(({ text }) => text);
      const task = await http.ok("POST", `${path}/documents`, `[${documents.join(",")}]`);
      await http.waitForTask(task.taskUid as number);
    }),
  );
}
