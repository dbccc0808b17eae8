import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { networkSearchScript, refusedSearches } from "./network-search-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("searches in the experimental network, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide({ tasksInOrder: true });
  });
  afterAll(() => sides?.stop());

  realIt(networkSearchScript.name, { timeout: 60_000 }, async () => {
    const compared = await sides.compareSteps(networkSearchScript);
    const differences = compared.flatMap(({ difference }) => difference ?? []);
    console.log(`network: ${compared.length - differences.length} of ${compared.length} requests equal`);
    expect(differences.join("\n")).toBe("");
  });

  realIt("what only other servers could answer is refused by name", { timeout: 30_000 }, async () => {
    const { api } = sides.fleet;
    const remotes = { "ms-0": { url: "http://localhost:7700" }, "ms-1": { url: "http://localhost:7701" } };
    await api.ok("PATCH", "/network", { self: "ms-0", remotes });
    for (const body of refusedSearches) {
      const answer = await api.send("POST", "/multi-search", body);
      expect(JSON.parse(answer.text), JSON.stringify(body)).toMatchObject({ code: "feature_not_available" });
    }
  });
});
