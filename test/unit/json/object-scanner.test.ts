import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { objectMembers } from "../../../src/json/members.js";
import { ObjectScanner } from "../../../src/json/object-scanner.js";
import { validateValue } from "../../../src/json/validate.js";
import { objectText } from "./arbitraries.js";

/** What the careful way makes of the text at `start`; undefined where it refuses it. */
function judged(bytes: Buffer, start: number): { end: number; members: unknown } | undefined {
  try {
    const end = validateValue(bytes, start, "raw");
    return { end, members: objectMembers(bytes.subarray(start, end)) };
  } catch {
    return undefined;
  }
}

/** The bytes at an address that is `shift` behind a multiple of four. */
function shifted(bytes: Buffer, shift: number): Buffer {
  const space = Buffer.alloc(bytes.length + 8);
  const start = (-space.byteOffset & 3) + shift;
  bytes.copy(space, start);
  return space.subarray(start, start + bytes.length);
}

describe("ObjectScanner", () => {
  it("agrees with validation on every object, wherever in memory and in the chunk it lies", () => {
    const inFront = fc.constantFrom("", " ", '{"a":1}\n', "x".repeat(37));
    fc.assert(
      fc.property(inFront, objectText, fc.nat(3), (before, text, shift) => {
        const bytes = shifted(Buffer.from(`${before}${text}]}"`), shift);
        expect(new ObjectScanner(bytes).scan(before.length)).toEqual(judged(bytes, before.length));
      }),
      { numRuns: 500 },
    );
  });

  it("takes no text that validation refuses", () => {
    const broken = fc.constantFrom(0x00, 0x1f, 0x20, 0x22, 0x2c, 0x5c, 0x5d, 0x7b, 0x7d, 0x80, 0xc3, 0xff);
    const long = fc.integer({ min: 0, max: 80 }).map((length) => `{"text":"${"é~ !#[".repeat(length)}"}`);
    fc.assert(
      fc.property(
        fc.oneof(objectText, long),
        fc.double({ min: 0, max: 1, noNaN: true }),
        broken,
        fc.nat(3),
        (text, where, byte, shift) => {
          const bytes = shifted(Buffer.from(text), shift);
          bytes[Math.min(Math.floor(where * bytes.length), bytes.length - 1)] = byte;
          if (bytes[0] !== 0x7b) return;
          const scanned = new ObjectScanner(bytes).scan(0);
          expect(scanned).toEqual(judged(bytes, 0));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("ends wherever the chunk is cut, also behind a quote that opens a string", () => {
    const text = Buffer.from('{"id":1,"tags":["a","b","","c"]}');
    for (let shift = 0; shift < 4; shift++) {
      for (let end = 1; end < text.length; end++) {
        expect(new ObjectScanner(shifted(text.subarray(0, end), shift)).scan(0)).toBeUndefined();
      }
    }
  });

  it("leaves objects that end behind the chunk, or nest too deep, to others", () => {
    const text = Buffer.from('{"id":12,"a":[true,{"b":"c\\n"}],"d":null}');
    for (let length = 1; length < text.length; length++) {
      expect(new ObjectScanner(text.subarray(0, length)).scan(0)).toBeUndefined();
    }
    const deep = Buffer.from(`{"a":${"[".repeat(100)}${"]".repeat(100)}}`);
    expect(new ObjectScanner(deep).scan(0)).toBeUndefined();
  });
});
