import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../../src/json/canonical.js";
import { appendMembers, removeMembers, setMember } from "../../../src/json/edit.js";
import { arrayElements, findMember, objectMembers } from "../../../src/json/members.js";
import { JsonSyntaxError, skipWhitespace, valueEnd } from "../../../src/json/scan.js";
import { validateJson } from "../../../src/json/validate.js";
import { jsonText, objectText, stringLiteral } from "./arbitraries.js";

const parse = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString());

describe("valueEnd", () => {
  it("ends where the value ends, whatever stands before and behind it", () => {
    fc.assert(
      fc.property(jsonText, fc.constantFrom("", "]", "}", ",1", " ", "\n"), (text, behind) => {
        const bytes = Buffer.from(`[, ${text}${behind}`);
        expect(valueEnd(bytes, 3)).toBe(3 + Buffer.byteLength(text));
      }),
    );
  });

  it("reads strings that end in runs of backslashes, near the vectorised search too", () => {
    for (let length = 0; length < 130; length++) {
      for (let run = 0; run < 5; run++) {
        const text = JSON.stringify(`${"x".repeat(length)}${"\\".repeat(run)}"y`);
        expect(valueEnd(Buffer.from(`${text},"z"`), 0)).toBe(text.length);
      }
    }
  });

  it.each([
    ["", "EOF while parsing a value at line 1 column 0"],
    ['{"a":1', "EOF while parsing an object at line 1 column 6"],
    ["[1,\n2", "EOF while parsing a list at line 2 column 1"],
    ['"abc\\"', "EOF while parsing a string at line 1 column 6"],
    ["nul", "EOF while parsing a value at line 1 column 3"],
    ["nulx", "expected ident at line 1 column 4"],
    ["}", "expected value at line 1 column 1"],
  ])("refuses %j", (text, message) => {
    expect(() => valueEnd(Buffer.from(text), 0)).toThrow(message);
  });
});

