import type { Index } from "../../gen/miroir/v1/topology_pb.js";
import { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";
import { compareGroup, membersOf } from "../verify/shard-group.js";
import type { VerifyRun } from "../verify/verify-context.js";
import { type OddReplica, oddReplica } from "./odd-replica.js";

/** What a comparison of a shard's replicas came to. */
export interface ShardComparison {
  /** The nodes whose replicas were compared, ascending; fewer than two where there is nothing to compare. */
  readonly nodeIds: readonly string[];
  readonly documents: number;
  /** Documents in which the replicas differ for certain. */
  readonly differing: number;
  /** Documents that seemed to differ and went on changing. */
  readonly unsettled: number;
  readonly odd: OddReplica | undefined;
}

/**
 * Compares the documents of one shard over its replicas, whole and while writes go on, and says which replica is wrong.
 *
 * @param doubted nodes that were restarted or suspected lately
 * @throws MeilisearchError or `NodeUnavailableError` where a replica cannot be read, as where the index's generation changes meanwhile
 */
export async function compareShard(
  run: Omit<VerifyRun, "deep">,
  index: Index,
  shard: number,
  doubted: ReadonlySet<string>,
): Promise<ShardComparison> {
  const members = new Set(membersOf(index));
  const nodeIds = (index.placement[shard]?.nodeIds ?? []).filter((id) => members.has(id)).sort();
  const nothing = { nodeIds, documents: 0, differing: 0, unsettled: 0, odd: undefined };
  if (nodeIds.length < 2) return nothing;
  let documents = 0;
  let more = 0;
  let unsettled = 0;
  const differing: ReadonlyMap<string, string>[] = [];
  for await (const event of compareGroup({ ...run, deep: true }, index, { nodeIds, shards: [shard] })) {
    if (event.kind === "progress") documents += event.documents;
    if (event.kind !== "difference") continue;
    const { kind, versions = [], unsettled: isOpen } = event.difference;
    if (kind === DifferenceKind.MORE_DOCUMENTS) more += event.difference.count ?? 0;
    if (kind !== DifferenceKind.DOCUMENT) continue;
    if (isOpen === true) unsettled += 1;
    else differing.push(new Map(versions.map(({ nodeId, version }) => [nodeId, version])));
  }
  const odd = oddReplica(differing, doubted);
  return { nodeIds, documents, differing: differing.length + more, unsettled, odd };
}
