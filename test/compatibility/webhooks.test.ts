import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";
import { webhookScripts } from "./webhook-requests.js";

const realIt = realNodeOnly();

describe("webhooks as one Meilisearch has them", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of webhookScripts) {
    realIt(script.name, { timeout: 60_000 }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
