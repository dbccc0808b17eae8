import type { Step } from "../side-by-side.js";

/** Wrong requests of one kind, and what is to be there before they are sent. */
export interface WrongRequests {
  readonly category: string;
  /** The least number of requests in this category. */
  readonly quota: number;
  readonly prepare: readonly Step[];
  /** Each is refused by a Meilisearch, or its task fails. They run one after the other where {@link alone} says so. */
  readonly requests: readonly Step[];
  /** Waits for the task of each request before the next one is sent. */
  readonly alone?: boolean;
}

/** The text of an array in an array and so on, `depth` levels deep. */
export function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}
