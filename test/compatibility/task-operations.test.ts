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

  realIt("the documents of an addition, while it waits for its turn", { timeout: 60_000 }, async () => {
    const { api } = sides.fleet;
    await api.ok("PATCH", "/experimental-features", { getTaskDocumentsRoute: true });
    const documents = Array.from({ length: 40 }, (_, id) => ({ id, text: `document ${id}` }));
    const many = Array.from({ length: 1_000 }, (_, id) => ({ id, text: `word${id} `.repeat(15) }));
    for (let added = 0; added < 3; added++) await api.ok("POST", "/indexes/tw/documents?primaryKey=id", many);
    const { taskUid } = await api.ok<{ taskUid: number }>("POST", "/indexes/tw/documents", documents);
    const { text } = await api.send("GET", `/tasks/${taskUid}/documents`);
    expect(text).toBe(documents.map((document) => JSON.stringify(document)).join(""));
    await api.ok("PATCH", "/experimental-features", { getTaskDocumentsRoute: false });
  });

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
