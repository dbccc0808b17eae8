import { cpSync, rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ShardCheck } from "../../src/gen/miroir/v1/verify_pb.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { emptyFolder, FailingFleet, INDEX } from "./failing-fleet.js";

const DOCUMENTS = 120;
let failing: FailingFleet;

beforeAll(async () => {
  failing = await FailingFleet.start(DOCUMENTS);
}, 60_000);
afterAll(() => failing?.fleet.stop());

afterEach(async () => {
  await failing.settled();
  expect(await failing.differing()).toEqual([]);
}, 90_000);

describe("a node that comes back", () => {
  it("without its data is not read until it was filled again", async () => {
    const searches = failing.watch();
    await failing.restartWith(1, emptyFolder);
    await failing.hurt();
    await failing.settled();
    expect(await searches.stop()).toEqual([]);
  }, 90_000);

  it("with an old copy of its data is recognised, however fast it was exchanged", async () => {
    await failing.readFromAll();
    const kept = `${failing.folderOf(2)}-kept`;
    await failing.fleet.node(2).stop();
    cpSync(failing.folderOf(2), kept, { recursive: true });
    await failing.fleet.node(2).restart();
    await failing.settled();
    await failing.write(30);
    await failing.settled();
    const searches = failing.watch();
    await failing.restartWith(2, (folder) => {
      emptyFolder(folder);
      cpSync(kept, folder, { recursive: true });
    });
    await failing.hurt();
    await failing.settled();
    expect(await searches.stop()).toEqual([]);
    rmSync(kept, { recursive: true });
  }, 120_000);

  it("after it was killed among writes has what the others have", async () => {
    const before = failing.written;
    const writing = (async () => {
      for (let at = 0; at < 12; at += 1) await failing.write(5);
    })();
    await failing.fleet.until(() => failing.written > before + 30);
    await failing.fleet.node(1).kill("SIGKILL");
    await failing.fleet.node(1).restart();
    await writing;
    await failing.settled();
    expect(await failing.found()).toBe(failing.written);
  }, 120_000);
});

describe("replicas that differ", () => {
  it("are told, decided about and made equal", async () => {
    const { client, fleet } = failing;
    const { replicas } = await client.indexes.explainDocument({ indexUid: INDEX, primaryKey: "7" });
    const [replica] = replicas;
    const { url, masterKey } = fleet.node(Number(replica?.nodeId.split("-")[1]));
    const node = meilisearchHttp(url, masterKey);
    const path = `/indexes/${replica?.physicalIndex}/documents/7`;
    await node.waitForTask((await node.ok<{ taskUid: number }>("DELETE", path)).taskUid);
    const checks: ShardCheck[] = [];
    for await (const { check } of client.verify.checkShards({ indexUid: INDEX, repair: true })) {
      if (check !== undefined && check.differing > 0n) checks.push(check);
    }
    expect(checks).toMatchObject([{ differing: 1n, marked: true }]);
    const listed = await client.verify.listShardChecks({ indexUid: INDEX, onlyDiffering: true });
    expect(listed.checks).toMatchObject([{ oddNodeId: checks[0]?.oddNodeId }]);
    await failing.settled();
  }, 60_000);
});
