import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type ClusterService, type NewNode, NewNodeSchema } from "../../gen/miroir/v1/cluster_pb.js";
import type { FleetNodes } from "../nodes/fleet-nodes.js";
import { ChangeRunner, type ChangeRunnerOptions } from "./change-runner.js";
import { rebalance, repair, reshard, setReplication } from "./data-changes.js";
import { addGroup, removeGroup } from "./group-changes.js";
import { addNode, drainNode, removeNode, replaceNode } from "./node-changes.js";

/** What {@link createFleetOperations} works with. */
export interface FleetOperationsOptions extends ChangeRunnerOptions {
  readonly nodes: FleetNodes;
}

/** The methods of `miroir.v1.ClusterService` that change the fleet. */
export type FleetOperations = Pick<
  ServiceImpl<typeof ClusterService>,
  | "addNode"
  | "drainNode"
  | "removeNode"
  | "replaceNode"
  | "addGroup"
  | "removeGroup"
  | "setReplication"
  | "rebalance"
  | "repair"
  | "reshard"
>;

/** {@link FleetOperations}: each plans first, and is carried out as a workflow. */
export function createFleetOperations(options: FleetOperationsOptions): FleetOperations {
  const context = { ...options, runner: new ChangeRunner(options) };
  return {
    async addNode({ group, node, ...mode }) {
      return await addNode(context, required(node), group, mode);
    },
    async drainNode({ nodeId, ...mode }) {
      return { change: await drainNode(context, nodeId, mode) };
    },
    async removeNode({ force, nodeId, ...mode }) {
      return { change: await removeNode(context, nodeId, force, mode) };
    },
    async replaceNode({ node, nodeId, ...mode }) {
      if (node !== undefined) return await replaceNode(context, nodeId, node, mode);
      return { change: await repair(context, [], [nodeId], mode), nodeId };
    },
    async addGroup({ group, nodes, ...mode }) {
      const { change, group: id, nodeIds } = await addGroup(context, nodes, group, mode);
      return { change, group: id, nodeIds: [...nodeIds] };
    },
    async removeGroup({ dryRun, group }) {
      return { change: await removeGroup(context, group, { dryRun, maxDocumentsPerSecond: 0 }) };
    },
    async setReplication({ replicationFactor, ...mode }) {
      return { change: await setReplication(context, replicationFactor, mode) };
    },
    async rebalance(mode) {
      return { change: await rebalance(context, mode) };
    },
    async repair({ indexUids, nodeIds, ...mode }) {
      return { change: await repair(context, indexUids, nodeIds, mode) };
    },
    async reshard({ indexUid, shards, ...mode }) {
      return { change: await reshard(context, indexUid, shards, mode) };
    },
  };
}

/** Requests without a server are refused before they come here. */
function required(node: NewNode | undefined): NewNode {
  return node ?? create(NewNodeSchema);
}
