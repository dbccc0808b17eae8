import { afterAll, beforeAll, describe, expect } from "vitest";
import { type EmbeddingServer, startEmbeddingServer } from "../support/embedding-server.js";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";
import { EMBEDDER_KEY, embedderScripts } from "./embedder-requests.js";
import { type SideBySide, startSideBySide } from "./side-by-side.js";

const realIt = realNodeOnly();

describe("embedders, as one Meilisearch has them", () => {
  let sides: SideBySide;
  let embeddings: EmbeddingServer;
  const logged: string[] = [];
  beforeAll(async () => {
    embeddings = await startEmbeddingServer();
    if (!hasRealNode) return;
    sides = await startSideBySide({ nodeArgs: ["--experimental-allowed-ip-networks", "127.0.0.0/8"] });
    sides.fleet.logs.follow("trace", (line) => logged.push(line));
  });
  afterAll(async () => {
    await sides?.stop();
    await embeddings?.stop();
  });

  for (const { name } of embedderScripts("")) {
    realIt(name, { timeout: 120_000, concurrent: true }, async () => {
      const script = embedderScripts(embeddings.url).find((one) => one.name === name);
      if (script === undefined) throw new Error(`no script ${name}`);
      expect((await sides.compare(script)).join("\n")).toBe("");
    });
  }

  realIt("none of them is sent Miroir's fields, and all are sent the client's key", () => {
    expect(embeddings.requests.length).toBeGreaterThan(0);
    for (const { inputs, authorization } of embeddings.requests) {
      expect(authorization).toBe(`Bearer ${EMBEDDER_KEY}`);
      expect(inputs.filter((input) => /_miroir_|[()[\]{},;]{4}/.test(input))).toEqual([]);
    }
  });

  realIt("nothing logs the client's key", () => {
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.filter((line) => line.includes(EMBEDDER_KEY))).toEqual([]);
  });
});
