import type { Topology } from "../../src/gen/miroir/v1/topology_pb.js";

/** What changed between two topologies. */
export interface Moved {
  /** Shard replicas that are new where they are. */
  readonly moved: number;
  /** Those of them that came from a node that stays to a node that was there before. */
  readonly betweenStaying: number;
}

/** Compares the placements of two topologies. `changed` are the nodes that joined or left. */
export function movedReplicas(before: Topology, after: Topology, changed: ReadonlySet<string>): Moved {
  let moved = 0;
  let betweenStaying = 0;
  for (const index of after.indexes) {
    const former = before.indexes.find(({ instance }) => instance === index.instance);
    for (const { nodeIds, shard } of index.placement) {
      const held = former?.placement[shard]?.nodeIds ?? [];
      const added = nodeIds.filter((id) => !held.includes(id));
      const gone = held.filter((id) => !nodeIds.includes(id));
      moved += added.length;
      const addedElsewhere = added.filter((id) => !changed.has(id)).length;
      const goneElsewhere = gone.filter((id) => !changed.has(id)).length;
      betweenStaying += Math.min(addedElsewhere, goneElsewhere);
    }
  }
  return { moved, betweenStaying };
}
