/** Distinguishes {@link NodeSetupError}s where `instanceof` is not at hand. */
export type NodeSetupErrorCode =
  | "unreachable"
  | "foreign_key"
  | "same_server"
  | "version"
  | "other_node"
  | "refused"
  | "other_cluster"
  | "not_empty";

/** A configured node cannot be used as it is. The message says which one, why, and what to do. */
export class NodeSetupError extends Error {
  override readonly name = "NodeSetupError";
  readonly code: NodeSetupErrorCode;
  readonly nodeId: string;

  constructor(code: NodeSetupErrorCode, nodeId: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.nodeId = nodeId;
  }
}
