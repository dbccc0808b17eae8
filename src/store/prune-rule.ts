import { checkedLimit, checkInteger, checkTime } from "./limits.js";

/** What history may go: see `Retention`. */
export interface PruneRule {
  readonly finishedBefore?: number;
  readonly keepFinished?: number;
  readonly limit?: number;
}

/** Refuses a rule that makes no sense; returns how many rows it takes at most. */
export function checkPruneRule({ finishedBefore, keepFinished, limit }: PruneRule): number {
  checkTime(finishedBefore, "finishedBefore");
  if (keepFinished !== undefined) checkInteger(keepFinished, 0, Number.MAX_SAFE_INTEGER, "keepFinished");
  return checkedLimit(limit, 1_000);
}
