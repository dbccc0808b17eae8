import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import {
  DEFAULT_MASTER_KEY,
  hasRealNode,
  realNodeOnly,
  type StartedNodes,
  startNodes,
} from "../support/nodes.js";

const realIt = realNodeOnly();

const FILMS = Array.from({ length: 700 }, (_, id) => ({
  id,
  title: `film ${id} é\u2028`,
  genre: ["drama", "comedy", "horror"][id % 3],
  price: id / 7,
  _vectors: id % 5 === 0 ? { own: null } : { own: [id, 1, 0.1] },
}));
/** Integers that a double does not hold, as text. */
const BIG =
  '[{"key":"a","n":12345678901234567890},{"key":"b","n":1.0,"deep":{"x":[1,{"y":null}]}},{"key":"c"}]';

const SETTINGS = {
  filterableAttributes: [
    "genre",
    { attributePatterns: ["price"], features: { filter: { equality: true, comparison: true } } },
  ],
  sortableAttributes: ["price"],
  displayedAttributes: ["id", "title", "genre", "price", "_vectors"],
  rankingRules: ["words", "price:desc"],
  stopWords: ["the"],
  synonyms: { film: ["movie"] },
  distinctAttribute: null,
  embedders: { own: { source: "userProvided", dimensions: 3 } },
  pagination: { maxTotalHits: 2_000 },
};

async function fill(api: MeilisearchHttp): Promise<void> {
  const send = async (method: string, path: string, body: unknown): Promise<void> => {
    const { taskUid } = await api.ok<{ taskUid: number }>(method, path, body);
    await api.waitForTask(taskUid);
  };
  await send("POST", "/indexes", { uid: "films", primaryKey: "id" });
  await send("PATCH", "/indexes/films/settings", SETTINGS);
  await send("POST", "/indexes/films/documents", FILMS.slice(0, 400));
  await send("POST", "/indexes/films/documents", FILMS.slice(400));
  await send("DELETE", "/indexes/films/documents/13", undefined);
  await send("POST", "/indexes/big/documents?primaryKey=key", BIG);
  await send("POST", "/indexes", { uid: "empty" });
  await send("PUT", "/indexes/empty/settings/stop-words", ["of"]);
}

/** Runs an export; resolves with its finished task, what servers may say differently taken out. */
async function exported(api: MeilisearchHttp, body: Readonly<Record<string, unknown>>): Promise<string> {
  const { taskUid } = await api.ok<{ taskUid: number }>("POST", "/export", body);
  await api.waitForTask(taskUid).catch(() => undefined);
  const { status, type, details, error } = await api.ok("GET", `/tasks/${taskUid}`);
  return JSON.stringify({ status, type, details, error }).replaceAll(String(body.url), "<target>");
}

