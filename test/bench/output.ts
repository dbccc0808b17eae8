import { cpus } from "node:os";
import type { Spread } from "./quantiles.js";

/** A number as tables print it. */
export function format(value: number): string {
  if (Number.isNaN(value)) return "–";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A figure over repeats as tables print it. */
export function printSpread(spread: Spread | null): string {
  return spread === null ? "–" : `${format(spread.median)} (${format(spread.low)}–${format(spread.high)})`;
}

/** Where figures were taken; they mean nothing without it. */
export function machine(): { readonly cores: number; readonly model: string; readonly node: string } {
  const [first] = cpus();
  return { cores: cpus().length, model: first?.model ?? "unknown", node: process.version };
}

/** Says how far a benchmark is, where nobody reads it by program. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Reads one number of a repeated option; `defaults` is what the option held before the first. */
export function numbers(
  defaults: readonly number[],
): (text: string, previous: readonly number[]) => number[] {
  return (text, previous) => [...(previous === defaults ? [] : previous), Number(text)];
}

/** Significant digits of figures in JSON: more would be noise. */
const DIGITS = 5;

/** Prints a report for people, or as one JSON document. */
export function printReport<T>(report: T, asJson: boolean | undefined, printed: (report: T) => string): void {
  const rounded = (_name: string, value: unknown): unknown =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
  console.log(asJson === true ? JSON.stringify(report, rounded, 2) : printed(report));
}
