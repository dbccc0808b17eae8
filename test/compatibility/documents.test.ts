import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { documentScripts } from "./document-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("documents, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of documentScripts) {
    realIt(script.name, { timeout: 170_000, concurrent: true }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
