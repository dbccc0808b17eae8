/** The value below which `fraction` of the ascending `values` lie; NaN where there are none. */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * fraction))] ?? Number.NaN;
}

/** The middle one of `values`. */
export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((left, right) => left - right),
    0.5,
  );
}

/** A figure over repeats: its median and how far the repeats lay apart. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Sums up one figure's repeats. */
export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) };
}
