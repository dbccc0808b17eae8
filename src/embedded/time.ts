let lastNanoseconds = 0n;

/** The present time as Meilisearch prints it (RFC 3339, nanoseconds); strictly growing within a process. */
export function timestamp(): string {
  const milliseconds = performance.timeOrigin + performance.now();
  let now = BigInt(Math.floor(milliseconds * 1000)) * 1000n;
  if (now <= lastNanoseconds) now = lastNanoseconds + 1n;
  lastNanoseconds = now;
  const seconds = new Date(Number(now / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  const fraction = String(now % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return fraction === "" ? `${seconds}Z` : `${seconds}.${fraction}Z`;
}

/** Nanoseconds since the epoch of an RFC 3339 time, so that times of unequal precision compare. */
export function toNanoseconds(time: string): bigint {
  const [whole = "", fraction = ""] = time.replace(/Z$/, "").split(".");
  return BigInt(Date.parse(`${whole}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** The ISO 8601 duration between two times, such as `PT0.003748819S`. */
export function durationBetween(start: string, end: string): string {
  const nanoseconds = toNanoseconds(end) - toNanoseconds(start);
  const fraction = String(nanoseconds % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `PT${nanoseconds / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}S`;
}

/**
 * Parses a date of a task filter or a key: `YYYY-MM-DD` or RFC 3339.
 *
 * @returns nanoseconds since the epoch, or `undefined` where it is neither.
 */
export function parseDate(
  text: string,
): { readonly nanoseconds: bigint; readonly dateOnly: boolean } | undefined {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) {
    const time = Date.parse(`${text}T00:00:00Z`);
    return Number.isNaN(time) ? undefined : { nanoseconds: BigInt(time) * 1_000_000n, dateOnly: true };
  }
  const match =
    /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:\d*)?(Z|z|[+-]\d{2}:\d{2})?$/.exec(text);
  if (match === null) return undefined;
  const [, date, clock, fraction = "", zone = "Z"] = match;
  const time = Date.parse(`${date}T${clock}${zone.toUpperCase()}`);
  if (Number.isNaN(time)) return undefined;
  return { nanoseconds: BigInt(time) * 1_000_000n + BigInt(fraction.padEnd(9, "0")), dateOnly: false };
}
