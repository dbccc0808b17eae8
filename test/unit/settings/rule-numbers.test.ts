import { describe, expect, it } from "vitest";
import { withClientRuleNumbers } from "../../../src/settings/rule-numbers.js";

const message = "matched rule #2 in filterableAttributes; prepend another rule before rule #2";

describe("numbers of filterable rules in a node's message", () => {
  it.each([
    [["a", "b"], 2],
    [[{ attributePatterns: ["*"] }, "b"], 0],
    [[{ attributePatterns: ["_miroir_shard*"] }, "b"], 1],
    [undefined, 2],
  ])("are the client's: %j", (filterable, number) => {
    expect(withClientRuleNumbers(message, filterable)).toBe(message.replaceAll("#2", `#${number}`));
  });
});
