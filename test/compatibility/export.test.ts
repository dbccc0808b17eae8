import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { exportScripts } from "./export-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("exports as one Meilisearch takes them", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of exportScripts) {
    realIt(script.name, { timeout: 60_000 }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
