import type { Hello, Index, Topology } from "../gen/miroir/v1/topology_pb.js";

/** Versions of the protocol between control plane, its store and proxies: every one from `min` to `max`. */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/**
 * What this program speaks.
 *
 * - 1: every replica of a shard that the topology names serves it.
 * - 2: a shard has replicas that join, leave or are left over, and an index a copy under way.
 *
 * Whoever adds something to the topology that an older program would misread (a state of replicas, a step of a copy) takes the next number,
 * and has {@link requiredProtocol} ask for it where a topology holds it.
 */
export const PROTOCOL: ProtocolRange = { min: 1, max: 2 };

/** The least version that understands what a topology holds. */
export function requiredProtocol({ indexes }: Pick<Topology, "indexes">): number {
  return indexes.some(isBeingCopied) ? 2 : 1;
}

/** Whether frozen indexes, which never change, are being copied. */
const judged = new WeakMap<Index, boolean>();

function isBeingCopied(index: Index): boolean {
  const known = judged.get(index);
  if (known !== undefined) return known;
  const result = hasCopyOrRoles(index);
  if (Object.isFrozen(index)) judged.set(index, result);
  return result;
}

function hasCopyOrRoles({ copy, placement }: Index): boolean {
  return (
    copy !== undefined ||
    placement.some(
      ({ joiningNodeIds, leavingNodeIds, leftoverNodeIds }) =>
        joiningNodeIds.length + leavingNodeIds.length + leftoverNodeIds.length > 0,
    )
  );
}

/** What a topology says that it takes to understand it. */
export function minProtocolOf({ minProtocol }: Pick<Topology, "minProtocol">): number {
  return Math.max(1, minProtocol);
}

/** The versions that a proxy says it speaks; one that says nothing is of version 1. */
export function protocolOf({
  protocolMin,
  protocolMax,
}: Pick<Hello, "protocolMin" | "protocolMax">): ProtocolRange {
  return { min: Math.max(1, protocolMin), max: Math.max(1, protocolMax) };
}

/** What two sides make of their versions. */
export type Negotiation =
  | { readonly kind: "agreed"; readonly protocol: number }
  /** One side speaks at most `spoken`, which is less than the `required` of the other, or of the topology. */
  | {
      readonly kind: "mismatch";
      readonly behind: "server" | "client";
      readonly spoken: number;
      readonly required: number;
    };

/** The newest version that both speak, where it is one that understands the topology. */
export function negotiate(server: ProtocolRange, client: ProtocolRange, topology: number): Negotiation {
  const required = Math.max(server.min, topology);
  if (client.max < required) return { kind: "mismatch", behind: "client", spoken: client.max, required };
  if (server.max < client.min) {
    return { kind: "mismatch", behind: "server", spoken: server.max, required: client.min };
  }
  return { kind: "agreed", protocol: Math.min(server.max, client.max) };
}
