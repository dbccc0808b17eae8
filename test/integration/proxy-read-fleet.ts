import { create } from "@bufbuild/protobuf";
import { pino } from "pino";
import { Registry } from "prom-client";
import { EpochSchema } from "../../src/gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../src/meilisearch/undici-transport.js";
import { sequenceCode, shardCode } from "../../src/placement/injected-fields.js";
import { physicalName } from "../../src/placement/physical-name.js";
import { createShardHasher } from "../../src/placement/shard.js";
import type { ControlTransport } from "../../src/proxy/control-transport.js";
import type { ProxyConfig } from "../../src/proxy/http/config.js";
import { createProxyMetrics } from "../../src/proxy/http/metrics.js";
import { createProxyServer } from "../../src/proxy/http/server.js";
import type {
  IndexView,
  NodeView,
  TopologySource,
  TopologyView,
} from "../../src/proxy/topology/topology-view.js";
import type { WriteService } from "../../src/proxy/write/write-service.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import {
  DEFAULT_CLIENT_SETTINGS,
  initialNodeSettings,
  toNodeSettings,
} from "../../src/settings/canonical-settings.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";

/** How a fleet's shards are laid out. */
export interface FleetLayout {
  readonly groups: number;
  readonly nodesPerGroup: number;
  /** Copies of a shard inside a group. */
  readonly replicationFactor: number;
  readonly shards: number;
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

/** A topology that a test sets. */
export interface SettableTopology extends TopologySource {
  set(view: TopologyView): void;
  /** Changes one index of the current topology. */
  change(uid: string, change: Partial<IndexView>): void;
}

export function settableTopology(): SettableTopology {
  let current: TopologyView | undefined;
  const listeners = new Set<(view: TopologyView) => void>();
  const source: SettableTopology = {
    current: () => current,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    waitFor: (predicate, signal) =>
      new Promise((resolve, reject) => {
        if (current !== undefined && predicate(current)) {
          resolve(current);
          return;
        }
        const listener = (view: TopologyView) => {
          if (!predicate(view)) return;
          listeners.delete(listener);
          resolve(view);
        };
        listeners.add(listener);
        signal.addEventListener("abort", () => {
          listeners.delete(listener);
          reject(signal.reason);
        });
      }),
    set(view) {
      current = view;
      for (const listener of [...listeners]) listener(view);
    },
    change(uid, change) {
      if (current === undefined) throw new Error("no topology to change");
      const index = current.indexes.get(uid);
      if (index === undefined) throw new Error(`no index ${uid}`);
      source.set({ ...current, indexes: new Map(current.indexes).set(uid, { ...index, ...change }) });
    },
  };
  return source;
}

/** Shard `s` of a group goes to nodes `s`, `s + 1` … of it, round and round. */
export function placeShards(layout: FleetLayout, nodes: readonly NodeView[]): (readonly string[])[] {
  return Array.from({ length: layout.shards }, (_, shard) =>
    Array.from({ length: layout.groups }, (_, group) => {
      const inGroup = nodes.filter((node) => node.group === group);
      return Array.from(
        { length: layout.replicationFactor },
        (_, copy) => inGroup[(shard + copy) % inGroup.length]?.id ?? "",
      );
    }).flat(),
  );
}

export function indexView(
  uid: string,
  primaryKey: string | undefined,
  placement: readonly (readonly string[])[],
  settings: Readonly<Record<string, unknown>> = DEFAULT_CLIENT_SETTINGS,
): IndexView {
  const instance = uid
    .toLowerCase()
    .replace(/[^a-z2-7]/g, "")
    .padEnd(8, "a")
    .slice(0, 8);
  const shardsByNode = new Map<string, number[]>();
  placement.forEach((nodeIds, shard) => {
    for (const id of nodeIds) shardsByNode.set(id, [...(shardsByNode.get(id) ?? []), shard]);
  });
  return {
    uid,
    instance,
    generation: 1n,
    physicalName: physicalName(instance, 1n),
    primaryKey,
    shards: placement.length,
    createdAt: "2026-01-01T00:00:00Z",
    updatedAt: "2026-01-01T00:00:00Z",
    settingsVersion: 1n,
    settingsChanging: false,
    settings,
    placement,
    replicas: new Map([...shardsByNode.keys()].map((id) => [id, "in_sync"])),
    shardsByNode,
    writer: undefined,
  };
}

export function topologyView(nodes: readonly NodeView[], indexes: readonly IndexView[]): TopologyView {
  const groups = new Map<number, string[]>();
  for (const node of nodes) groups.set(node.group, [...(groups.get(node.group) ?? []), node.id]);
  return {
    epoch: create(EpochSchema, { clusterId: "test", term: 1n, counter: 1n }),
    nodes: new Map(nodes.map((node) => [node.id, node])),
    groups,
    indexes: new Map(indexes.map((index) => [index.uid, index])),
    byInstance: new Map(indexes.map((index) => [index.instance, index])),
    minInSync: 0,
  };
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
    const id = (JSON.parse(document) as Record<string, unknown>)[index.primaryKey];
    const shard = hasher.shardOf(String(id), view.shards);
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
