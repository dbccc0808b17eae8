import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { fieldsScripts } from "./fields-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("fields of indexes, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide();
  });
  afterAll(() => sides?.stop());

  for (const script of fieldsScripts) {
    realIt(script.name, { timeout: 120_000, concurrent: true }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
