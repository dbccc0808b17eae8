import { create } from "@bufbuild/protobuf";
import { EpochSchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../../src/placement/physical-name.js";
import type {
  IndexView,
  NodeView,
  TopologySource,
  TopologyView,
} from "../../../src/proxy/topology/topology-view.js";
import { DEFAULT_CLIENT_SETTINGS } from "../../../src/settings/canonical-settings.js";

/** How shards are laid out over nodes. */
export interface Layout {
  readonly groups: number;
  readonly nodesPerGroup: number;
  /** Copies of a shard inside a group. */
  readonly replicationFactor: number;
  readonly shards: number;
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
export function placeShards(layout: Layout, nodes: readonly NodeView[]): (readonly string[])[] {
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
    codeShards: placement.length,
    familyShards: placement.length,
    createdAt: "2026-01-01T00:00:00Z",
    updatedAt: "2026-01-01T00:00:00Z",
    settingsVersion: 1n,
    settingsChanging: false,
    settings,
    placement,
    joining: placement.map(() => []),
    leaving: placement.map(() => []),
    leftover: placement.map(() => []),
    copy: undefined,
    heldByNode: new Map([...shardsByNode].map(([id, shards]) => [id, new Set(shards)])),
    drifted: new Set(),
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
    apiKeys: [],
    experimentalFeatures: new Set(),
    resources: new Map(),
  };
}

/** Nodes without addresses, `node-0` … group after group. */
export function nodeViews(layout: Layout): NodeView[] {
  return Array.from({ length: layout.groups * layout.nodesPerGroup }, (_, at) => {
    const id = `node-${at}`;
    const url = `http://${id}`;
    const group = Math.floor(at / layout.nodesPerGroup);
    return { id, group, url, state: "active", writeAddress: { id, url }, adminAddress: { id, url } };
  });
}
