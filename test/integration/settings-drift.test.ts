import { afterAll, beforeAll, describe, expect } from "vitest";
import { createMiroirClient, DriftOutcome, type MiroirClient } from "../../src/client/index.js";
import { nodeFingerprint } from "../../src/settings/settings-drift.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { hasRealNode, realNodeOnly } from "../support/nodes.js";

/** The embedded node has neither `rest` embedders nor patterns of attributes. */
const realIt = realNodeOnly();

const settings = {
  filterableAttributes: ["tag", { attributePatterns: ["*_at"], features: { facetSearch: false } }],
  sortableAttributes: ["price"],
  displayedAttributes: ["id", "title"],
  stopWords: ["the"],
  synonyms: { film: ["movie"] },
  rankingRules: ["words", "typo", "price:asc", "proximity"],
  typoTolerance: { disableOnWords: ["b", "a"] },
  embedders: {
    mine: { source: "userProvided", dimensions: 2 },
    // Never asked: the documents bring their vectors.
    remote: {
      source: "rest",
      url: "http://127.0.0.1:9/embed",
      apiKey: "first-key-of-the-client-0123456789",
      dimensions: 2,
      request: { input: "{{text}}" },
      response: { data: "{{embedding}}" },
    },
  },
};

let fleet: Fleet;
let client: MiroirClient;

beforeAll(async () => {
  if (!hasRealNode) return;
  fleet = await startFleet({ nodes: 3, replicationFactor: 1, settingsCheckSeconds: 1 });
  client = createMiroirClient({ baseUrl: `http://${fleet.controlAddress()}` });
  for (const [uid, change] of Object.entries({
    films: settings,
    wild: { filterableAttributes: ["*"] },
    prefixed: { filterableAttributes: [{ attributePatterns: ["_*"] }, "x"], rankingRules: [] },
    plain: {},
  })) {
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>(
      "POST",
      `/indexes/${uid}/documents?primaryKey=id`,
      Array.from({ length: 20 }, (_, id) => ({
        id,
        title: `the film ${id}`,
        _vectors: { mine: null, other: null, remote: { embeddings: [[1, id]], regenerate: false } },
      })),
    );
    await fleet.api.waitForTask(taskUid);
    const changed = await fleet.api.ok<{ taskUid: number }>("PATCH", `/indexes/${uid}/settings`, change);
    await fleet.api.waitForTask(changed.taskUid);
  }
}, 90_000);
afterAll(() => fleet?.stop());

function node(at: number): MeilisearchHttp {
  const { url, masterKey } = fleet.node(at);
  return meilisearchHttp(url, masterKey);
}

/** Path of an index on the nodes. */
async function onNodes(uid: string): Promise<string> {
  const { index } = await client.indexes.getIndex({ uid });
  return `/indexes/m${index?.instance}_${index?.generation}`;
}

/** Changes settings on one node, past Miroir. */
async function change(at: number, method: string, path: string, body?: unknown): Promise<void> {
  const { taskUid } = await node(at).ok<{ taskUid: number }>(method, path, body);
  await node(at).waitForTask(taskUid);
}

async function drifts(uid: string) {
  const answer = await client.settings.listDrifts({});
  return answer.drifts.filter(({ indexUid }) => indexUid === uid);
}

async function checkedAgain(): Promise<void> {
  const before = (await client.settings.listDrifts({})).checkedAt;
  let rounds = 0;
  let last = before;
  await fleet.eventually(async () => {
    const { checkedAt } = await client.settings.listDrifts({});
    if (JSON.stringify(checkedAt?.nanos) !== JSON.stringify(last?.nanos)) {
      rounds += 1;
      last = checkedAt;
    }
    return rounds >= 2 ? true : undefined;
  });
}

describe("settings that somebody changes on a node", () => {
  realIt(
    "are left alone while they are the committed ones",
    async () => {
      await checkedAgain();
      expect((await client.settings.listDrifts({})).drifts).toEqual([]);
    },
    60_000,
  );

  realIt.each([
    ["single settings", "PATCH", { stopWords: ["a", "b"], synonyms: null, displayedAttributes: ["title"] }],
    ["everything, Miroir's additions with it", "DELETE", undefined],
    [
      "the key of an embedder",
      "PATCH",
      { embedders: { remote: { apiKey: "other-key-of-a-stranger-98765" } } },
    ],
    [
      "embedders",
      "PATCH",
      { embedders: { mine: null, remote: null, other: { source: "userProvided", dimensions: 3 } } },
    ],
  ] as const)(
    "are found and set back: %s",
    async (_, method, body) => {
      const path = `${await onNodes("films")}/settings`;
      const before = await node(0).ok("GET", path);
      const seen = (await drifts("films")).length;
      await change(1, method, path, body);
      expect(await node(1).ok("GET", path)).not.toEqual(before);
      await fleet.eventually(async () => {
        const found = await drifts("films");
        return found.length > seen && found[0]?.outcome === DriftOutcome.REPAIRED ? true : undefined;
      });
      expect(nodeFingerprint(await node(1).ok("GET", path))).toBe(nodeFingerprint(before));
      expect((await drifts("films"))[0]).toMatchObject({ indexUid: "films", nodeId: "node-1" });
      // The client sees nothing of it.
      expect(await fleet.api.ok("GET", "/indexes/films/settings")).toMatchObject({
        displayedAttributes: ["id", "title"],
        stopWords: ["the"],
      });
      await fleet.eventually(async () => {
        const { headers } = await fleet.api.send("GET", "/indexes/films/settings");
        return headers["x-miroir-settings-inconsistent"] === undefined ? true : undefined;
      });
    },
    60_000,
  );

  realIt(
    "are not mistaken for changes that are under way",
    async () => {
      const before = (await drifts("plain")).length;
      for (let round = 0; round < 6; round++) {
        const { taskUid } = await fleet.api.ok<{ taskUid: number }>("PATCH", "/indexes/plain/settings", {
          stopWords: [`word${round}`],
        });
        await fleet.api.waitForTask(taskUid);
      }
      await checkedAgain();
      expect((await drifts("plain")).length).toBe(before);
      expect(await fleet.api.ok("GET", "/indexes/plain/settings/stop-words")).toEqual(["word5"]);
      const path = `${await onNodes("plain")}/settings/stop-words`;
      for (const at of [0, 1, 2]) expect(await node(at).ok("GET", path)).toEqual(["word5"]);
    },
    90_000,
  );

  realIt(
    "are set back on nodes that made a change which failed on others",
    async () => {
      const send = async (method: string, path: string, body: unknown) => {
        const { taskUid } = await fleet.api.ok<{ taskUid: number }>(method, path, body);
        return fleet.api.waitForTask(taskUid);
      };
      await send("POST", "/indexes/single/documents?primaryKey=id", [{ id: 1 }]);
      const embedders = { e: { source: "userProvided", dimensions: 2 } };
      await expect(send("PATCH", "/indexes/single/settings", { embedders })).rejects.toThrow(
        "vector_embedding_error",
      );
      const path = `${await onNodes("single")}/settings/embedders`;
      await fleet.eventually(async () => {
        const all = await Promise.all([0, 1, 2].map((at) => node(at).ok("GET", path)));
        return all.every((one) => Object.keys(one).length === 0) ? true : undefined;
      });
      await send("POST", "/indexes/single/documents", [{ id: 2, _vectors: { e: [1] } }]);
    },
    60_000,
  );
});
