import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { contentEncodingScript } from "./content-encoding-requests.js";
import { serverScripts } from "./server-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("the server, as one Meilisearch answers", () => {
  let sides: SideBySide;
  beforeAll(async () => {
    if (hasRealNode) sides = await startSideBySide({ tasksInOrder: true });
  });
  afterAll(() => sides?.stop());

  for (const script of [...serverScripts, contentEncodingScript]) {
    realIt(script.name, { timeout: 90_000 }, async () => {
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }
});
