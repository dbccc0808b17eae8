import type { FleetChange } from "../../gen/miroir/v1/cluster_pb.js";
import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { FleetPlan } from "../../placement/fleet-plan.js";
import { allShards } from "../../placement/shard.js";
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

/** Cuts an index into another number of shards. @throws FleetChangeRefusedError */
export async function reshard(
  context: DataChangeContext,
  indexUid: string,
  shards: number,
  mode: ChangeMode,
): Promise<FleetChange> {
  const index = requireIndex(context.topology.current(), indexUid);
  if (!mode.dryRun) {
    throw new FleetChangeRefusedError(
      "invalid",
      "resharding is not built yet, only its dry run; make an index with the wanted number of shards and copy the documents with an export",
    );
  }
  if (index.shards === shards) {
    throw new FleetChangeRefusedError("invalid", `index ${indexUid} has ${shards} shards already`);
  }
  return await make(context, mode, {
    kind: "reshard",
    title: `reshard ${indexUid} from ${index.shards} to ${shards} shards`,
    indexUids: [indexUid],
    shards,
    begin: (draft) => {
      requireIndex(draft, indexUid);
    },
    plan: (topology) => copyOfAll(requireIndex(topology, indexUid)),
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

/** A resharded index is filled anew on as many replicas as it has. */
function copyOfAll({ instance, placement, uid }: Index): FleetPlan {
  const nodes = placement.map(({ nodeIds }) => nodeIds);
  const moves = allShards(nodes.length).flatMap((shard) =>
    (nodes[shard] ?? []).map((to) => ({ shard, from: null, to })),
  );
  const plan = { uid, instance, moves, drops: [], repairs: [], blocked: [], placement: nodes };
  return { indexes: [plan], problems: [] };
}
