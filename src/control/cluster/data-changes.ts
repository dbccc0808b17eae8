import type { FleetChange } from "../../gen/miroir/v1/cluster_pb.js";
import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { FleetPlan } from "../../placement/fleet-plan.js";
import { allShards } from "../../placement/shard.js";
import { CopyRefusedError } from "../copy/copy-refusal.js";
import { checkSplit } from "../copy/start-copy.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { ChangeRunner, WantedChange } from "./change-runner.js";
import { FleetChangeRefusedError } from "./fleet-change-error.js";
import { requireNode } from "./fleet-checks.js";
import type { ChangeMode } from "./node-changes.js";

/** What changes of replicas work with. */
export interface DataChangeContext {
  readonly topology: TopologyManager;
  readonly runner: ChangeRunner;
}

/** Sets how many replicas of each shard every group holds. @throws FleetChangeRefusedError */
export async function setReplication(
  context: DataChangeContext,
  replicationFactor: number,
  mode: ChangeMode,
): Promise<FleetChange> {
  const { groups, minInSync } = context.topology.current();
  const copies = replicationFactor * groups.length;
  if (minInSync > copies) {
    throw new FleetChangeRefusedError(
      "invalid",
      `writes need ${minInSync} copies in sync (min_in_sync), and there would be ${copies}; lower min_in_sync first`,
    );
  }
  return await make(context, mode, {
    kind: "set-replication",
    title: `${replicationFactor} ${replicationFactor === 1 ? "replica" : "replicas"} of each shard`,
    begin: (draft) => {
      draft.replicationFactor = replicationFactor;
    },
  });
}

/** Evens out what the nodes hold. @throws FleetChangeRefusedError */
export async function rebalance(context: DataChangeContext, mode: ChangeMode): Promise<FleetChange> {
  return await make(context, mode, {
    kind: "rebalance",
    title: "rebalance",
    scope: { rebalance: true },
    begin: () => undefined,
  });
}

/** Brings stale replicas back. @throws FleetChangeRefusedError */
export async function repair(
  context: DataChangeContext,
  indexUids: readonly string[],
  nodeIds: readonly string[],
  mode: ChangeMode,
): Promise<FleetChange> {
  const current = context.topology.current();
  for (const id of nodeIds) requireNode(current, id);
  for (const uid of indexUids) requireIndex(current, uid);
  const what = [...indexUids, ...nodeIds];
  return await make(context, mode, {
    kind: "repair",
    title: what.length === 0 ? "repair" : `repair ${what.join(", ")}`,
    indexUids,
    nodeIds,
    scope: { repairsOnly: true, indexUids, nodeIds },
    begin: () => undefined,
  });
}

/**
 * Cuts an index into a multiple of its shards, in place: documents are given the codes of their new shards, and stay where they are.
 *
 * @throws FleetChangeRefusedError
 */
export async function reshard(
  context: DataChangeContext,
  indexUid: string,
  shards: number,
  mode: ChangeMode,
): Promise<FleetChange> {
  const index = requireIndex(context.topology.current(), indexUid);
  return await make(context, mode, {
    kind: "reshard",
    title: `reshard ${indexUid} from ${index.shards} to ${shards} shards`,
    indexUids: [indexUid],
    shards,
    begin: (draft) => refuseSplit(requireIndex(draft, indexUid), shards),
    plan: (topology) => rewriting(requireIndex(topology, indexUid), shards),
  });
}

async function make(
  { runner }: DataChangeContext,
  { dryRun, maxDocumentsPerSecond }: ChangeMode,
  change: Omit<WantedChange, "maxDocumentsPerSecond">,
): Promise<FleetChange> {
  const wanted = { ...change, optional: true, maxDocumentsPerSecond };
  return dryRun ? await runner.plan(wanted) : await runner.carryOut(wanted);
}

function requireIndex({ indexes }: Topology, uid: string): Index {
  const index = indexes.find((candidate) => candidate.uid === uid);
  if (index === undefined) throw new FleetChangeRefusedError("not_found", `there is no index ${uid}`);
  return index;
}

function refuseSplit(index: Index, shards: number): void {
  try {
    checkSplit(index, shards);
  } catch (error) {
    if (error instanceof CopyRefusedError) throw new FleetChangeRefusedError("invalid", error.message);
    throw error;
  }
}

/** Of k new shards in the place of an old one, the documents of k - 1 get another code, on every replica. */
function rewriting({ instance, placement, shards: count, uid }: Index, shards: number): FleetPlan {
  const nodes = placement.map(({ nodeIds }) => nodeIds);
  const kept = Math.floor((count * count) / shards);
  const moves = allShards(nodes.length)
    .slice(kept)
    .flatMap((shard) => (nodes[shard] ?? []).map((to) => ({ shard, from: null, to })));
  const plan = { uid, instance, moves, drops: [], repairs: [], blocked: [], placement: nodes };
  return { indexes: [plan], problems: [] };
}
