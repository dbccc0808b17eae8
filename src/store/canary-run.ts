import { ConflictError, InvalidArgumentError } from "./errors.js";
import type { CanaryId } from "./ids.js";
import { checkInteger, checkText } from "./limits.js";
import { checkName } from "./row-format.js";
import { type CanaryRunRow, type CanaryRunStatus, canaryRunStatuses } from "./tables/canaries.js";

/** Refuses a run that a backend could not give back as it is. */
export function checkCanaryRun(row: CanaryRunRow): void {
  checkName(row.canaryId, "A canary's id");
  const what = `Run of canary ${row.canaryId}`;
  checkRunTime(row.ranAt, `${what}: ranAt`);
  if (findCanaryRunStatus(row.status) === undefined) {
    throw new InvalidArgumentError(
      `${what}: status is one of ${canaryRunStatuses.join(", ")}, not "${row.status}".`,
    );
  }
  checkInteger(row.latencyMs, 0, Number.MAX_SAFE_INTEGER, `${what}: latencyMs`);
  checkText(row.failedAssertionsJson, `${what}: failed assertions`);
}

/** Refuses what is not whole milliseconds since the Unix epoch, or before it. */
export function checkRunTime(value: number, what: string): void {
  checkInteger(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, what);
}

/** The status of that name; undefined for none. */
export function findCanaryRunStatus(text: string): CanaryRunStatus | undefined {
  return canaryRunStatuses.find((status) => status === text);
}

/** The refusal of a run whose canary is not recorded. */
export function unknownCanary(id: CanaryId): ConflictError {
  return new ConflictError(`There is no canary "${id}"; its run was not recorded. Store the canary first.`);
}
