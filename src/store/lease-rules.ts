import { StoreCorruptError } from "./errors.js";
import { checkInteger, checkName } from "./limits.js";
import type { LeaseTable } from "./tables/lease.js";

const maxLeaseTtlMs = 24 * 60 * 60 * 1_000;

/** Refuses a request for a lease that no backend takes; returns it with its defaults. */
export function checkLeaseRequest(
  request: Parameters<LeaseTable["acquire"]>[0],
): Required<Parameters<LeaseTable["acquire"]>[0]> {
  const { scope, holder, ttlMs, aboveTerm = 0 } = request;
  checkName(holder, "A lease's holder");
  checkLeaseTtl(ttlMs);
  checkInteger(aboveTerm, 0, Number.MAX_SAFE_INTEGER - 1, "The term to go above");
  return { scope, holder, ttlMs, aboveTerm };
}

/** Refuses durations of a lease that are not whole milliseconds from 1 to a day's. */
export function checkLeaseTtl(ttlMs: number): void {
  checkInteger(ttlMs, 1, maxLeaseTtlMs, "A lease's duration in milliseconds");
}

/** No number above the lease's last one is exact, so that none can be given without giving one twice. */
export function leaseExhausted(scope: string): StoreCorruptError {
  return new StoreCorruptError(
    `lease "${scope}" stands at number ${Number.MAX_SAFE_INTEGER}, above which there is none`,
  );
}
