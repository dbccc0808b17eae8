import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonSyntaxError } from "../../../src/json/scan.js";
import { validateJson, validateValue } from "../../../src/json/validate.js";
import { jsonText } from "./arbitraries.js";

const bytesOf = (text: string) => Buffer.from(text, "latin1");

describe("validateJson", () => {
  it("accepts whatever JSON.stringify prints", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => validateJson(Buffer.from(JSON.stringify(value)))));
  });

  it("accepts hostile but valid texts", () => {
    fc.assert(fc.property(jsonText, (text) => validateJson(Buffer.from(` ${text}\n`))));
  });

  it("refuses every mutated text that JSON.parse refuses", () => {
    const mutation = fc.constantFrom(
      "",
      ",",
      "]",
      "}",
      "{",
      '"',
      "\\",
      "0",
      "-",
      ".",
      "e",
      "\u0001",
      "x",
      ":",
      "nul",
    );
    fc.assert(
      fc.property(
        jsonText,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(3),
        mutation,
        (text, where, cut, insert) => {
          const at = Math.floor(where * text.length);
          const mutated = text.slice(0, at) + insert + text.slice(at + cut);
          if (parses(mutated)) return;
          expect(() => validateJson(Buffer.from(mutated))).toThrow(JsonSyntaxError);
        },
      ),
      { numRuns: 500 },
    );
  });

  // Every message was printed by serde_json 1.0.150 reading a `Value`.
  it.each([
    ["", "EOF while parsing a value at line 1 column 0"],
    [" \n ", "EOF while parsing a value at line 2 column 1"],
    ["{", "EOF while parsing an object at line 1 column 1"],
    ['{"a"', "EOF while parsing an object at line 1 column 4"],
    ['{"a":', "EOF while parsing a value at line 1 column 5"],
    ['{"a":1', "EOF while parsing an object at line 1 column 6"],
    ['{"a":1,', "EOF while parsing a value at line 1 column 7"],
    ['{"a":1,}', "trailing comma at line 1 column 8"],
    ['{"a":1 "b":2}', "expected `,` or `}` at line 1 column 8"],
    ['{"a" 1}', "expected `:` at line 1 column 6"],
    ["{a:1}", "key must be a string at line 1 column 2"],
    ['{"a":1,2:3}', "key must be a string at line 1 column 8"],
    ["[", "EOF while parsing a list at line 1 column 1"],
    ["[1", "EOF while parsing a list at line 1 column 2"],
    ["[1,", "EOF while parsing a value at line 1 column 3"],
    ["[1,]", "trailing comma at line 1 column 4"],
    ["[1 2]", "expected `,` or `]` at line 1 column 4"],
    ["[1\n2]", "expected `,` or `]` at line 2 column 1"],
    ["[1\n,\nx]", "expected value at line 3 column 1"],
    ["1 x", "trailing characters at line 1 column 3"],
    ["tru", "EOF while parsing a value at line 1 column 3"],
    ["trux", "expected ident at line 1 column 4"],
    ["01", "invalid number at line 1 column 2"],
    ["-", "EOF while parsing a value at line 1 column 1"],
    ["-x", "invalid number at line 1 column 2"],
    ["1.", "EOF while parsing a value at line 1 column 2"],
    ["1.x", "invalid number at line 1 column 3"],
    ["1e+", "EOF while parsing a value at line 1 column 3"],
    ["1e999", "number out of range at line 1 column 5"],
    ["[1e99999999999]", "number out of range at line 1 column 13"],
    ['"a', "EOF while parsing a string at line 1 column 2"],
    ['"a\nb"', "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0"],
    ['"\\x"', "invalid escape at line 1 column 3"],
    ['"\\u12g4"', "invalid escape at line 1 column 7"],
    ['"\\u12', "EOF while parsing a string at line 1 column 5"],
    ['"\\udc00"', "lone leading surrogate in hex escape at line 1 column 7"],
    ['"\\ud800"', "unexpected end of hex escape at line 1 column 8"],
    ['"\\ud800\\n"', "unexpected end of hex escape at line 1 column 9"],
    ['"\\ud800\\u0041"', "lone leading surrogate in hex escape at line 1 column 13"],
    ['"\xff"', "invalid unicode code point at line 1 column 3"],
    ['{"a":"\xc3","b":1}', "invalid unicode code point at line 1 column 8"],
    ["\xef\xbb\xbf1", "expected value at line 1 column 1"],
  ])("says of %j what serde_json says", (text, message) => {
    expect(() => validateJson(bytesOf(text))).toThrow(message);
    expect(messageOf(() => validateJson(bytesOf(text)))).toBe(message);
  });

  it("stops at serde_json's recursion limit", () => {
    validateJson(Buffer.from("[".repeat(127) + "]".repeat(127)));
    expect(messageOf(() => validateJson(Buffer.from("[".repeat(128) + "]".repeat(128))))).toBe(
      "recursion limit exceeded at line 1 column 128",
    );
  });

  it("accepts numbers at the edge of what a double holds", () => {
    for (const number of [
      "0e999",
      "1e-999",
      "1.7976931348623157e308",
      "0e99999999999",
      "1e-99999999999",
      "9".repeat(308),
    ]) {
      validateJson(Buffer.from(number));
    }
    expect(() => validateJson(Buffer.from("9".repeat(310)))).toThrow("number out of range");
  });
});

describe("validateValue", () => {
  it("says where the value ends and leaves the rest alone", () => {
    expect(validateValue(Buffer.from(' {"a":[1]} garbage'), 0)).toBe(10);
  });

  // Every message was printed by Meilisearch for a document of an array, less what stands before it.
  it.each([
    ['{"id":1,}', "key must be a string at line 1 column 9"],
    ['{"a":[1,]}', "expected value at line 1 column 9"],
    ['{"id":1,', "EOF while parsing an object at line 1 column 8"],
    ['{"id":-', "invalid number at line 1 column 7"],
    ['{"id":"a\n"}', "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 8"],
    ['{"id":1,"a":"\xff","b":2}', "invalid unicode code point at line 1 column 22"],
  ])("words %j as a reader of raw values does", (text, message) => {
    expect(messageOf(() => validateValue(bytesOf(text), 0, "raw"))).toBe(message);
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof JsonSyntaxError ? error.message : String(error);
  }
  return "accepted";
}
