/** Why a change of a copy was refused. */
export type CopyRefusalReason =
  /** There is no such index, or its copy is another one or gone. */
  | "not_found"
  /** The copy is not at the step from which the change leads. Look at it again. */
  | "step"
  /** The index has a copy under way. */
  | "busy"
  /** The request contradicts itself or the placement. */
  | "invalid"
  /** A target cannot take a copy at present. */
  | "target"
  /** A shard would be left without a serving copy in sync. */
  | "last_copy";

/** A copy cannot be started, or cannot take a step; nothing has changed. */
export class CopyRefusedError extends Error {
  override readonly name = "CopyRefusedError";
  readonly reason: CopyRefusalReason;

  constructor(reason: CopyRefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
