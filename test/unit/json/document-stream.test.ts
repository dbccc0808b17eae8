import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createDocumentSplitter,
  type DocumentFormat,
  DocumentNotObjectError,
  DocumentTooLargeError,
} from "../../../src/json/document-stream.js";
import { objectMembers } from "../../../src/json/members.js";
import { cutAt, objectText } from "./arbitraries.js";

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

function split(format: DocumentFormat, chunks: readonly Buffer[], maxDocumentBytes = 1_000_000): string[] {
  const splitter = createDocumentSplitter({ format, maxDocumentBytes });
  const documents = chunks.flatMap((chunk) => splitter.push(chunk));
  splitter.end();
  for (const { bytes, members } of documents) expect(members).toEqual(objectMembers(bytes));
  return documents.map(({ bytes }) => bytes.toString());
}

function outcome(format: DocumentFormat, chunks: readonly Buffer[]): string {
  try {
    return JSON.stringify(split(format, chunks));
  } catch (error) {
    return String(error);
  }
}

describe("createDocumentSplitter", () => {
  it("gives the documents of an array byte for byte, however the body is cut", () => {
    fc.assert(
      fc.property(fc.array(objectText, { maxLength: 5 }), cuts, (texts, fractions) => {
        const body = Buffer.from(` [ ${texts.join(" ,\n")}\n] `);
        expect(split("json", cutAt(body, fractions))).toEqual(texts);
      }),
    );
  });

  it("gives the documents of NDJSON byte for byte, however the body is cut", () => {
    fc.assert(
      fc.property(
        fc.array(objectText, { maxLength: 5 }),
        fc.constantFrom("\n", "\r\n", "", " "),
        cuts,
        (texts, between, fractions) => {
          expect(split("ndjson", cutAt(Buffer.from(texts.join(between)), fractions))).toEqual(texts);
        },
      ),
    );
  });

  it("gives one object as one document", () => {
    fc.assert(
      fc.property(objectText, cuts, (text, fractions) => {
        expect(split("json", cutAt(Buffer.from(`\n${text} `), fractions))).toEqual([text]);
      }),
    );
  });

  it("ends the same way for every cut of a broken body", () => {
    const insert = fc.constantFrom("", "]", "}", ",", '"', "1", "nul", "\\", "\n", "[", "\xff");
    fc.assert(
      fc.property(
        fc.constantFrom<DocumentFormat>("json", "ndjson"),
        fc.array(objectText, { minLength: 1, maxLength: 3 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        insert,
        cuts,
        (format, texts, where, inserted, fractions) => {
          const whole = Buffer.from(format === "json" ? `[${texts.join(",\n")}]` : texts.join("\n"));
          const at = Math.floor(where * whole.length);
          const body = Buffer.concat([
            whole.subarray(0, at),
            Buffer.from(inserted, "latin1"),
            whole.subarray(at + 1),
          ]);
          expect(outcome(format, cutAt(body, fractions))).toBe(outcome(format, [body]));
          expect(
            outcome(
              format,
              [...body].map((byte) => Buffer.from([byte])),
            ),
          ).toBe(outcome(format, [body]));
        },
      ),
    );
  });

  // Every message was printed by Meilisearch v1.50 for the same body.
  it.each<[DocumentFormat, string, string]>([
    ["json", "", "EOF while parsing a value at line 1 column 0"],
    ["json", " \n ", "EOF while parsing a value at line 2 column 1"],
    ["json", "nul", "EOF while parsing a value at line 1 column 3"],
    ["json", '"a', "EOF while parsing a string at line 1 column 2"],
    ["json", "-", "EOF while parsing a value at line 1 column 1"],
    ["json", "x", "expected value at line 1 column 1"],
    ["json", "1e999", "number out of range at line 1 column 5"],
    ["json", '{"id":1} x', "trailing characters at line 1 column 10"],
    ["json", '{"id":1', "EOF while parsing an object at line 1 column 7"],
    ["json", '{"id":1,}', "trailing comma at line 1 column 9"],
    ["json", '{"id":-', "EOF while parsing a value at line 1 column 7"],
    ["json", '{"id":1,"a":1e999}', "number out of range at line 1 column 17"],
    ["json", "[", "EOF while parsing a list at line 1 column 1"],
    ["json", '[{"id":1}', "EOF while parsing a list at line 1 column 9"],
    ["json", '[{"id":1},]', "trailing comma at line 1 column 11"],
    ["json", '[{"id":1} {"id":2}]', "expected `,` or `]` at line 1 column 11"],
    ["json", "[nul]", "expected ident at line 1 column 5"],
    ["json", '[{"id":1},nul', "EOF while parsing a value at line 1 column 13"],
    ["json", "[true", "EOF while parsing a list at line 1 column 5"],
    ["json", '[{"id":1,}]', "key must be a string at line 1 column 10"],
    ["json", '[{"id":1,"a":[1,]}]', "expected value at line 1 column 17"],
    ["json", '[{"id":1,', "EOF while parsing an object at line 1 column 9"],
    ["json", '[{"id":-', "invalid number at line 1 column 8"],
    ["json", '[\n {"id":1, "a": tru }]', "expected ident at line 2 column 19"],
    ["json", '[\n {"id":1 "a": tru }]', "expected `,` or `}` at line 2 column 10"],
    ["ndjson", '{"id":1}\nx', "expected value at line 2 column 1"],
    ["ndjson", '{"id":1},{"id":2}', "expected value at line 1 column 9"],
    ["ndjson", '{"id":1}\n{"id":2', "EOF while parsing an object at line 2 column 7"],
    ["ndjson", '{"id":1}\n{"id":2, "a":[1 2]}', "expected `,` or `]` at line 2 column 17"],
    ["ndjson", "null1", "trailing characters at line 1 column 5"],
    ["ndjson", "1x", "trailing characters at line 1 column 2"],
    ["ndjson", "[1,2", "EOF while parsing a list at line 1 column 4"],
  ])("says of the %s body %j what Meilisearch says", (format, body, message) => {
    expect(outcome(format, [Buffer.from(body)])).toBe(`JsonSyntaxError: ${message}`);
  });

  it.each<[DocumentFormat, string, "body" | "element", string]>([
    ["json", "1", "body", "invalid type: integer `1`, expected a map at line 1 column 1"],
    ["json", "1 x", "body", "invalid type: integer `1`, expected a map at line 1 column 1"],
    ["json", "true[", "body", "invalid type: boolean `true`, expected a map at line 1 column 4"],
    ["json", "[1]", "element", "invalid type: integer `1`, expected a map at line 1 column 1"],
    ["json", "[[1]]", "element", "invalid type: sequence, expected a map at line 1 column 0"],
    ["json", '[{"id":1},2]', "element", "invalid type: integer `2`, expected a map at line 1 column 1"],
    ["ndjson", '{"id":1}\n3', "element", "invalid type: integer `3`, expected a map at line 1 column 1"],
    ["ndjson", '{"id":1}"a"', "element", 'invalid type: string "a", expected a map at line 1 column 3'],
    ["ndjson", '1 {"id":1}', "element", "invalid type: integer `1`, expected a map at line 1 column 1"],
    ["ndjson", '[{"id":1}]', "element", "invalid type: sequence, expected a map at line 1 column 0"],
  ])("reports what is no object in the %s body %j", (format, body, place, message) => {
    try {
      split(format, [Buffer.from(body)]);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(DocumentNotObjectError);
      expect(error).toMatchObject({ place, message });
    }
  });

  it("accepts empty bodies of NDJSON, empty arrays, and anything behind an array, as Meilisearch does", () => {
    expect(split("ndjson", [Buffer.from(" \n")])).toEqual([]);
    expect(split("ndjson", [])).toEqual([]);
    expect(split("json", [Buffer.from("[ ]")])).toEqual([]);
    expect(split("json", [Buffer.from('[{"id":1}] x'), Buffer.from("y{")])).toEqual(['{"id":1}']);
  });

  it("refuses a document that a node would accept and then fail together with its neighbours", () => {
    for (const value of ["1e999", '"\\ud800"', "[".repeat(128) + "]".repeat(128)]) {
      expect(outcome("json", [Buffer.from(`[{"id":1,"a":${value}}]`)])).toMatch(/^JsonSyntaxError/);
    }
  });

  it("holds no more than the limit", () => {
    const splitter = createDocumentSplitter({ format: "json", maxDocumentBytes: 100 });
    expect(splitter.push(Buffer.from(`[{"id":1},{"id":2,"a":"`))).toHaveLength(1);
    const feed = () => {
      for (let i = 0; i < 10; i++) splitter.push(Buffer.alloc(20, "x"));
    };
    expect(feed).toThrow(DocumentTooLargeError);
    expect(() => split("json", [Buffer.from(`[{"a":"${"x".repeat(100)}"}]`)], 100)).toThrow(
      DocumentTooLargeError,
    );
    expect(split("json", [Buffer.from(`[{"a":"${"x".repeat(92)}"}]`)], 100)).toHaveLength(1);
  });

  it("names what is wrong rather than the limit where an unclosed quote swallows the body", () => {
    const body = `[{"a":"x},\n${'{"a":"x"},\n'.repeat(20)}]`;
    expect(() => split("json", [Buffer.from(body)], 100)).toThrow("control character");
  });
});
