import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { metadataScripts } from "./metadata-requests.js";
import { primaryKeyScripts } from "./primary-key-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("what goes along with documents, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of [...primaryKeyScripts, ...metadataScripts]) {
    realIt(script.name, { timeout: 120_000, concurrent: true }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
