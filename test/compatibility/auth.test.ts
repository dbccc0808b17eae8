import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { authScripts } from "./auth-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("keys and tenant tokens, as one Meilisearch takes them", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide({ tasksInOrder: true });
  });
  afterAll(() => sides?.stop());

  for (const script of authScripts) {
    realIt(script.name, { timeout: 90_000 }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
