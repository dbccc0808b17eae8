/** What came of compacting a store. Sizes in bytes. */
export type StoreCompaction =
  | { readonly kind: "compacted"; readonly bytesBefore: number; readonly bytesAfter: number }
  /** Nothing was done: it would have taken too long beside the work. */
  | { readonly kind: "too-large"; readonly bytes: number };
