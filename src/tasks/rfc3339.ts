/** A point in time: seconds since the Unix epoch, and nanoseconds behind them. */
export interface Instant {
  readonly seconds: bigint;
  readonly nanos: number;
}

const SECONDS_PER_DAY = 86_400n;

/** RFC 3339 in UTC, without trailing zeros in the fraction, as Meilisearch prints it. */
export function formatInstant({ seconds, nanos }: Instant): string {
  const secondOfDay = Number(((seconds % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY);
  const { year, month, day } = civilDate(Number((seconds - BigInt(secondOfDay)) / SECONDS_PER_DAY));
  const two = (value: number): string => String(value).padStart(2, "0");
  const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  const time = `${two(Math.floor(secondOfDay / 3_600))}:${two(Math.floor(secondOfDay / 60) % 60)}:${two(secondOfDay % 60)}`;
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}T${time}${fraction}Z`;
}

/**
 * {@link formatInstant} of a moment that a clock has given, which always has a fraction: Meilisearch's clock has nanoseconds, which are as good as
 * never all zero, and some clients cannot read a time without a fraction.
 */
export function formatMoment(moment: Instant): string {
  const text = formatInstant(moment);
  return moment.nanos === 0 ? `${text.slice(0, -1)}.0Z` : text;
}

/**
 * An ISO 8601 duration as Meilisearch prints it, such as `PT1.304531280S`; null where the end lies before the start.
 */
export function formatDuration(start: Instant, end: Instant): string | null {
  const total = (end.seconds - start.seconds) * 1_000_000_000n + BigInt(end.nanos) - BigInt(start.nanos);
  if (total < 0n) return null;
  const nanos = Number(total % 1_000_000_000n);
  const allSeconds = total / 1_000_000_000n;
  const days = allSeconds / SECONDS_PER_DAY;
  const seconds = allSeconds % SECONDS_PER_DAY;
  const date = days === 0n ? "" : `${days}D`;
  if (seconds === 0n && nanos === 0 && days !== 0n) return `P${date}`;
  return `P${date}T${seconds}${fractionOf(nanos)}S`;
}

function fractionOf(nanos: number): string {
  if (nanos === 0) return "";
  const digits = String(nanos).padStart(9, "0");
  if (nanos % 1_000_000 === 0) return `.${digits.slice(0, 3)}`;
  if (nanos % 1_000 === 0) return `.${digits.slice(0, 6)}`;
  return `.${digits}`;
}

const DATE_TIME =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d{2}):(\d{2}))$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;

/**
 * Reads an RFC 3339 date-time, or a date alone, which stands for its midnight in UTC (or, with `dateMeans`
 * `next-day`, the one after it); undefined for any other text.
 */
export function parseInstant(text: string, dateMeans: "that-day" | "next-day"): Instant | undefined {
  const date = DATE.exec(text);
  if (date !== null) {
    const days = dayNumber(date[1], date[2], date[3]);
    if (days === undefined) return undefined;
    return { seconds: BigInt(days + (dateMeans === "next-day" ? 1 : 0)) * SECONDS_PER_DAY, nanos: 0 };
  }
  const match = DATE_TIME.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, , sign, zoneHour, zoneMinute] = match;
  const days = dayNumber(year, month, day);
  const [h, m, s] = [Number(hour), Number(minute), Number(second)];
  const [zh, zm] = [Number(zoneHour ?? 0), Number(zoneMinute ?? 0)];
  if (days === undefined || h > 23 || m > 59 || s > 60 || zh > 23 || zm > 59) return undefined;
  const zone = (zh * 3_600 + zm * 60) * (sign === "-" ? -1 : 1);
  return {
    seconds: BigInt(days) * SECONDS_PER_DAY + BigInt(h * 3_600 + m * 60 + s - zone),
    nanos: Number((fraction ?? "").padEnd(9, "0")),
  };
}

/** Days since 1970-01-01 of a date of the Gregorian calendar; undefined for a date that does not exist. */
function dayNumber(
  yearText: string | undefined,
  monthText: string | undefined,
  dayText: string | undefined,
): number | undefined {
  const [year, month, day] = [Number(yearText), Number(monthText), Number(dayText)];
  // Years begin in March, so that the leap day is the last of its year.
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  const days = era * 146_097 + dayOfEra - 719_468;
  const back = civilDate(days);
  return back.year === year && back.month === month && back.day === day ? days : undefined;
}

function civilDate(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth + (marchMonth < 10 ? 3 : -9);
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}
