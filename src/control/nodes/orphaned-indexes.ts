import { type Index, NodeState, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { NEW_GENERATION, parsePhysicalName, physicalName } from "../../placement/physical-name.js";

/** Why a physical index on a node is nobody's. */
export type OrphanReason =
  /** No index of the catalogue has its instance: it was deleted while the node was away, or its creation was broken off. */
  | "unknown instance"
  /** The node is no replica of that index any more. */
  | "no replica"
  /** The node holds the index under its present name, too: a late request of a former writer made this one. */
  | "former name";

/** A physical index that Miroir made and no longer needs. */
export interface OrphanedIndex {
  readonly name: string;
  readonly reason: OrphanReason;
}

/**
 * The physical indexes among `names`, which a node holds, that no index of the catalogue needs. Names that Miroir does not give are left alone. So
 * is all that may be on its way: generation 0, which is being made for a copy; every generation above the recorded one; an index that is
 * being copied; and the only name under which a replica holds the index, however old, since a stale replica is repaired from there.
 *
 * Nothing is, unless the node is known to be this fleet's: of the replicas in sync that it should hold it has at least one, by its present
 * name. A server with another fleet's data, or an older directory, does not have it.
 */
export function orphansOn(
  topology: Topology,
  nodeId: string,
  names: readonly string[],
): readonly OrphanedIndex[] {
  const held = new Set(names);
  if (!isKnown(topology, nodeId, held)) return [];
  const byInstance = new Map(topology.indexes.map((index) => [index.instance, index]));
  return names.flatMap((name) => {
    const physical = parsePhysicalName(name);
    if (physical === undefined) return [];
    const index = byInstance.get(physical.instance);
    if (index === undefined) return [{ name, reason: "unknown instance" as const }];
    const reason = reasonAgainst(index, nodeId, physical.generation, held);
    return reason === undefined ? [] : [{ name, reason }];
  });
}

function isKnown({ nodes, indexes }: Topology, nodeId: string, held: ReadonlySet<string>): boolean {
  const state = nodes.find(({ id }) => id === nodeId)?.state;
  if (state !== NodeState.ACTIVE && state !== NodeState.DRAINING) return false;
  const expected = indexes.filter(({ replicas }) =>
    replicas.some((replica) => replica.nodeId === nodeId && replica.state === ReplicaState.IN_SYNC),
  );
  return (
    expected.length === 0 ||
    expected.some(({ instance, generation }) => held.has(physicalName(instance, generation)))
  );
}

function reasonAgainst(
  index: Index,
  nodeId: string,
  generation: bigint,
  held: ReadonlySet<string>,
): OrphanReason | undefined {
  const mayBecomeOurs = generation === NEW_GENERATION || generation > index.generation;
  if (index.copy !== undefined || mayBecomeOurs) return undefined;
  if (!index.replicas.some((replica) => replica.nodeId === nodeId)) return "no replica";
  return generation < index.generation && held.has(physicalName(index.instance, index.generation))
    ? "former name"
    : undefined;
}