describe("members and elements", () => {
  it("finds what JSON.parse finds, span by span", () => {
    fc.assert(
      fc.property(objectText, (text) => {
        const bytes = Buffer.from(` ${text}`);
        const members = objectMembers(bytes);
        const rebuilt = new Map<string, unknown>();
        for (const member of members) {
          expect(parse(bytes.subarray(member.keyStart, member.keyEnd))).toBe(member.key);
          expect(bytes.subarray(member.memberStart, member.keyStart).toString().trim()).toBe("");
          rebuilt.set(member.key, parse(bytes.subarray(member.valueStart, member.valueEnd)));
        }
        const parsed = parse(bytes) as Record<string, unknown>;
        expect(Object.fromEntries(rebuilt)).toEqual(parsed);
        for (const key of [...rebuilt.keys(), "absent", "a"]) {
          const last = members.filter((member) => member.key === key).at(-1);
          expect(findMember(bytes, key)).toEqual(last);
        }
      }),
    );
  });

  it("finds every element", () => {
    fc.assert(
      fc.property(fc.array(jsonText, { maxLength: 6 }), (texts) => {
        const bytes = Buffer.from(` [ ${texts.join(" ,\n")} ]`);
        const spans = arrayElements(bytes).map(({ start, end }) => bytes.subarray(start, end).toString());
        expect(spans).toEqual(texts);
      }),
    );
  });

  it("gives the last of duplicate members, and keys with their escapes decoded", () => {
    const bytes = Buffer.from('{"a":1,"\\u0061":2,"é\\n":3}');
    expect(objectMembers(bytes).map(({ key }) => key)).toEqual(["a", "a", "é\n"]);
    const found = findMember(bytes, "a");
    expect(found && bytes.subarray(found.valueStart, found.valueEnd).toString()).toBe("2");
    expect(findMember(bytes, "é\n")?.key).toBe("é\n");
  });

  it.each(["[]", "1", ""])("refuses %j as an object", (text) => {
    expect(() => objectMembers(Buffer.from(text))).toThrow(JsonSyntaxError);
    expect(() => findMember(Buffer.from(text), "a")).toThrow(JsonSyntaxError);
  });

  it.each(["{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{"a" 1}', '{"a":1 "b":2}', "{1:2}"])(
    "refuses the broken object %j",
    (text) => {
      expect(() => objectMembers(Buffer.from(text))).toThrow(JsonSyntaxError);
    },
  );

  it.each(["[", "[1", "[1,", "[1,]", "[1 2]", "{}"])("refuses the broken array %j", (text) => {
    expect(() => arrayElements(Buffer.from(text))).toThrow(JsonSyntaxError);
  });
});

describe("removeMembers", () => {
  it("leaves a valid object with the other members untouched", () => {
    fc.assert(
      fc.property(objectText, fc.func(fc.boolean()), (text, drawn) => {
        const bytes = Buffer.from(text);
        const before = objectMembers(bytes);
        const removed = new Set(before.filter(({ key }) => drawn(key)).map(({ key }) => key));
        const result = removeMembers(bytes, (key) => removed.has(key));
        validateJson(result);
        const raw = (from: Buffer) =>
          objectMembers(from).map((m) => from.subarray(m.keyStart, m.valueEnd).toString());
        const kept = before.filter(({ key }) => !removed.has(key));
        expect(raw(result)).toEqual(kept.map((m) => bytes.subarray(m.keyStart, m.valueEnd).toString()));
        if (removed.size === 0) expect(result).toBe(bytes);
      }),
    );
  });

  it("handles commas at either end", () => {
    const remove = (text: string, keys: string) =>
      removeMembers(Buffer.from(text), (key) => keys.includes(key)).toString();
    expect(remove('{"a":1,"b":2,"c":3}', "a")).toBe('{"b":2,"c":3}');
    expect(remove('{"a":1,"b":2,"c":3}', "b")).toBe('{"a":1,"c":3}');
    expect(remove('{"a":1,"b":2,"c":3}', "c")).toBe('{"a":1,"b":2}');
    expect(remove('{ "a" : 1 , "b":2 }', "ab")).toBe("{ }");
    expect(remove('{"id":9007199254740993,"a":1}', "a")).toBe('{"id":9007199254740993}');
  });
});

describe("appendMembers", () => {
  it("adds members last, and removing them gives the object back", () => {
    fc.assert(
      fc.property(objectText, stringLiteral, jsonText, fc.boolean(), (text, literal, raw, asText) => {
        const bytes = Buffer.from(text);
        const key = `new ${JSON.parse(literal)}`;
        const result = appendMembers(bytes, [
          [key, asText ? raw : Buffer.from(raw)],
          ["new _miroir_seq", '"(("'],
        ]);
        validateJson(result);
        const added = objectMembers(result).slice(-2);
        expect(added.map((m) => m.key)).toEqual([key, "new _miroir_seq"]);
        expect(added.map((m) => result.subarray(m.valueStart, m.valueEnd).toString())).toEqual([raw, '"(("']);
        expect(parse(removeMembers(result, (name) => name.startsWith("new ")))).toEqual(parse(bytes));
      }),
    );
  });

  it("puts no comma into an empty object", () => {
    expect(appendMembers(Buffer.from("{ }"), [["a", "1"]]).toString()).toBe('{"a":1 }');
    expect(appendMembers(Buffer.from('{"x":"{"}\n'), [["a", "1"]]).toString()).toBe('{"x":"{","a":1}\n');
    expect(() => appendMembers(Buffer.from("[1]"), [["a", "1"]])).toThrow(JsonSyntaxError);
  });
});

describe("canonicalJson", () => {
  it("does not depend on the order of keys, and parses back to the value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const reversed = JSON.parse(JSON.stringify(value), (_, member: unknown) =>
          typeof member === "object" && member !== null && !Array.isArray(member)
            ? Object.fromEntries(Object.entries(member).reverse())
            : member,
        );
        expect(canonicalJson(reversed)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("refuses what JSON cannot hold", () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, () => 1, Symbol("s"), [undefined], cycle]) {
      expect(() => canonicalJson(value)).toThrow(TypeError);
    }
    const shared = { b: 1n, a: undefined };
    expect(canonicalJson([shared, shared])).toBe('[{"b":1},{"b":1}]');
  });
});

it("skipWhitespace stops at the first byte that is none", () => {
  expect(skipWhitespace(Buffer.from(" \t\r\n x"), 0)).toBe(5);
  expect(skipWhitespace(Buffer.from("  "), 0)).toBe(2);
});

describe("setMember", () => {
  it("replaces a value, or adds the member, and leaves every other byte", () => {
    const set = (text: string, key: string, json: string) =>
      setMember(Buffer.from(text), key, json).toString();
    expect(set('{ "a" : 1.10, "b":[ 2 ] }', "a", '"x"')).toBe('{ "a" : "x", "b":[ 2 ] }');
    expect(set('{ "a" : 1.10 }', "b", "null")).toBe('{ "a" : 1.10,"b":null }');
    expect(set('{"a":1,"a":2}', "a", "3")).toBe('{"a":1,"a":3}');
    expect(() => set("[]", "a", "1")).toThrow(JsonSyntaxError);
  });
});
