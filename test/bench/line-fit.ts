/** A measured value at a moment. */
export interface Point {
  readonly at: number;
  readonly value: number;
}

/** By how much the value rises while `at` rises by one: the slope of the least squares line; NaN where there are not two moments. */
export function slopeOf(points: readonly Point[]): number {
  const count = points.length;
  const meanAt = points.reduce((sum, { at }) => sum + at, 0) / count;
  const meanValue = points.reduce((sum, { value }) => sum + value, 0) / count;
  let [products, squares] = [0, 0];
  for (const { at, value } of points) {
    products += (at - meanAt) * (value - meanValue);
    squares += (at - meanAt) ** 2;
  }
  return products / squares;
}
