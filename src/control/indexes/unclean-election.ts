import { create } from "@bufbuild/protobuf";
import { type Index, ReplicaState, type Topology, WriterSchema } from "../../gen/miroir/v1/topology_pb.js";
import { markStale } from "../copy/copy-steps.js";
import { isMember, replicaOn } from "../copy/shard-roles.js";
import { isAway } from "../nodes/away-nodes.js";

/** A shard whose copies in sync are all gone, and who takes their place. */
export interface ElectedShard {
  readonly shard: number;
  /** Nodes with a replica that is behind. */
  readonly electedNodeIds: readonly string[];
}

/** What becomes of an index whose last copies in sync are on nodes that are gone for good. */
export interface Election {
  readonly indexUid: string;
  readonly instance: string;
  /** Replicas that are given up. */
  readonly lostNodeIds: readonly string[];
  /** Shards that lose the writes which only the lost nodes had. */
  readonly elected: readonly ElectedShard[];
  /** Shards of which no node that answers has anything: nothing can be elected for the index. */
  readonly bare: readonly number[];
}

/** An election that cannot be held. The message says why, and what else can be done. */
export class ElectionRefusedError extends Error {
  override readonly name = "ElectionRefusedError";
}

/**
 * What an election would do to the indexes that have lost their last copies in sync with these nodes. Indexes that have lost nothing are
 * left out: their replicas go stale by themselves.
 *
 * @param indexUids all indexes where there are none
 * @throws ElectionRefusedError where a node answers, or is none
 */
export function planElections(
  topology: Topology,
  lost: ReadonlySet<string>,
  indexUids: readonly string[],
): readonly Election[] {
  for (const id of lost) {
    const node = topology.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new ElectionRefusedError(`there is no node ${id}`);
    if (isAway(node)) continue;
    throw new ElectionRefusedError(`node ${id} answers: what it holds is not lost`);
  }
  const answering = new Set(topology.nodes.filter((node) => !isAway(node)).map(({ id }) => id));
  return topology.indexes
    .filter(({ uid }) => indexUids.length === 0 || indexUids.includes(uid))
    .map((index) => planElection(index, lost, answering))
    .filter(({ elected, bare }) => elected.length > 0 || bare.length > 0);
}

function planElection(index: Index, lost: ReadonlySet<string>, answering: ReadonlySet<string>): Election {
  const elected: ElectedShard[] = [];
  const bare: number[] = [];
  for (const { shard, nodeIds } of index.placement) {
    if (nodeIds.some((id) => !lost.has(id) && isMember(replicaOn(index, id)?.state))) continue;
    const behind = nodeIds.filter((id) => answering.has(id) && !lost.has(id));
    if (behind.length === 0) bare.push(shard);
    else elected.push({ shard, electedNodeIds: behind });
  }
  const lostNodeIds = index.replicas.map(({ nodeId }) => nodeId).filter((id) => lost.has(id));
  return { indexUid: index.uid, instance: index.instance, lostNodeIds, elected, bare };
}

/**
 * Holds an election in a draft: the lost replicas are stale, and the elected ones receive writes and are read where there is no other
 * copy, which is what suspect means. The next generation belongs to no living writer, so that a proxy takes the index over: it fences
 * whatever a lost node may still do, and brings the elected replicas under the new name (invariant 7).
 *
 * @param id names the election; unique among all
 */
export function holdElection(
  draft: Topology,
  { instance, elected, lostNodeIds }: Election,
  id: string,
): void {
  const index = draft.indexes.find((candidate) => candidate.instance === instance);
  if (index === undefined) return;
  const chosen = new Set(elected.flatMap(({ electedNodeIds }) => electedNodeIds));
  for (const replica of index.replicas) {
    if (chosen.has(replica.nodeId) && !isMember(replica.state)) replica.state = ReplicaState.SUSPECT;
  }
  markStale(index, new Set(lostNodeIds));
  index.generation += 1n;
  index.writer = create(WriterSchema, { proxyId: "election", session: `election-${id}` });
}
