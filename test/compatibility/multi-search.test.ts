import { createHmac, randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "undici";
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
import { seededRandom } from "../support/random.js";
import {
  edgeRequests,
  type Film,
  INDEXES,
  type MultiSearchRequestCase,
  PLACES,
  placeOf,
  placeRequests,
  soundRequests,
} from "./multi-search-requests.js";

const realIt = realNodeOnly();

const films = readFileSync(new URL("../../samples/movies.ndjson", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Film);

describe("multi-searches, as one Meilisearch answers", () => {
  let plain: StartedNodes;
  let fleet: Fleet;
  let whole: MeilisearchHttp;

  beforeAll(async () => {
    if (!hasRealNode) return;
    [plain, fleet] = await Promise.all([
      startNodes(1),
      startFleet({ nodes: 3, replicationFactor: 1, masterKey: DEFAULT_MASTER_KEY }),
    ]);
    const [node] = plain.nodes;
    if (node === undefined) throw new Error("the plain node is missing");
    whole = meilisearchHttp(node.url, node.masterKey);
    await Promise.all([whole, fleet.api].map(load));
  }, 120_000);
  afterAll(async () => {
    await Promise.all([plain?.stop(), fleet?.stop()]);
  });

  realIt(
    "wrong and borderline requests are answered alike, byte for byte",
    { timeout: 120_000 },
    async () => {
      const differences: string[] = [];
      for (const body of edgeRequests) {
        const [got, wanted] = await ask(body);
        if (got !== wanted) differences.push(`${JSON.stringify(body)}\n  wanted ${wanted}\n     got ${got}`);
      }
      console.log(
        `multi-search: ${edgeRequests.length - differences.length} of ${edgeRequests.length} edge requests equal`,
      );
      expect(differences.join("\n")).toBe("");
    },
  );

  realIt("sound requests give the same hits, totals and facets", { timeout: 170_000 }, async () => {
    const random = seededRandom(SEED);
    const { rows, notes } = await compare(soundRequests(films, random, COUNT));
    // Nodes know other words than the whole does, which can change what matches a typo or a prefix.
    expect(equal(rows, "hits"), notes).toBeGreaterThanOrEqual(0.98);
    const counted = rows.filter((row) => row.kind !== "distinct");
    expect(equal(counted, "totals"), notes).toBeGreaterThanOrEqual(0.99);
    expect(equal(counted, "facets"), notes).toBeGreaterThanOrEqual(0.99);
  });

  realIt("also by distance, by vectors and under rules in another order", { timeout: 170_000 }, async () => {
    const { rows, notes } = await compare(placeRequests(films, seededRandom(SEED), COUNT / 2));
    expect(equal(rows, "hits"), notes).toBeGreaterThanOrEqual(0.98);
    const counted = rows.filter((row) => !row.kind.includes("distinct"));
    expect(equal(counted, "totals"), notes).toBeGreaterThanOrEqual(0.98);
  });

  realIt("metadata, keys and tenant tokens count query by query", { timeout: 60_000 }, async () => {
    const [key, uid] = [{ actions: ["search"], indexes: ["films"], expiresAt: null }, randomUUID()];
    const films = { indexUid: "films", q: "love" };
    const bodies = [
      { queries: [{ ...films, limit: 2 }, { indexUid: "reels" }] },
      { queries: [{ ...films, limit: 2 }] },
      { queries: [{ ...films, filter: "genres = Drama", limit: 2 }] },
      { queries: [{ indexUid: "reels", limit: 1 }], federation: {} },
      { queries: [films, { indexUid: "reels", filter: "year >" }], federation: {} },
      { queries: [films, { indexUid: "films" }], federation: { limit: 30 } },
      { queries: [{ indexUid: "films", filter: "nope = 1" }], federation: {} },
      { queries: [{ indexUid: "films", facets: ["title"] }] },
      { queries: [{ indexUid: "reels" }, { indexUid: "films", foo: 1 }] },
    ];
    const made = await Promise.all(
      [fleet.api, whole].map((server) => server.ok<{ key: string }>("POST", "/keys", { ...key, uid })),
    );
    const [secret] = made.map((one) => one.key);
    if (secret === undefined) throw new Error("no key was made");
    const tenant = tenantToken(uid, secret, { films: { filter: "year < 1994" }, "r*": null });
    const differences: string[] = [];
    for (const token of [DEFAULT_MASTER_KEY, secret, tenant]) {
      const headers = { "meili-include-metadata": "true", authorization: `Bearer ${token}` };
      for (const body of bodies) {
        const [got, wanted] = await ask(body, headers);
        if (got !== wanted) differences.push(`${JSON.stringify(body)}\n  wanted ${wanted}\n     got ${got}`);
      }
    }
    expect(differences.join("\n")).toBe("");
  });

  async function compare(
    requests: readonly MultiSearchRequestCase[],
  ): Promise<{ rows: Row[]; notes: string }> {
    const kinds = new Map<string, Row>();
    const notes: string[] = [];
    for (const { kind, body } of requests) {
      const [got, wanted] = await ask(body);
      const row = kinds.get(kind) ?? { kind, asked: 0, equal: 0, hits: 0, totals: 0, facets: 0 };
      kinds.set(kind, row);
      row.asked++;
      if (got === wanted) row.equal++;
      const [own, other] = [partsOf(got), partsOf(wanted)];
      const differing = PARTS.filter((part) => own[part] !== other[part]);
      for (const part of PARTS) if (!differing.includes(part)) row[part]++;
      if (differing.length > 0) {
        notes.push(`${kind} [${differing}] ${JSON.stringify(body)}\n  wanted ${wanted}\n     got ${got}`);
      }
    }
    const rows = [...kinds.values()];
    console.table(rows);
    if (process.env.MULTI_SEARCH_NOTES !== undefined)
      writeFileSync(process.env.MULTI_SEARCH_NOTES, notes.join("\n"), { flag: "a" });
    return { rows, notes: notes.join("\n") };
  }

  async function ask(
    body: unknown,
    headers: Readonly<Record<string, string>> = { authorization: `Bearer ${DEFAULT_MASTER_KEY}` },
  ): Promise<[string, string]> {
    const [got, wanted] = await Promise.all(
      [fleet.api, whole].map(async ({ url }) => {
        const answer = await request(`${url}/multi-search`, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: JSON.stringify(body),
        });
        return `${answer.statusCode} ${stable(await answer.body.text())}`;
      }),
    );
    return [got ?? "", wanted ?? ""];
  }
});

const SEED = Number(process.env.MULTI_SEARCH_SEED ?? 5);
const COUNT = Number(process.env.MULTI_SEARCH_COUNT ?? 200);

const PARTS = ["hits", "totals", "facets"] as const;

/** How many requests of a kind were answered alike: byte for byte, and part by part. */
interface Row {
  readonly kind: string;
  asked: number;
  equal: number;
  hits: number;
  totals: number;
  facets: number;
}

/** The share of requests of which a part was answered alike. */
function equal(rows: readonly Row[], part: (typeof PARTS)[number]): number {
  const sum = (of: "asked" | typeof part): number => rows.reduce((total, row) => total + row[of], 0);
  return sum(part) / sum("asked");
}

/** A token for searches under rules, signed with a key. */
function tenantToken(apiKeyUid: string, key: string, searchRules: unknown): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ apiKeyUid, searchRules })}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

