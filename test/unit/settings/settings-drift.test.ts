import { describe, expect, it } from "vitest";
import { DEFAULT_CLIENT_SETTINGS, toNodeSettings } from "../../../src/settings/canonical-settings.js";
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

  it("differ in the members that say something else", () => {
    const seen = { ...inForce, stopWords: ["the"], displayedAttributes: ["title"] };
    expect(driftedMembers(committed, seen)).toEqual(["displayedAttributes", "stopWords"]);
    expect(repairPatch(committed, seen, ["stopWords"])).toEqual({ stopWords: [] });
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
    const repaired = { ...seen, ...repairPatch(committed, seen, members) };
    expect(driftedMembers(committed, repaired)).toEqual([]);
  });

  it("do not differ in members that only one side has", () => {
    const { stopWords: _, ...fewer }: Record<string, unknown> = inForce;
    expect(driftedMembers(committed, { ...fewer, chat: { description: "" } })).toEqual([]);
  });

  it("are repaired without the masks of secrets, and without embedders that nobody committed", () => {
    const seen = { ...inForce, embedders: { c: { source: "userProvided" } } };
    expect(repairPatch(committed, seen, ["embedders"])).toEqual({
      embedders: {
        a: { source: "rest", url: "http://e" },
        b: { source: "userProvided" },
        c: null,
      },
    });
  });
});