/** Everything that a server holds, in an order of its own. */
async function contents(api: MeilisearchHttp): Promise<Readonly<Record<string, unknown>>> {
  const settled = async (): Promise<boolean> =>
    (await api.ok<{ total: number }>("GET", "/tasks?statuses=enqueued,processing")).total === 0;
  while (!(await settled())) await new Promise((resolve) => setTimeout(resolve, 50));
  const held: Record<string, unknown> = {};
  const { results } = await api.ok<{ results: { uid: string; primaryKey: string | null }[] }>(
    "GET",
    "/indexes",
  );
  for (const { uid, primaryKey } of results) {
    const path = `/indexes/${uid}/documents?limit=2000&retrieveVectors=true`;
    const { text } = await api.send("GET", path);
    // As texts: numbers must arrive with all their digits.
    const documents = text
      .slice(text.indexOf("[") + 1, text.lastIndexOf("]"))
      .split(/,(?=\{"(?:id|key)":)/)
      .sort();
    held[uid] = { primaryKey, settings: await api.ok("GET", `/indexes/${uid}/settings`), documents };
  }
  return held;
}

describe("what an export leaves on another Meilisearch, beside that of a plain node", () => {
  const key = DEFAULT_MASTER_KEY;
  let nodes: StartedNodes;
  let targets: StartedNodes;
  let fleet: Fleet;
  let guarded: Fleet;

  beforeAll(async () => {
    if (!hasRealNode) return;
    [nodes, targets, fleet] = await Promise.all([
      startNodes(1, { args: ["--experimental-allowed-ip-networks", "any"] }),
      startNodes(2),
      startFleet({
        nodes: 3,
        replicationFactor: 2,
        shards: 8,
        masterKey: key,
        controlConfig: { allowed_ip_networks: ["127.0.0.1"] },
      }),
    ]);
    guarded = await startFleet({ nodes: 1, replicationFactor: 1, shards: 2, masterKey: key });
    await Promise.all([sides().plain, sides().fleet].map(fill));
  }, 120_000);
  afterAll(async () => {
    await guarded?.stop();
    await fleet?.stop();
    await targets?.stop();
    await nodes?.stop();
  });

  const sides = () => ({
    plain: meilisearchHttp(nodes.nodes[0]?.url ?? "", key),
    fleet: meilisearchHttp(fleet.api.url, key),
  });
  const target = (at: number): MeilisearchHttp => meilisearchHttp(targets.nodes[at]?.url ?? "", key);

  /** Has each side export to a target of its own, and compares tasks and contents. */
  const compare = async (body: Readonly<Record<string, unknown>>): Promise<string> => {
    const { plain, fleet: miroir } = sides();
    const [wanted, got] = await Promise.all(
      [plain, miroir].map((api, at) => exported(api, { url: target(at).url, apiKey: key, ...body })),
    );
    expect(got).toBe(wanted);
    expect(await contents(target(1))).toEqual(await contents(target(0)));
    return got ?? "";
  };

  realIt("all indexes, in many payloads", { timeout: 120_000 }, async () => {
    const task = await compare({ payloadSize: "20 KB" });
    expect(task).toContain('"films":{"filter":null,"overrideSettings":false,"matched_documents":699}');
    const text = JSON.stringify(await contents(target(1)));
    expect(text).not.toContain("_miroir_");
    expect(text).toContain("12345678901234567890");
  });

  realIt("some documents, over what is there; settings only when asked", { timeout: 120_000 }, async () => {
    for (const api of [target(0), target(1)]) {
      await api.ok("PUT", "/indexes/films/settings/stop-words", ["mine"]);
      const { taskUid } = await api.ok<{ taskUid: number }>("DELETE", "/indexes/films/documents");
      await api.waitForTask(taskUid);
    }
    const kept = await compare({ indexes: { "fi*": { filter: ["genre = drama", "price < 50"] } } });
    expect(kept).toContain('"matched_documents":117');
    expect(JSON.stringify(await contents(target(1)))).toContain('"stopWords":["mine"]');
    await compare({ indexes: { films: { overrideSettings: true, filter: "price > 90" }, none: {} } });
    expect(JSON.stringify(await contents(target(1)))).toContain('"stopWords":["the"]');
  });

  realIt("a remote that refuses", { timeout: 60_000 }, async () => {
    await compare({ apiKey: "not-the-key-of-the-target" });
  });

  realIt("another fleet as the remote", { timeout: 120_000 }, async () => {
    const task = await exported(sides().fleet, { url: guarded.api.url, apiKey: key });
    expect(task).toContain('"status":"succeeded"');
    const remote = await contents(meilisearchHttp(guarded.api.url, key));
    expect(remote).toEqual(await contents(sides().fleet));
  });

  realIt("a local address that is not allowed", { timeout: 60_000 }, async () => {
    const api = meilisearchHttp(guarded.api.url, key);
    const task = await exported(api, { url: target(0).url, apiKey: key });
    expect(task).toContain("allowed_ip_networks");
    expect(await exported(api, { url: "nowhere" })).toContain("http://");
  });
});
