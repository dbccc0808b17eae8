import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeAddress } from "../../meilisearch/transport.js";
import type { ApiKey } from "../auth/api-key.js";

/** Health of an index on one node (design §1). */
export type ReplicaState = "in_sync" | "joining" | "stale" | "suspect";

/** A node as the proxy uses it. */
export interface NodeView {
  readonly id: string;
  readonly group: number;
  readonly url: string;
  readonly state: "active" | "joining" | "draining" | "unreachable" | "suspect";
  /** With the key for searches and document writes, which lacks `indexes.create`. */
  readonly writeAddress: NodeAddress;
  /** With the key for renames, settings and deletions. */
  readonly adminAddress: NodeAddress;
}

/** How far a copy has come, as the topology tells (invariant 9: it only goes forward from `switched`). */
export type CopyStep = "planned" | "copying" | "switched" | "dropping" | "cleaning";

/** A replica of a shard to make, to move or to give up. */
export interface CopyMove {
  readonly shard: number;
  /** The replica to delete after the switch; undefined where one is only added. */
  readonly from: string | undefined;
  /** The replica to make; undefined where one is only given up. */
  readonly to: string | undefined;
}

/** One batch of work for an index's writer. */
export interface CopyView {
  readonly id: string;
  readonly step: CopyStep;
  readonly moves: readonly CopyMove[];
  /** Ids of nodes whose replica is to be made equal to its peers' again. */
  readonly repairs: readonly string[];
  /** 0 for as fast as the nodes' queues allow. */
  readonly maxDocumentsPerSecond: number;
  /** The shards into which the index is cut; 0 where it is not. Such a copy moves and repairs nothing. */
  readonly splitShards: number;
}

/** An index as the proxy uses it; computed once for every accepted topology. */
export interface IndexView {
  readonly uid: string;
  readonly instance: string;
  readonly generation: bigint;
  /** The index's name on the nodes at this generation. */
  readonly physicalName: string;
  readonly primaryKey: string | undefined;
  readonly shards: number;
  /** The shards that documents are given codes of: another number than `shards` while the index is cut into more. */
  readonly codeShards: number;
  /** The shards that documents bear codes of: a multiple of `shards` while the index is cut into more, or back again. */
  readonly familyShards: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly settingsVersion: bigint;
  readonly settingsChanging: boolean;
  /** The committed settings as clients see them. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** By shard number: ids of the nodes that serve the shard, whatever their health. */
  readonly placement: readonly (readonly string[])[];
  /** By shard number: ids of nodes that receive its writes and its copy, and that nobody reads yet. */
  readonly joining: readonly (readonly string[])[];
  /** By shard number: ids of nodes that still receive its writes, for readers with an older topology. */
  readonly leaving: readonly (readonly string[])[];
  /** By shard number: ids of nodes that hold documents of it which are being deleted. */
  readonly leftover: readonly (readonly string[])[];
  /** Ids of nodes whose settings are not the committed ones any more: they are to be sent again. */
  readonly drifted: ReadonlySet<string>;
  /** Health by node id, for every node that holds any shard. */
  readonly replicas: ReadonlyMap<string, ReplicaState>;
  /** By node: the shards that it serves, ascending. */
  readonly shardsByNode: ReadonlyMap<string, readonly number[]>;
  /** By node: the shards of which it may hold documents, whatever it is to them. */
  readonly heldByNode: ReadonlyMap<string, ReadonlySet<number>>;
  /** Replicas that are being made, brought back or given up. */
  readonly copy: CopyView | undefined;
  readonly writer: { readonly proxyId: string; readonly session: string } | undefined;
}

/** A JSON document that clients set and that no node knows. */
export interface ResourceView {
  readonly json: string;
  /** Grows with every change; a change names the one that it was made from. */
  readonly version: bigint;
}

/** An accepted topology, indexed for use. Immutable. */
export interface TopologyView {
  readonly epoch: Epoch;
  readonly nodes: ReadonlyMap<string, NodeView>;
  /** Node ids by group. */
  readonly groups: ReadonlyMap<number, readonly string[]>;
  /** By the client's uid. */
  readonly indexes: ReadonlyMap<string, IndexView>;
  readonly byInstance: ReadonlyMap<string, IndexView>;
  /** 0 for the default (invariant 4). */
  readonly minInSync: number;
  /** Clients' API keys, in ascending order of uid. */
  readonly apiKeys: readonly ApiKey[];
  /** Names of the experimental features that are on. */
  readonly experimentalFeatures: ReadonlySet<string>;
  /** What clients have set on the whole server besides keys and features, by name, in ascending order. */
  readonly resources: ReadonlyMap<string, ResourceView>;
}

/** Gives the newest accepted topology and says when it changes. */
export interface TopologySource {
  /** Undefined until the first topology arrived. */
  current(): TopologyView | undefined;
  /** Calls back after each accepted topology; returns the function that ends it. */
  onChange(listener: (view: TopologyView) => void): () => void;
  /** Resolves with the first topology, from the current one on, for which `predicate` holds; rejects when `signal` aborts. */
  waitFor(predicate: (view: TopologyView) => boolean, signal: AbortSignal): Promise<TopologyView>;
}

/** A proxy that may write, as the others reach it. */
export interface WritingProxy {
  readonly proxyId: string;
  /** Names one run of its process. */
  readonly session: string;
  /** `HOST:PORT` of its PeerService; empty where it serves none. */
  readonly peerAddress: string;
  /** What that asks for. */
  readonly peerKey: string;
}

/** The proxies whose write leases may be running. */
export interface WritingProxies {
  /** Two sessions of one proxy, after it was restarted, have the later one first. */
  readonly proxies: readonly WritingProxy[];
  /** Whether these are all: not for a while after another control plane has begun to lead. */
  readonly complete: boolean;
}

/** Knows the proxies that may write. */
export interface WriterDirectory {
  writers(): WritingProxies;
  /** Calls back when they have changed; returns the function that ends it. */
  onWritersChange(listener: () => void): () => void;
}

/** A valid write lease. */
export interface RunningLease {
  readonly kind: "held";
  /** Milliseconds until it ends, unless it is renewed; absent where it does not end by itself. */
  readonly leftMs?: number;
}

/** No valid write lease. */
export interface LostLease {
  readonly kind: "none";
  readonly reason: string;
  /** When the last one ran out, on the monotonic clock; absent where there was none, and where this proxy has given it up for good. */
  readonly endedAt?: number;
}

/** The proxy's write lease (invariant 2). */
export interface WriteLease {
  /** This process's session, which writes carry. */
  readonly session: string;
  readonly proxyId: string;
  /**
   * `held`: this proxy may write the indexes of which it is the writer. `none`: no valid lease (control plane away, topology refused);
   * such writes are answered 503 with `Retry-After`.
   */
  state(): RunningLease | LostLease;
}
