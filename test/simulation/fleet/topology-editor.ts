import { clone, fromBinary, toBinary } from "@bufbuild/protobuf";
import { LEADER_SCOPE } from "../../../src/control/leader/leadership.js";
import {
  ReplicaState,
  ShardCopyStep,
  type Topology,
  TopologySchema,
} from "../../../src/gen/miroir/v1/topology_pb.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import { contentHash } from "../../../src/topology/content-hash.js";

/** Edits the stored topology past every check, as a planted fault; resolves true where something was changed. */
export async function editTopology(
  store: TaskStore,
  edit: "last-copies-stale" | "switch-taken-back",
): Promise<boolean> {
  const row = await store.topology.load();
  const lease = await store.lease.current(LEADER_SCOPE);
  if (row === undefined || lease === undefined || lease.term !== row.term) return false;
  const next = clone(TopologySchema, fromBinary(TopologySchema, row.document));
  if (!(edit === "last-copies-stale" ? markAllStale(next) : takeSwitchBack(next)) || next.epoch === undefined)
    return false;
  next.epoch.counter += 1n;
  next.contentHash = contentHash(next);
  const { clusterId, term, counter } = row;
  await store.topology.save(
    { clusterId, term, counter },
    { ...row, counter: counter + 1, document: toBinary(TopologySchema, next), contentHash: next.contentHash },
    { scope: LEADER_SCOPE, holder: lease.holder, term: lease.term },
  );
  return true;
}

function markAllStale({ indexes }: Topology): boolean {
  for (const index of indexes) {
    index.generation += 1n;
    for (const replica of index.replicas) replica.state = ReplicaState.STALE;
  }
  return indexes.length > 0;
}

/** The old replicas serve again and the new ones are forgotten, whatever the writer is doing with them. */
function takeSwitchBack({ indexes }: Topology): boolean {
  let changed = false;
  for (const index of indexes) {
    const { copy } = index;
    if (copy?.step !== ShardCopyStep.CLEANING) continue;
    for (const { shard, fromNodeId, toNodeId } of copy.moves) {
      const placed = index.placement[shard];
      if (placed === undefined || fromNodeId === "" || toNodeId === "") continue;
      placed.nodeIds = [...new Set([...placed.nodeIds.filter((id) => id !== toNodeId), fromNodeId])].sort();
      placed.leavingNodeIds = placed.leavingNodeIds.filter((id) => id !== fromNodeId);
      placed.leftoverNodeIds = placed.leftoverNodeIds.filter((id) => id !== fromNodeId);
      changed = true;
    }
    if (!changed) continue;
    delete index.copy;
    const used = new Set(index.placement.flatMap(({ nodeIds }) => nodeIds));
    index.replicas = index.replicas.filter(({ nodeId }) => used.has(nodeId));
  }
  return changed;
}
