import { describe, expect, it } from "vitest";
import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import {
  flag,
  listOf,
  mapOf,
  nullable,
  object,
  oneOf,
  type Reader,
  text,
  unsigned32,
} from "../../../src/proxy/http/body-schema.js";
import { logTarget } from "../../../src/proxy/http/log-target.js";

/** What a reader says of a value: what it gives, or the code and message of its refusal. */
function read<T>(reader: Reader<T>, value: unknown): T | string {
  try {
    return reader(value, "", "bad_request");
  } catch (error) {
    if (!(error instanceof MeilisearchError)) throw error;
    return `${error.body.code}: ${error.body.message}`;
  }
}

const person = object({
  name: { read: text, code: "invalid_name", required: true },
  size: { read: nullable(unsigned32) },
  kind: { read: oneOf(["cat", "dog"]) },
  tags: { read: listOf(text), code: "invalid_tags" },
  inner: { read: object({ on: { read: flag } }, { code: "invalid_inner" }) },
  any: { read: mapOf(flag) },
});

describe("a reader of bodies", () => {
  it("gives what is there", () => {
    const whole = { name: "x", size: 3, kind: "dog", tags: ["a"], inner: { on: true } };
    expect(read(person, { ...whole, any: { q: false } })).toEqual({ ...whole, any: new Map([["q", false]]) });
    expect(read(person, { name: "x", size: null })).toEqual({ name: "x", size: null });
  });

  it.each([
    [1, "bad_request: Invalid value type: expected an object, but found a positive integer: `1`"],
    [{}, "bad_request: Missing field `name`"],
    [
      { name: 1 },
      "invalid_name: Invalid value type at `.name`: expected a string, but found a positive integer: `1`",
    ],
    [
      { name: "x", size: 4_294_967_296 },
      "bad_request: Invalid value at `.size`: value: `4294967296` is too large to be deserialized, maximum value authorized is `4294967295`",
    ],
    [
      { size: -1, name: 1 },
      "bad_request: Invalid value type at `.size`: expected a positive integer, but found a negative integer: `-1`",
    ],
    [
      { kind: "dogs" },
      "bad_request: Unknown value `dogs` at `.kind`: did you mean `dog`? expected one of `cat`, `dog`",
    ],
    [
      { tags: ["a", null] },
      "invalid_tags: Invalid value type at `.tags[1]`: expected a string, but found null",
    ],
    [{ inner: { of: true } }, "invalid_inner: Unknown field `of` inside `.inner`: expected one of `on`"],
    [
      { any: { q: 1 } },
      "bad_request: Invalid value type at `.any.q`: expected a boolean, but found a positive integer: `1`",
    ],
  ])("refuses %j as Meilisearch does", (value, refusal) => {
    expect(read(person, value)).toBe(refusal);
  });
});

describe("a log target", () => {
  it.each([
    ["info", "info"],
    ["OFF", "off"],
    ["miroir=debug", "debug"],
    ["meilisearch=trace,info", "trace"],
    ["warn,index_scheduler=trace", "warn"],
    ["milli=trace", "off"],
    ["miro=error,miroir=debug", "debug"],
    ["miroir", "trace"],
    ["miroir=", "error"],
    ["3", "info"],
  ])("%s shows %s", (target, level) => {
    expect(read(logTarget, target)).toBe(level);
  });
});
