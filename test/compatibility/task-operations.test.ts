import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";
import { taskScripts } from "./task-requests.js";

const realIt = realNodeOnly();

describe("tasks, batches and names of indexes, as one Meilisearch has them", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide({ tasksInOrder: true });
  });
  afterAll(() => sides?.stop());

  for (const script of taskScripts) {
    realIt(script.name, { timeout: 120_000 }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
