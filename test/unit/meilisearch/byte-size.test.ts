import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBytes, printBytes } from "../../../src/meilisearch/byte-size.js";

describe("sizes for people", () => {
  it.each([
    [0, "0 B"],
    [1_023, "1023 B"],
    [1_024, "1 KiB"],
    [45_056, "44 KiB"],
    [1_500, "1.46 KiB"],
    [3 * 1_024 ** 3, "3 GiB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(printBytes(bytes)).toBe(text);
  });

  it("are read again to within half a hundredth of their unit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => {
        const again = parseBytes(printBytes(bytes)) ?? Number.NaN;
        expect(Math.abs(again - bytes)).toBeLessThanOrEqual(Math.max(bytes * 0.005, 1));
      }),
    );
    for (const text of ["", "1", "KiB", "1 kB", "x KiB", "-1 KiB"]) expect(parseBytes(text)).toBeUndefined();
  });
});
