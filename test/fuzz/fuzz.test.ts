import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import {
  DEFAULT_MASTER_KEY,
  hasRealNode,
  realNodeOnly,
  type StartedNodes,
  startNodes,
} from "../support/nodes.js";
import { ownDescription } from "./own-description.js";
import { prepare, runFuzz, shown } from "./run.js";

const realIt = realNodeOnly();

/** `npm run fuzz` sends more, and takes Meilisearch's own description. */
const COUNT = 500;

describe("requests made from a description of the API", () => {
  let plain: StartedNodes;
  let fleet: Fleet;
  beforeAll(async () => {
    if (!hasRealNode) return;
    [plain, fleet] = await Promise.all([
      startNodes(1),
      startFleet({ nodes: 2, replicationFactor: 1, shards: 8, masterKey: DEFAULT_MASTER_KEY }),
    ]);
  });
  afterAll(() => Promise.all([plain?.stop(), fleet?.stop()]));

  realIt(
    "get no 5xx, no silence and no endless task that a node would not give",
    { timeout: 120_000 },
    async () => {
      const sides = {
        plain: { url: plain.nodes[0]?.url ?? "", masterKey: DEFAULT_MASTER_KEY },
        fleet: { url: fleet.api.url, masterKey: DEFAULT_MASTER_KEY },
      };
      await prepare([sides.plain, sides.fleet]);
      const failures: string[] = [];
      const report = await runFuzz({
        ...sides,
        operations: ownDescription,
        seed: Number(process.env.FUZZ_SEED ?? 1),
        count: COUNT,
        note: ({ seed, request: { route, path, body }, reason }) =>
          failures.push(`seed ${seed}: ${route} as ${path} ${shown(body)}: ${reason}`),
      });
      expect(failures.join("\n")).toBe("");
      expect(report.sent).toBeGreaterThanOrEqual(COUNT);
    },
  );
});
