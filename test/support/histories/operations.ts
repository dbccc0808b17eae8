/** What a process asked of a store. Times of the store are milliseconds; a `value` is what a fenced row holds. */
export type Call =
  | { readonly kind: "acquire"; readonly holder: string; readonly ttlMs: number }
  | { readonly kind: "renew"; readonly holder: string; readonly term: number; readonly ttlMs: number }
  | { readonly kind: "release"; readonly holder: string; readonly term: number }
  | { readonly kind: "write"; readonly holder: string; readonly term: number; readonly value: string }
  | { readonly kind: "read" }
  | { readonly kind: "enqueue"; readonly holder: string; readonly term: number; readonly id: string }
  | { readonly kind: "claim"; readonly holder: string; readonly ttlMs: number }
  | {
      readonly kind: "heartbeat";
      readonly holder: string;
      readonly id: string;
      readonly attempt: number;
      readonly ttlMs: number;
    }
  | {
      readonly kind: "complete" | "fail" | "give back";
      readonly holder: string;
      readonly id: string;
      readonly attempt: number;
    };

/** What the store answered. `unknown`: there was no answer, and it may or may not have done it. */
export type Result =
  | { readonly kind: "lease"; readonly term: number; readonly expiresAt: number }
  | {
      readonly kind: "job";
      readonly id: string;
      readonly attempt: number;
      /** When the store did it, by its own clock. */
      readonly at: number;
      readonly runAfter: number;
    }
  | { readonly kind: "value"; readonly value: string }
  | { readonly kind: "done" }
  | { readonly kind: "refused" }
  | { readonly kind: "fenced" }
  | { readonly kind: "unknown" };

/** One call in the history of a run. `start` and `end` are of one clock for all processes. */
export interface Operation {
  /** Which process called. */
  readonly process: string;
  readonly call: Call;
  /** Before the call was made. */
  readonly start: number;
  /** After it was answered; Infinity where it never was. */
  readonly end: number;
  readonly result: Result;
}

/** For messages. */
export function describeOperation({ process, call, start, end, result }: Operation): string {
  return `${process} [${start}, ${end}] ${JSON.stringify(call)} -> ${JSON.stringify(result)}`;
}
