import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  createMiroirClient,
  DifferenceKind,
  type MiroirClient,
  type VerifyDifference,
  type VerifySummary,
} from "../../src/client/index.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { miroir } from "./cli-process.js";

let fleet: Fleet;
let client: MiroirClient;
let uid = "";
let count = 0;

beforeAll(async () => {
  fleet = await startFleet({ nodes: 3, replicationFactor: 2, settingsCheckSeconds: 0 });
  client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
}, 60_000);
afterAll(() => fleet?.stop());

beforeEach(async () => {
  uid = `films-${count++}`;
  await add(
    Array.from({ length: 300 }, (_, id) => ({ id, title: `film ${id}`, _vectors: { mine: [id, 1] } })),
  );
}, 30_000);

async function add(documents: readonly object[]): Promise<void> {
  const path = `/indexes/${uid}/documents?primaryKey=id`;
  const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", path, documents);
  await fleet.api.waitForTask(taskUid);
}

async function verify(deep = false): Promise<{ differences: VerifyDifference[]; summary: VerifySummary }> {
  const differences: VerifyDifference[] = [];
  for await (const { event } of client.verify.verify({ indexUids: [uid], deep })) {
    if (event.case === "difference") differences.push(event.value);
    if (event.case === "summary") return { differences, summary: event.value };
  }
  throw new Error("the verification broke off");
}

/** A node that holds a document, past Miroir, and its path to the index. */
async function holder(id: number): Promise<{ node: MeilisearchHttp; nodeId: string; path: string }> {
  const { replicas } = await client.indexes.explainDocument({ indexUid: uid, primaryKey: String(id) });
  const [replica] = replicas;
  if (replica === undefined) throw new Error("nobody holds the document");
  const { url, masterKey } = fleet.node(Number(replica.nodeId.split("-")[1]));
  return {
    node: meilisearchHttp(url, masterKey),
    nodeId: replica.nodeId,
    path: `/indexes/${replica.physicalIndex}`,
  };
}

async function change(node: MeilisearchHttp, method: string, path: string, body?: unknown): Promise<void> {
  const { taskUid } = await node.ok<{ taskUid: number }>(method, path, body);
  await node.waitForTask(taskUid);
}

describe("a verification", () => {
  it.each([false, true])("finds nothing in a clean fleet (deep: %s)", async (deep) => {
    const { differences, summary } = await verify(deep);
    expect(differences).toEqual([]);
    expect(summary).toMatchObject({ indexes: 1, documents: 300n, replicas: 3n, differences: 0n });
  });

  it("names a document that is missing on one node, one that only one node has, and one that is filed nowhere", async () => {
    const [missing, extra] = [await holder(7), await holder(400)];
    await change(missing.node, "DELETE", `${missing.path}/documents/7`);
    await change(extra.node, "POST", `${extra.path}/documents`, [{ id: 400, title: "stray" }]);
    const { differences } = await verify();
    expect(differences).toHaveLength(2);
    expect(differences.find(({ documentId }) => documentId === "7")).toMatchObject({
      kind: DifferenceKind.DOCUMENT,
      indexUid: uid,
      unsettled: false,
      versions: expect.arrayContaining([
        expect.objectContaining({ nodeId: missing.nodeId, version: "" }),
        expect.objectContaining({ version: expect.stringMatching(/^sequence ./) }),
      ]),
    });
    expect(differences.find(({ documentId }) => documentId === "400")).toMatchObject({
      kind: DifferenceKind.STRAY_DOCUMENT,
      nodeId: extra.nodeId,
    });
  }, 30_000);

  it("names a document whose contents one node has otherwise, where it is deep", async () => {
    const { node, path } = await holder(9);
    await change(node, "PUT", `${path}/documents`, [{ id: 9, title: "another" }]);
    const { differences } = await verify(true);
    expect(differences).toMatchObject([{ kind: DifferenceKind.DOCUMENT, documentId: "9" }]);
    expect(new Set(differences[0]?.versions.map(({ version }) => version)).size).toBe(2);
  }, 30_000);

  it("names settings that a node has otherwise, and indexes without a place", async () => {
    const { node, nodeId, path } = await holder(1);
    await change(node, "PATCH", `${path}/settings`, { stopWords: ["the"] });
    await change(node, "POST", "/indexes", { uid: "foreign" });
    const { differences } = await verify();
    expect(differences).toMatchObject([
      { kind: DifferenceKind.SETTINGS, nodeId, detail: "stopWords is not as committed" },
    ]);
    const cli = await miroir(["ctl", "verify", "--server", fleet.controlAddress(), "--index", uid, "--json"]);
    expect(cli.code).toBe(6);
    expect(JSON.parse(cli.stdout)).toMatchObject({
      differences: [{ kind: "DIFFERENCE_KIND_SETTINGS", nodeId }],
      summary: { indexes: 1 },
    });
    const all: VerifyDifference[] = [];
    for await (const { event } of client.verify.verify({})) {
      if (event.case === "difference") all.push(event.value);
    }
    expect(all).toContainEqual(
      expect.objectContaining({
        kind: DifferenceKind.UNEXPECTED_INDEX,
        nodeId,
        detail: "index foreign has no place on this node",
      }),
    );
    await change(node, "DELETE", "/indexes/foreign");
  }, 60_000);

  it("finds nothing while writes go on", async () => {
    let ended = false;
    const writing = (async () => {
      for (let round = 0; !ended; round++) {
        const path = `/indexes/${uid}/documents?primaryKey=id`;
        await fleet.api.ok("POST", path, [
          { id: round % 300, title: `round ${round}` },
          { id: 1_000 + round },
        ]);
        if (round % 3 === 0) await fleet.api.ok("DELETE", `/indexes/${uid}/documents/${(round * 7) % 300}`);
      }
    })();
    const runs = [await verify(), await verify(true)];
    ended = true;
    await writing;
    for (const { differences } of runs) expect(differences).toEqual([]);
  }, 90_000);

  it("says clean, with exit code 0", async () => {
    const cli = await miroir(["ctl", "verify", "--server", fleet.controlAddress(), "--index", uid]);
    expect(cli.stdout).toMatch(/^clean: 300 documents of 1 indexes on 3 replicas compared/m);
    expect(cli.code).toBe(0);
  }, 30_000);
});
