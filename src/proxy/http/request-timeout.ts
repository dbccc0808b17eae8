import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../../runtime/world.js";
import { setDeadline } from "../read/deadlines.js";
import { apiError } from "./api-errors.js";

const HEADER = "x-miroir-timeout-ms";

/** An hour. */
const MAX_MS = 3_600_000;

/**
 * Bounds what a request reads by the time that its client gives it in `X-Miroir-Timeout-Ms`; by nothing without the header.
 *
 * @throws MeilisearchError 400 for a header that is no number of milliseconds
 */
export function boundByClient(headers: IncomingHttpHeaders, signal: AbortSignal, clock: Clock): void {
  const value = headers[HEADER];
  if (value === undefined) return;
  const text = String(value).trim();
  const ms = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (ms < 1 || ms > MAX_MS) {
    throw apiError(
      400,
      "bad_request",
      `Invalid value in header \`X-Miroir-Timeout-Ms\`: expected milliseconds from 1 to ${MAX_MS}, but found \`${text}\`.`,
    );
  }
  setDeadline(signal, clock.monotonic() + ms);
}
