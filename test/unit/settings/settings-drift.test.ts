import { describe, expect, it } from "vitest";
import {
  DEFAULT_CLIENT_SETTINGS,
  toClientSettings,
  toNodeSettings,
} from "../../../src/settings/canonical-settings.js";
import { withDefaultTemplates } from "../../../src/settings/document-templates.js";
import { carriesAdditions, driftedMembers, repairPatch } from "../../../src/settings/settings-drift.js";

const committed = {
  ...DEFAULT_CLIENT_SETTINGS,
  displayedAttributes: ["title"],
  filterableAttributes: ["genre"],
  embedders: { a: { source: "rest", url: "http://e", apiKey: "ab..." }, b: { source: "userProvided" } },
};
const inForce = { ...toNodeSettings(committed), displayedAttributes: ["*"] };

describe("settings of a node, compared with the committed ones", () => {
  it("are equal with Miroir's additions, whatever the client displays", () => {
    expect(driftedMembers(committed, inForce)).toEqual([]);
    expect(carriesAdditions(inForce)).toBe(true);
  });

  it("are equal where embedders have Meilisearch's own template, and differ where it is not guarded", () => {
    const patch = { embedders: withDefaultTemplates({ e: { source: "rest" } }, []) };
    const { embedders } = toNodeSettings(patch);
    const known = { ...committed, ...toClientSettings({ embedders }) };
    expect(driftedMembers(known, { ...inForce, embedders })).toEqual([]);
    expect(driftedMembers(known, { ...inForce, embedders: known.embedders })).toEqual(["embedders"]);
  });

  it("differ in the members that say something else", () => {
    const seen = { ...inForce, stopWords: ["the"], displayedAttributes: ["title"] };
    expect(driftedMembers(committed, seen)).toEqual(["displayedAttributes", "stopWords"]);
    expect(repairPatch(committed, seen, ["stopWords"], [])).toEqual({ stopWords: [] });
  });

  it("differ where an addition is gone, and get it back", () => {
    const seen = {
      ...inForce,
      filterableAttributes: ["genre"],
      rankingRules: DEFAULT_CLIENT_SETTINGS.rankingRules,
    };
    const members = driftedMembers(committed, seen);
    expect(members).toEqual(["filterableAttributes", "rankingRules"]);
    expect(carriesAdditions(seen)).toBe(false);
    const repaired = { ...seen, ...repairPatch(committed, seen, members, []) };
    expect(driftedMembers(committed, repaired)).toEqual([]);
  });

  it("do not differ in members that only one side has", () => {
    const { stopWords: _, ...fewer }: Record<string, unknown> = inForce;
    expect(driftedMembers(committed, { ...fewer, chat: { description: "" } })).toEqual([]);
  });

  it("are repaired without the masks of secrets, and without embedders that nobody committed", () => {
    const seen = { ...inForce, embedders: { c: { source: "userProvided" } } };
    expect(repairPatch(committed, seen, ["embedders"], [])).toEqual({
      embedders: {
        a: { source: "rest", url: "http://e" },
        b: { source: "userProvided" },
        c: null,
      },
    });
  });

  it("are repaired with the secrets that are known", () => {
    const seen = { ...inForce, embedders: {} };
    const masked = { ...committed, embedders: { a: { source: "rest", apiKey: "abXXXX..." } } };
    const known = [{ a: { apiKey: "zz-another-one" } }, { a: { apiKey: "ab-the-secret" } }];
    expect(repairPatch(masked, seen, ["embedders"], known)).toMatchObject({
      embedders: { a: { source: "rest", apiKey: "ab-the-secret" } },
    });
  });
});
