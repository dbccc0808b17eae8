import { afterAll, beforeAll, describe, expect } from "vitest";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";
import { interleaved, taskScripts } from "./task-requests.js";

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

  realIt(`${interleaved.name}, but for the names on tasks`, { timeout: 120_000 }, async () => {
    const seen = (await sides.compare(interleaved)).map((difference) =>
      difference.split("\n").filter((line) => !line.startsWith("  task:")),
    );
    expect(
      seen
        .filter((lines) => lines.length > 1)
        .flat()
        .join("\n"),
    ).toBe("");
  });
});
