import type { NodeTaskRow } from "../../store/task-store.js";
import type { IndexReplicas } from "./index-replicas.js";

/** Stands for all shards where the index is gone and its placement with it. */
const ANY_SHARD = -1;

/**
 * The shards that a node's report tells of. Where it names none, those that the node receives; of a node that has none any more, any
 * of the index.
 */
export function shardsOf(report: NodeTaskRow, index: IndexReplicas | undefined): readonly number[] {
  if (report.shards.length > 0) return report.shards;
  if (index === undefined || index.placement.length === 0) return [ANY_SHARD];
  const all = [...index.placement.keys()];
  const held = all.filter(
    (shard) =>
      index.placement[shard]?.includes(report.nodeId) === true || receives(shard, report.nodeId, index),
  );
  return held.length > 0 ? held : all;
}

/**
 * The reports that decide about a shard: of the replicas in sync among those that serve it, or have served it and still receive its
 * writes; where there are none, of the suspect ones; where there are none either, of nodes that served it until a copy moved it away.
 * Else all: a stale replica may have lost the task, and nobody reads it or one that joins.
 */
export function membersOnShard(
  shard: number,
  reports: readonly NodeTaskRow[],
  index: IndexReplicas | undefined,
): readonly NodeTaskRow[] {
  if (index === undefined) return reports;
  const holders = index.placement[shard];
  const holding =
    holders === undefined
      ? reports
      : reports.filter(
          ({ nodeId }) => holders.includes(nodeId) || index.copy?.leaving[shard]?.includes(nodeId) === true,
        );
  for (const health of ["in_sync", "suspect"] as const) {
    const matching = holding.filter(({ nodeId }) => index.replicas.get(nodeId) === health);
    if (matching.length > 0) return matching;
  }
  const former = reports.filter(({ nodeId }) => {
    const health = index.replicas.get(nodeId);
    return health !== "stale" && health !== "joining";
  });
  return former.length > 0 ? former : reports;
}

/** Whether a shard's deciding reports, all of them final, make a success: most of them, and half of them too. */
export function isSuccess(members: readonly NodeTaskRow[]): boolean {
  const succeeded = members.filter(({ status }) => status === "succeeded").length;
  return succeeded > 0 && succeeded * 2 >= members.length;
}

/**
 * The groups of a task without those that it is certainly not about. Where no report names shards, a node's tells of all that it holds; one
 * that failed alone, on a shard that its peers made, says nothing of others whose replicas in sync tell of no such task.
 */
export function shardsAsked(
  groups: ReadonlyMap<number, readonly NodeTaskRow[]>,
  index: IndexReplicas | undefined,
): ReadonlyMap<number, readonly NodeTaskRow[]> {
  if (index === undefined || [...groups.values()].flat().some(({ shards }) => shards.length > 0))
    return groups;
  const outvoted = new Set<string>();
  for (const [shard, reports] of groups) {
    if (!isSuccess(membersOnShard(shard, reports, index))) continue;
    for (const { nodeId, status } of reports) {
      if (status === "failed" && index.placement[shard]?.includes(nodeId)) outvoted.add(nodeId);
    }
  }
  const isAsked = ([shard, reports]: readonly [number, readonly NodeTaskRow[]]): boolean =>
    reports.some(({ nodeId, status }) => status !== "failed" || !outvoted.has(nodeId)) ||
    !index.placement[shard]?.some(
      (nodeId) =>
        index.replicas.get(nodeId) === "in_sync" && !reports.some((report) => report.nodeId === nodeId),
    );
  return new Map([...groups].filter(isAsked));
}

/** Those among the deciding reports that counted whole shards; all of them where a copy has filled every one. */
export function countedOnShard(
  shard: number,
  reports: readonly NodeTaskRow[],
  index: IndexReplicas | undefined,
): readonly NodeTaskRow[] {
  const members = membersOnShard(shard, reports, index);
  const filled = index?.copy?.filled[shard];
  if (filled === undefined || filled.length === 0) return members;
  const whole = members.filter(({ nodeId }) => !filled.includes(nodeId));
  return whole.length > 0 ? whole : members;
}

/** The reports that must be final before the task is: the deciding ones, and those of nodes that readers are about to use, or still use. */
export function awaitedOnShard(
  shard: number,
  reports: readonly NodeTaskRow[],
  index: IndexReplicas | undefined,
): readonly NodeTaskRow[] {
  const members = membersOnShard(shard, reports, index);
  if (index?.copy === undefined) return members;
  const others = reports.filter(
    (report) => !members.includes(report) && receives(shard, report.nodeId, index),
  );
  return others.length === 0 ? members : [...members, ...others];
}

/** Whether the node receives the shard's writes because of a copy: as one that joins or leaves, or one that has been filled and serves. */
function receives(shard: number, nodeId: string, { copy, placement, replicas }: IndexReplicas): boolean {
  const health = replicas.get(nodeId);
  if (copy === undefined || health === undefined || health === "stale") return false;
  const isIn = (nodes: readonly (readonly string[])[]) => nodes[shard]?.includes(nodeId) === true;
  return isIn(copy.joining) || isIn(copy.leaving) || (isIn(copy.filled) && isIn(placement));
}
