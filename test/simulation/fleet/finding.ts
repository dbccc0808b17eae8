import type { ViolationKind } from "../../chaos-harness/checker/violation.js";

/** What a run shows that must not be: what clients could see, and what only the simulation sees. */
export interface Finding {
  readonly kind: ViolationKind | "last-copy-gone" | "stale-name" | "stalled-copy" | "stuck" | "crashed";
  readonly detail: string;
}
