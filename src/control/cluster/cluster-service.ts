import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type ClusterService, type NodeStatus, NodeStatusSchema } from "../../gen/miroir/v1/cluster_pb.js";
import { type Index, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { ProxyFleet } from "../topology/proxy-fleet.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { FleetOperations } from "./fleet-operations.js";
import { fleetWarnings } from "./fleet-warnings.js";
import { shardCounts } from "./shard-counts.js";

/** What the last probes said of a node. */
export interface NodeProbe {
  /** Empty when the last probe succeeded. */
  readonly lastError: string;
  /** Milliseconds since the Unix epoch; undefined where the node never answered this process. */
  readonly lastSeenAt: number | undefined;
}

/** What {@link createClusterService} shows. */
export interface ClusterServiceOptions {
  readonly topology: TopologyManager;
  readonly fleet: ProxyFleet;
  /** Miroir's own version. */
  readonly version: string;
  /** Undefined for a node that was not probed yet. */
  readonly probe: (nodeId: string) => NodeProbe | undefined;
  /** Node tasks that Miroir waits for, by node; nodes without any may be absent. */
  readonly openNodeTasks: () => Promise<ReadonlyMap<string, number>>;
  /** Client tasks that are not final. */
  readonly openTasks: () => Promise<number>;
  /** What operators may change. */
  readonly operations: FleetOperations;
}

/** `miroir.v1.ClusterService` as Connect serves it. */
export function createClusterService(options: ClusterServiceOptions): ServiceImpl<typeof ClusterService> {
  const { fleet, topology, version } = options;
  return {
    ...options.operations,
    async getStatus() {
      const current = topology.current();
      const [nodes, openTasks] = await Promise.all([nodeStatuses(current, options), options.openTasks()]);
      return {
        clusterId: current.epoch?.clusterId ?? "",
        ...(current.epoch === undefined ? {} : { epoch: current.epoch }),
        version,
        nodes,
        proxies: [...fleet.proxies()],
        openTasks: BigInt(openTasks),
        ...shardCounts(current),
        warnings: [...fleetWarnings(current)],
      };
    },
    async listNodes() {
      return { nodes: await nodeStatuses(topology.current(), options) };
    },
    listProxies: () => ({ proxies: [...fleet.proxies()] }),
  };
}

async function nodeStatuses(topology: Topology, options: ClusterServiceOptions): Promise<NodeStatus[]> {
  const open = await options.openNodeTasks();
  const replicas = new Map<string, { placed: number; stale: number }>();
  for (const index of topology.indexes) countReplicas(index, replicas);
  return topology.nodes.map((node) => {
    const probe = options.probe(node.id);
    const count = replicas.get(node.id);
    return create(NodeStatusSchema, {
      node: { ...node, key: "" },
      shardReplicas: BigInt(count?.placed ?? 0),
      staleReplicas: BigInt(count?.stale ?? 0),
      openNodeTasks: BigInt(open.get(node.id) ?? 0),
      lastError: probe?.lastError ?? "",
      ...(probe?.lastSeenAt === undefined ? {} : { lastSeenAt: timestampFromMs(probe.lastSeenAt) }),
    });
  });
}

function countReplicas(index: Index, counts: Map<string, { placed: number; stale: number }>): void {
  const stale = new Set(
    index.replicas.filter(({ state }) => state === ReplicaState.STALE).map(({ nodeId }) => nodeId),
  );
  for (const { nodeIds } of index.placement) {
    for (const id of nodeIds) {
      const count = counts.get(id) ?? { placed: 0, stale: 0 };
      count.placed += 1;
      if (stale.has(id)) count.stale += 1;
      counts.set(id, count);
    }
  }
}
