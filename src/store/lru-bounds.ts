/**
 * Rows that have ended and that one insertion clears away, so that they never pile up faster than they come.
 * `prelude-lru.lua` has the same number.
 */
export const sweptPerInsertion = 10;

/**
 * Rows that one insertion takes out at most where there are more than the table's limit: one, as a rule; more where
 * the limit was lowered. `prelude-lru.lua` has the same number.
 */
export const maxEvictedPerInsertion = 1_000;