function stable(text: string): string {
  return text
    .replace(/"processingTimeMs":\d+/g, '"processingTimeMs":0')
    .replace(/"requestUid":"[0-9a-f-]{36}"/g, '"requestUid":""')
    .replace(/"queryUid":"[0-9a-f-]{36}"/g, '"queryUid":""');
}

function partsOf(answer: string): { hits: string; totals: string; facets: string } {
  const body = JSON.parse(answer.slice(answer.indexOf(" ") + 1)) as Record<string, unknown>;
  const results = (Array.isArray(body.results) ? body.results : [body]) as Record<string, unknown>[];
  const only = (...names: string[]): string =>
    JSON.stringify(results.map((result) => names.map((name) => result[name])));
  return {
    hits: JSON.stringify(results.map((result) => withoutHighlights(result.hits))),
    totals: only("estimatedTotalHits", "totalHits", "totalPages", "limit", "offset", "page", "hitsPerPage"),
    facets: sorted(only("facetDistribution", "facetStats", "facetsByIndex")),
  };
}

/** What is highlighted in a word with typos follows a node's own dictionary. */
function withoutHighlights(hits: unknown): unknown {
  return ((hits ?? []) as Record<string, unknown>[]).map(({ _formatted, _matchesPosition, ...hit }) => hit);
}

/** Values with the same count have no order that could be told: it follows the shape of a node's tree of facets. */
function sorted(json: string): string {
  return JSON.stringify(JSON.parse(json), (_name, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}

async function load(server: MeilisearchHttp): Promise<void> {
  const half = Math.floor(films.length / 2);
  const first = films.slice(0, half + 200);
  const second = films.slice(half - 200);
  const parts = { films: first, reels: second, places: first.map(placeOf), spots: second.map(placeOf) };
  for (const [uid, settings] of Object.entries({ ...INDEXES, ...PLACES })) {
    const tasks = [
      await server.ok<{ taskUid: number }>("POST", "/indexes", { uid, primaryKey: "id" }),
      await server.ok<{ taskUid: number }>("PATCH", `/indexes/${uid}/settings`, settings),
      await server.ok<{ taskUid: number }>(
        "POST",
        `/indexes/${uid}/documents`,
        parts[uid as keyof typeof parts],
      ),
    ];
    for (const { taskUid } of tasks) await server.waitForTask(taskUid);
  }
}
