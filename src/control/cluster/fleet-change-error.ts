/** Why a change of the fleet cannot be made as it was asked for. */
export type FleetChangeRefusedReason =
  /** Another change is being carried out. */
  | "busy"
  /** A group would be left without a node. */
  | "last_node"
  /** The fleet would be left without a group. */
  | "last_group"
  /** Shards would lose their only copy in sync, or have none to copy from. */
  | "last_copy"
  /** A group would have fewer nodes than replicas of a shard. */
  | "too_few_nodes"
  /** The server is in the fleet already. */
  | "already_there"
  /** The node still holds replicas. */
  | "not_drained"
  /** There is no such node, group or index. */
  | "not_found"
  /** The request contradicts itself or leaves something out. */
  | "invalid";

/** A change of the fleet was refused; nothing has changed. The message says why, and what to do instead. */
export class FleetChangeRefusedError extends Error {
  override readonly name = "FleetChangeRefusedError";
  readonly reason: FleetChangeRefusedReason;

  constructor(reason: FleetChangeRefusedReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The refusal of a change while another workflow is being carried out. */
export function busyWith({
  id,
  title,
}: {
  readonly id: string;
  readonly title: string;
}): FleetChangeRefusedError {
  return new FleetChangeRefusedError(
    "busy",
    `workflow ${id} (${title}) is being carried out; wait for its end, or cancel it`,
  );
}
