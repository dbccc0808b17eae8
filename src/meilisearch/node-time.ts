/** Milliseconds since the Unix epoch of a time as nodes print it (RFC 3339, UTC); null for none. */
export function nodeTimeMs(text: string | null): number | null {
  if (text === null) return null;
  const value = Date.parse(text);
  return Number.isNaN(value) ? null : value;
}

/** The later of two times as nodes print them; both are UTC, and may differ in their number of decimals. */
export function laterNodeTime(a: string | undefined, b: string | null): string | undefined {
  if (b === null) return a;
  if (a === undefined) return b;
  return comparable(a) < comparable(b) ? b : a;
}

/**
 * A time before `text` such that everything that a node finishes after it was asked about `text` is later:
 * `text` itself with a node that counts finer than milliseconds, else some milliseconds before it.
 */
export function safeWatermark(text: string): string {
  if (decimals(text).length > 3) return text;
  const value = Date.parse(text);
  return Number.isNaN(value) ? text : new Date(value - 5).toISOString();
}

function comparable(text: string): string {
  const [seconds = ""] = text.replace(/Z$/, "").split(".");
  return `${seconds}.${decimals(text).padEnd(9, "0")}`;
}

function decimals(text: string): string {
  return text.replace(/Z$/, "").split(".")[1] ?? "";
}
