import { describe, expect, it } from "vitest";
import { findAtPath } from "../../../src/json/member-path.js";

/** The text at a path of a JSON object. */
function at(json: string, path: string): string | undefined {
  const bytes = Buffer.from(json);
  const span = findAtPath(bytes, path);
  return span === undefined ? undefined : bytes.toString("utf8", span.start, span.end);
}

describe("a path into an object", () => {
  it("names members inside of objects", () => {
    expect(at('{"a":{"x":1,"b":{"c":"here"}}}', "a.b.c")).toBe('"here"');
  });

  it("names members that have dots in their names", () => {
    expect(at('{"a.b":{"c":12345678901234567890}}', "a.b.c")).toBe("12345678901234567890");
    expect(at('{"a":{"b.c":7}}', "a.b.c")).toBe("7");
    expect(at('{"a.b.c":null}', "a.b.c")).toBe("null");
  });

  it("leads nowhere through other values, or past its end", () => {
    expect(at('{"a":[{"b":1}]}', "a.b")).toBeUndefined();
    expect(at('{"a":"b"}', "a.b")).toBeUndefined();
    expect(at('{"ab":{"c":1}}', "a.c")).toBeUndefined();
    expect(at("{}", "a")).toBeUndefined();
  });
});
