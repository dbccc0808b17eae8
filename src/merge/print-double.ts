/** A double as serde_json prints it: `1.0`, `0.25`, `1e-7`, `1e16`. Takes finite numbers. */
export function printDouble(value: number): string {
  const size = Math.abs(value);
  if (value !== 0 && (size >= 1e16 || size < 1e-5)) return value.toExponential().replace("e+", "e");
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
