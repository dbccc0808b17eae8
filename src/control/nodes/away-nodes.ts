import { type Node, NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";

/** Whether a node does not answer, whatever it is to become: one that joins or drains keeps that state while it is away. */
export function isAway({ state, unreachableSince }: Node): boolean {
  return state === NodeState.UNREACHABLE || unreachableSince !== undefined;
}

/** Ids of the nodes that do not answer. */
export function awayNodes({ nodes }: Topology): ReadonlySet<string> {
  return new Set(nodes.filter(isAway).map(({ id }) => id));
}
