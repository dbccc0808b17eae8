/** Why a node could not be started or did not answer. */
export type NodeLaunchErrorCode =
  | "binary_not_found"
  | "port_busy"
  | "exited_early"
  | "not_ready"
  | "not_running";

/**
 * A failed start, restart or stop of a node process. The message says what failed and what to do next;
 * `logTail` holds the last lines that the process wrote, where there were any.
 */
export class NodeLaunchError extends Error {
  override readonly name = "NodeLaunchError";
  readonly code: NodeLaunchErrorCode;
  /** The last lines of the process's log; empty where it wrote none. */
  readonly logTail: readonly string[];

  constructor(
    code: NodeLaunchErrorCode,
    message: string,
    options: { logTail?: readonly string[]; cause?: unknown } = {},
  ) {
    const tail = options.logTail ?? [];
    super(tail.length === 0 ? message : `${message}\n${tail.map((line) => `  | ${line}`).join("\n")}`, {
      cause: options.cause,
    });
    this.code = code;
    this.logTail = tail;
  }
}
