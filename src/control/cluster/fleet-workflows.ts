import type { Topology } from "../../gen/miroir/v1/topology_pb.js";

/** What an operator asked for. */
export type FleetWorkflowKind =
  | "add-node"
  | "drain-node"
  | "remove-node"
  | "replace-node"
  | "add-group"
  | "remove-group"
  | "set-replication"
  | "rebalance"
  | "repair"
  | "reshard";

/** A change of the fleet to carry out. */
export interface FleetWorkflowRequest {
  readonly kind: FleetWorkflowKind;
  /** What it is, in words: `drain node-2`. */
  readonly title: string;
  /** The nodes that join, or that drain; those to repair. */
  readonly nodeIds: readonly string[];
  /** Nodes that leave the fleet once they hold nothing; a subset of those that drain. */
  readonly removeNodeIds: readonly string[];
  /** Clients' names; all indexes where there are none. */
  readonly indexUids: readonly string[];
  /** Whether nodes that stay may exchange replicas. */
  readonly rebalance: boolean;
  /** How many shards a resharded index gets; 0 for other changes. */
  readonly shards: number;
  /** 0 for as fast as the nodes' queues allow. */
  readonly maxDocumentsPerSecond: number;
  /** Whether it is given up where somebody asks for another change: what nobody asked for keeps no operator waiting. Not unless given. */
  readonly makesWay?: boolean;
  /** Puts the goal into the topology, as part of the change that starts the workflow. May throw to refuse. */
  readonly begin: (draft: Topology) => void;
}

/** Carries changes of the fleet out, and goes on with them under the next leader. */
export interface FleetWorkflows {
  /**
   * Stores a workflow and begins with it, after one that makes way has been given up. Resolves with its id.
   *
   * @throws FleetChangeRefusedError (busy) where another one is not finished
   */
  start(request: FleetWorkflowRequest): Promise<string>;
  /** The workflow that is being carried out, if any. */
  running(): { readonly id: string; readonly title: string; readonly makesWay?: boolean } | undefined;
}
