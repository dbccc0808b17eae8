import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBase64Url } from "../../../../src/proxy/auth/base64-url.js";

describe("base64 of the alphabet for URLs", () => {
  it("gives back what was encoded", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const buffer = Buffer.from(bytes);
        expect(decodeBase64Url(buffer.toString("base64url"))).toEqual(buffer);
      }),
    );
  });

  it.each([
    ["a.b", "Invalid symbol 46, offset 1."],
    ["ab+d", "Invalid symbol 43, offset 2."],
    ["é", "Invalid symbol 195, offset 0."],
    ["a", "Invalid input length: 1"],
    ["abcde", "Invalid input length: 5"],
    ["YQ==", "Invalid padding"],
    ["YWI=", "Invalid padding"],
    ["Y===", "Invalid symbol 61, offset 1."],
    ["YQ=a", "Invalid symbol 61, offset 2."],
    ["YR", "Invalid last symbol 82, offset 1."],
    ["YWJ", "Invalid last symbol 74, offset 2."],
  ])("refuses %s as Meilisearch's decoder does", (text, message) => {
    expect(() => decodeBase64Url(text)).toThrow(message);
  });
});
