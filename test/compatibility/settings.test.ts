import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { gatedSettings, settingsScripts } from "./settings-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("settings, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of settingsScripts) {
    realIt(script.name, { timeout: 90_000, concurrent: true }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }

  realIt(gatedSettings.name, { timeout: 60_000 }, async () => {
    expect((await sides.compare(gatedSettings)).join("\n")).toBe("");
  });
});
