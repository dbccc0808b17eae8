const digits = 16;

/** How many bytes {@link timeMember} puts in front of the id. */
export const timePrefixLength = 1 + digits;

/**
 * A member of an index that stands in the order of a time, then of an id byte by byte, where all scores are the
 * same: so a page can go on behind a row that is no longer there. `at`: an integer, of milliseconds.
 */
export function timeMember(at: number, id: string): string {
  // Negative times come before others, and among themselves in order.
  const [sign, value] = at < 0 ? ["0", Number.MAX_SAFE_INTEGER + at] : ["1", at];
  return `${sign}${String(value).padStart(digits, "0")}${id}`;
}
