import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";

const INDEXES = 20;

describe("many indexes at work at once", () => {
  let fleet: Fleet;
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => {
    if (warning.name === "MaxListenersExceededWarning") warnings.push(warning);
  };
  beforeAll(async () => {
    process.on("warning", onWarning);
    fleet = await startFleet({ nodes: 2, replicationFactor: 2, shards: 4 });
  }, 60_000);
  afterAll(async () => {
    process.off("warning", onWarning);
    await fleet?.stop();
  });
  afterEach(() => expect(warnings).toEqual([]));

  it("change settings without a warning of leaking listeners", { timeout: 60_000 }, async () => {
    const { api } = fleet;
    const changes = await Promise.all(
      Array.from({ length: INDEXES }, (_, at) =>
        api.ok<{ taskUid: number }>("PATCH", `/indexes/i${at}/settings`, { filterableAttributes: ["t"] }),
      ),
    );
    for (const { taskUid } of changes) await api.waitForTask(taskUid);
  });

  it("are searched together without one", { timeout: 30_000 }, async () => {
    const queries = Array.from({ length: 2 * INDEXES }, (_, at) => ({
      indexUid: `i${at % INDEXES}`,
      q: "x",
    }));
    await fleet.api.ok("POST", "/multi-search", { queries });
    await fleet.api.ok("POST", "/multi-search", { queries, federation: {} });
  });
});
