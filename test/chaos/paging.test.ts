import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";

const DOCUMENTS = 5_000;
const PAGE = 250;

describe("paging through everything while a node is lost", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ nodes: 3, replicationFactor: 2, shards: 16 });
    const { api } = fleet;
    const settings = await api.ok<{ taskUid: number }>("PATCH", "/indexes/pages/settings", {
      pagination: { maxTotalHits: DOCUMENTS },
    });
    await api.waitForTask(settings.taskUid);
    const tasks: number[] = [];
    for (let start = 0; start < DOCUMENTS; start += 500) {
      const batch = Array.from({ length: 500 }, (_, at) => ({
        id: start + at,
        title: "the same words in every document",
      }));
      tasks.push(
        (await api.ok<{ taskUid: number }>("POST", "/indexes/pages/documents?primaryKey=id", batch)).taskUid,
      );
    }
    for (const task of tasks) await api.waitForTask(task);
  }, 120_000);
  afterAll(() => fleet.stop());

  it("gives every document exactly once, replicas as the router picks them, in insertion order", async () => {
    const seen: number[] = [];
    for (let offset = 0; offset < DOCUMENTS; offset += PAGE) {
      if (offset === DOCUMENTS / 2) await fleet.node(1).kill("SIGKILL");
      const { hits } = await fleet.api.ok<{ hits: { id: number }[] }>("POST", "/indexes/pages/search", {
        q: "same words",
        offset,
        limit: PAGE,
        attributesToRetrieve: ["id"],
      });
      seen.push(...hits.map(({ id }) => id));
    }
    expect(seen).toEqual(Array.from({ length: DOCUMENTS }, (_, id) => id));
  }, 60_000);
});
