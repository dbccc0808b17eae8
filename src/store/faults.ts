/**
 * A moment of a call at which a crash matters. `before-begin`: nothing was done. `between-statements`: inside a
 * transaction, before each of its statements. `before-commit`, `after-commit`: around the moment from which it is
 * stored. `before-send`, `after-send`, `after-reply`: around a command to a server.
 */
export type FaultPoint =
  | "before-begin"
  | "between-statements"
  | "before-commit"
  | "after-commit"
  | "before-send"
  | "after-send"
  | "after-reply";

/** Told of every such moment, so that a test can end the process or cut a connection right there. */
export interface StoreFaults {
  at(point: FaultPoint, operation: string): void;
}
