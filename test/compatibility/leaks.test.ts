import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { leakFixture, leakScripts } from "./leak-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("nothing of Miroir's own shows in", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (!hasRealNode) return;
    sides = await startSideBySide();
    expect((await sides.compare(leakFixture)).join("\n")).toBe("");
  }, 60_000);
  afterAll(() => sides?.stop());

  for (const script of leakScripts) {
    realIt(script.name, { timeout: 90_000, concurrent: true }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
