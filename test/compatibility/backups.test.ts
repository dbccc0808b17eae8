import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { backupScripts } from "./backup-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("dumps and snapshots, asked for as of one Meilisearch", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide({ tasksInOrder: true });
  });
  afterAll(() => sides?.stop());

  for (const script of backupScripts) {
    realIt(script.name, { timeout: 120_000 }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
