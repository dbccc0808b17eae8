/** What a history shows that must not be. */
export type ViolationKind =
  | "lost"
  | "resurrected"
  | "stale"
  | "phantom"
  | "no-legal-order"
  | "undecided"
  | "malformed"
  | "duplicate-hit"
  | "wrong-hit"
  | "task-failed"
  | "task-unfinished"
  | "divergent-replicas"
  | "verify-failed"
  | "epoch-went-back"
  | "two-leaders"
  | "unexpected-answer"
  | "process-died"
  | "not-quiet"
  | "vacuous";

/** One breach, told so that it can be looked up in the history. */
export interface Violation {
  readonly kind: ViolationKind;
  readonly detail: string;
}
