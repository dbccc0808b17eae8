import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMiroirClient, type MiroirClient } from "../../src/client/index.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { fleetDifferences } from "../support/fleet-differences.js";
import { startTraffic, type Traffic } from "../support/traffic.js";
import { miroir } from "./cli-process.js";

const SHARDS = 4;
const SEEDS = 300;
let fleet: Fleet;
let client: MiroirClient;

beforeAll(async () => {
  fleet = await startFleet({ nodes: 3, replicationFactor: 2, shards: SHARDS, settingsCheckSeconds: 0 });
  client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
}, 60_000);
afterAll(() => fleet?.stop());

const ctl = (...args: readonly string[]) => miroir(["ctl", ...args, "--server", fleet.controlAddress()]);

/** Writes and searches until it is told to stop; an answer that is not whole is a failure. */
const startWriting = (): Traffic =>
  startTraffic(async (at) => {
    const id = 1_000 + at;
    await fleet.api.ok("POST", "/indexes/films/documents", [{ id, title: `film ${id}` }]);
    const body = { q: "seed", limit: 1 };
    const found = await fleet.api.ok<{ estimatedTotalHits: number }>("POST", "/indexes/films/search", body);
    if (found.estimatedTotalHits !== SEEDS) throw new Error(`${found.estimatedTotalHits} hits`);
  });

describe("an index under writes and searches", () => {
  it("is cut into more shards by miroir ctl; nothing is lost, and no document moves", async () => {
    const documents = Array.from({ length: SEEDS }, (_, id) => ({ id, title: `seed ${id}` }));
    const seeded = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", documents);
    await fleet.api.waitForTask(seeded.taskUid);
    const traffic = startWriting();
    const cut = await ctl("reshard", "films", String(SHARDS * 3), "--watch");
    expect(cut).toMatchObject({ code: 0, stdout: expect.stringContaining("completed") });
    const written = await traffic.stop();
    const { index } = await client.indexes.getIndex({ uid: "films" });
    expect(index).toMatchObject({ shards: SHARDS * 3 });
    expect(index?.placement.length).toBe(SHARDS * 3);
    const last = await fleet.api.ok<{ taskUid: number }>("DELETE", "/indexes/films/documents/0");
    await fleet.api.waitForTask(last.taskUid);
    const stats = await fleet.api.ok<{ numberOfDocuments: number }>("GET", "/indexes/films/stats");
    expect(stats.numberOfDocuments).toBe(SEEDS - 1 + written);
    expect(await fleetDifferences(client)).toBe(0);
  }, 60_000);

  it("cannot be cut into what is no multiple of its shards", async () => {
    const refused = await ctl("reshard", "films", String(SHARDS * 3 + 1));
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("a multiple of them");
  });
});
