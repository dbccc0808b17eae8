import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runChaos } from "../chaos-harness/run.js";
import { parseFaults } from "../chaos-harness/run-options.js";
import { nodeBackend } from "../support/nodes.js";

// Real nodes are `npm run chaos`: a run of seconds would prove nothing of them.
describe.skipIf(nodeBackend.kind !== "embedded")("the chaos harness", () => {
  it("hurts a fleet of embedded nodes for a few seconds, and explains every answer", async () => {
    const folder = mkdtempSync(join(tmpdir(), "miroir-chaos-smoke-"));
    const report = await runChaos({
      seed: 3,
      durationMs: 4_500,
      faults: parseFaults("delay,drop,reset,kill"),
      shape: {
        nodeKind: "embedded",
        nodes: 2,
        spares: 0,
        groups: 1,
        replicationFactor: 2,
        shards: 4,
        controls: 1,
        proxies: 2,
      },
      writers: 3,
      readers: 2,
      folder,
      operations: () => [],
      minimum: () => ({ acknowledged: 5, reads: 20, overlaps: 1 }),
      repairs: false,
      restMs: 30_000,
    });
    expect(report.violations, `kept in ${folder}`).toEqual([]);
    rmSync(folder, { recursive: true, force: true });
  }, 90_000);
});
