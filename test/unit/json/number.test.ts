import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readNumber } from "../../../src/json/number.js";

const written = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.maxSafeInteger().map(String),
  fc.bigInt().map(String),
  fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** 20n }), fc.stringMatching(/^\d{1,30}$/))
    .map(([whole, decimals]) => `${whole}.${decimals}`),
  fc.constantFrom(
    "0",
    "-0",
    "-0.0",
    "0.1",
    "9007199254740993",
    "9007199254740992.5",
    "1e3",
    "1.5E-7",
    "1e400",
  ),
);

describe("readNumber", () => {
  it("reads what Number reads, to the last bit", () => {
    fc.assert(
      fc.property(written, fc.string(), (text, before) => {
        const start = Buffer.byteLength(before);
        const bytes = Buffer.from(`${before}${text},7`);
        expect(readNumber(bytes, start, start + text.length)).toBe(Number(text));
      }),
      { numRuns: 2_000 },
    );
  });
});
