import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CorpusDocument } from "../fidelity/requests.js";
import { runFidelity } from "../fidelity/run.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { hasRealNode, type StartedNodes, startNodes } from "../support/nodes.js";

const documents = readFileSync(new URL("../../samples/movies.ndjson", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as CorpusDocument);

describe.each([
  { nodes: 3, groups: 1, replicationFactor: 2 },
  { nodes: 4, groups: 2, replicationFactor: 1 },
])("$nodes nodes in $groups groups with replication factor $replicationFactor", (shape) => {
  let fleet: Fleet;
  let whole: StartedNodes;

  beforeAll(async () => {
    [fleet, whole] = await Promise.all([startFleet(shape), startNodes(1)]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([fleet?.stop(), whole?.stop()]);
  });

  it("answer seeded searches in the order, and with the contents, of one node", async () => {
    const [node] = whole.nodes;
    if (node === undefined) throw new Error("the single node did not start");
    const notes: string[] = [];
    const report = await runFidelity({
      whole: meilisearchHttp(node.url, node.masterKey),
      fleet: fleet.api,
      documents,
      primaryKey: "id",
      index: "movies",
      seeds: [7],
      count: 60,
      load: true,
      note: (line) => notes.push(line),
    });
    expect(report.rows.map(({ kind, wrong }) => [kind, wrong]).filter(([, wrong]) => wrong !== 0)).toEqual(
      [],
    );
    // An embedded node crops by what its own index knows, so that crops are compared on real nodes only.
    if (hasRealNode) expect(report.failed, notes.join("\n")).toBe(0);
    expect(report.rows.reduce((sum, { cases }) => sum + cases, 0)).toBe(60);
  }, 60_000);
});
