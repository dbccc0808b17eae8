import { describe, expect, it } from "vitest";
import { type AliasRecord, decodeAlias, encodeAlias } from "../../../src/store/alias-flip.js";
import { aliasName, StoreCorruptError } from "../../../src/store/task-store.js";

const record: AliasRecord = {
  name: "a",
  kind: "multi",
  target_uids_json: '["i","j"]',
  version: 2,
  created_at: 1,
  updated_at: 2,
  history_json: '[{"version":1,"uids":["i"],"set_at":1}]',
};

describe("an alias in columns", () => {
  it("is what was written", () => {
    const row = decodeAlias(record);
    expect(row).toEqual({
      name: aliasName("a"),
      target: { kind: "multi", indexUids: ["i", "j"] },
      version: 2,
      createdAt: 1,
      updatedAt: 2,
      history: [{ version: 1, target: { kind: "multi", indexUids: ["i"] }, setAt: 1 }],
    });
    expect(encodeAlias(row)).toEqual(record);
  });

  it.each<[string, Partial<AliasRecord>]>([
    ["another kind", { kind: "double" }],
    ["a single alias of two indexes", { kind: "single" }],
    ["targets that are no JSON", { target_uids_json: '["i"' }],
    ["targets that are no list", { target_uids_json: '{"i":1}' }],
    ["no target", { target_uids_json: "[]" }],
    ["a target that is no name", { target_uids_json: '["i",7]' }],
    ["a history that is no JSON", { history_json: "" }],
    ["a history of nothing", { history_json: "[null]" }],
    ["a history without versions", { history_json: '[{"uids":["i"],"set_at":1}]' }],
    ["a history without targets", { history_json: '[{"version":1,"set_at":1}]' }],
    ["a history of other targets", { history_json: '[{"version":1,"uids":[1],"set_at":1}]' }],
  ])("is damaged with %s", (_, overrides) => {
    expect(() => decodeAlias({ ...record, ...overrides })).toThrow(StoreCorruptError);
  });
});
