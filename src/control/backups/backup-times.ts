import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatInstant } from "../../tasks/rfc3339.js";

/** A time of the wall clock in RFC 3339. */
export function printMs(ms: number): string {
  return formatInstant(timestampFromMs(ms));
}

/** A time of the topology in RFC 3339; the Unix epoch where it was never set. */
export function printTime(time: Timestamp | undefined): string {
  return formatInstant(time ?? timestampFromMs(0));
}

/** A backup's name, after the moment at which it began, in UTC: as Meilisearch names its dumps. */
export function backupUid(startedAt: number): string {
  const [date = "", time = ""] = printMs(startedAt).slice(0, -1).split("T");
  return `${date.replaceAll("-", "")}-${time.replace(/\D/g, "").padEnd(9, "0")}`;
}
