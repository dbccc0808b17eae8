import { type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { planCoverage } from "../../placement/coverage.js";
import { physicalName } from "../../placement/physical-name.js";
import { codedShards } from "../copy/shard-codes.js";

/** What one node is asked for: some shards of an index, each of which no other part has. */
export interface DocumentPart {
  readonly nodeId: string;
  /** Name of the index on the node. */
  readonly physicalName: string;
  /** Those whose codes its documents bear. */
  readonly shards: readonly number[];
}

/**
 * Nodes that together hold every document of an index once: in-sync replicas, and suspect ones for shards without any.
 *
 * @param avoided nodes that are asked only where no other node holds the shard
 * @returns undefined where some shard has no replica that may be read
 */
export function documentParts(
  index: Index,
  avoided: ReadonlySet<string>,
): readonly DocumentPart[] | undefined {
  const states = new Map(index.replicas.map(({ nodeId, state }) => [nodeId, state]));
  const candidates = new Map(
    index.placement.map(({ shard, nodeIds }) => {
      const inState = (wanted: ReplicaState): readonly string[] =>
        nodeIds.filter((nodeId) => states.get(nodeId) === wanted);
      const inSync = inState(ReplicaState.IN_SYNC);
      return [shard, inSync.length > 0 ? inSync : inState(ReplicaState.SUSPECT)];
    }),
  );
  const { picks, uncovered } = planCoverage(candidates, (nodeId) => (avoided.has(nodeId) ? 0 : 1));
  if (uncovered.length > 0) return undefined;
  const name = physicalName(index.instance, index.generation);
  return picks.map(({ node, shards }) => ({
    nodeId: node,
    physicalName: name,
    shards: codedShards(index, shards),
  }));
}

/** Tells whether what {@link documentParts} gave for an index still holds: it changes with the generation and with the replicas' states. */
export function partsFingerprint({ generation, replicas, placement }: Index): string {
  const states = replicas.map(({ nodeId, state }) => `${nodeId}=${state}`);
  return `${generation} ${states.join()} ${placement.map(({ nodeIds }) => nodeIds.join("+")).join()}`;
}
