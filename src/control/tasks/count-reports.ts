import { combineCounts, planCounts } from "../../placement/task-counts.js";
import type { IndexReplicas } from "./index-replicas.js";

/** What one node reports for the shards that count there. */
export interface CountReport {
  readonly nodeId: string;
  readonly shards: readonly number[];
  readonly count: number;
}

/**
 * A count over all documents that a task touched, from what several overlapping replicas report. Exact where every
 * shard has equally many reports, where some of the nodes partition the shards, and where the counts follow `weights`,
 * the documents of the request by shard.
 */
export function countOnce(
  reports: readonly CountReport[],
  weights: ReadonlyMap<number, number> = new Map(),
): number {
  const copies = new Map<number, number>();
  for (const { shards } of reports) {
    for (const shard of shards) copies.set(shard, (copies.get(shard) ?? 0) + 1);
  }
  const [perShard = 1, ...others] = new Set(copies.values());
  if (others.length === 0) {
    return Math.round(reports.reduce((sum, report) => sum + report.count, 0) / perShard);
  }
  // A node that got the task in parts reports several times.
  const parts = reports.map((report, at) => ({ ...report, part: `${report.nodeId} ${at}` }));
  const plan = planCounts(new Map(parts.map(({ part, shards }) => [part, new Set(shards)])));
  if (plan.kind !== "estimate" || weights.size === 0) {
    return combineCounts(plan, new Map(parts.map(({ part, count }) => [part, count])));
  }
  return countByWeight(reports, copies, weights);
}

/** What all nodes report, over the mean number of replicas that a shard has in sync. */
export function countByCopies(
  reports: readonly CountReport[],
  index: Pick<IndexReplicas, "placement" | "replicas">,
): number {
  const copies = index.placement.reduce(
    (sum, nodes) => sum + Math.max(1, nodes.filter((id) => index.replicas.get(id) === "in_sync").length),
    0,
  );
  const total = reports.reduce((sum, report) => sum + report.count, 0);
  return Math.round((total * index.placement.length) / copies);
}

/** Spreads each report over its shards as the request's documents were; each shard takes the mean of its reports. */
function countByWeight(
  reports: readonly CountReport[],
  copies: ReadonlyMap<number, number>,
  weights: ReadonlyMap<number, number>,
): number {
  let total = 0;
  for (const { shards, count } of reports) {
    const whole = shards.reduce((sum, shard) => sum + (weights.get(shard) ?? 0), 0);
    for (const shard of shards) {
      const share = whole > 0 ? (weights.get(shard) ?? 0) / whole : 1 / shards.length;
      total += (count * share) / (copies.get(shard) ?? 1);
    }
  }
  return Math.round(total);
}
