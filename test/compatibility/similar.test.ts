import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";
import { similarScripts } from "./similar-requests.js";

const realIt = realNodeOnly();

describe("similar documents, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of similarScripts) {
    realIt(script.name, { timeout: 120_000, concurrent: true }, async () => {
      expect((await sides.compare({ ...script, approximate: true })).join("\n")).toBe("");
    });
  }
});
