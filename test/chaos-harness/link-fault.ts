/** What a network link can suffer. */
export type LinkFault =
  /** Everything comes late, in order. */
  | { readonly kind: "delay"; readonly delayMs: number }
  /** Open connections break and new ones are broken at once. */
  | { readonly kind: "drop" }
  /** Nothing passes in one direction; connections stay open. */
  | { readonly kind: "cut"; readonly direction: LinkDirection }
  /** Nothing passes in either direction, not even the end of a connection. */
  | { readonly kind: "half-open" }
  /** A link of few bytes. */
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  /** Every n-th reply breaks its connection before its first byte passes: the request was executed, and nobody is told. */
  | { readonly kind: "reset"; readonly every: number };

/** From whoever connected to whoever listens, or back. */
export type LinkDirection = "request" | "reply";
