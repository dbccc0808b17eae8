import { readFileSync } from "node:fs";
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
import { edgeRequests, type Film, INDEXES, soundRequests } from "./multi-search-requests.js";

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
    const kinds = new Map<string, Tally>();
    const notes: string[] = [];
    for (const { kind, body } of soundRequests(films, seededRandom(SEED), COUNT)) {
      const [got, wanted] = await ask(body);
      const tally = kinds.get(kind) ?? { asked: 0, equal: 0, hits: 0, totals: 0, facets: 0 };
      kinds.set(kind, tally);
      tally.asked++;
      if (got === wanted) tally.equal++;
      const [own, other] = [partsOf(got), partsOf(wanted)];
      for (const part of ["hits", "totals", "facets"] as const) if (own[part] === other[part]) tally[part]++;
      if (got !== wanted) {
        const where = (["hits", "totals", "facets"] as const).filter((part) => own[part] !== other[part]);
        notes.push(`${kind} [${where.join()}] ${JSON.stringify(body)}\n  wanted ${wanted}\n     got ${got}`);
      }
    }
    const rows = [...kinds].map(([kind, tally]) => ({ kind, ...tally }));
    console.table(rows);
    if (process.env.MULTI_SEARCH_NOTES !== undefined) console.log(notes.join("\n"));
    const sum = (of: (row: Tally) => number): number => rows.reduce((total, row) => total + of(row), 0);
    expect(sum((row) => row.asked)).toBe(COUNT);
    // Nodes know other words than the whole does, which can change what matches a typo or a prefix.
    expect(
      sum((row) => row.hits),
      notes.join("\n"),
    ).toBeGreaterThanOrEqual(COUNT * 0.98);
    const counted = rows.filter((row) => row.kind !== "distinct");
    for (const part of ["totals", "facets"] as const) {
      const equal = counted.reduce((total, row) => total + row[part], 0);
      const asked = counted.reduce((total, row) => total + row.asked, 0);
      expect(equal, notes.join("\n")).toBeGreaterThanOrEqual(asked * 0.99);
    }
  });

  async function ask(body: unknown): Promise<[string, string]> {
    const [got, wanted] = await Promise.all(
      [fleet.api, whole].map(async (server) => {
        const answer = await server.send("POST", "/multi-search", body === "text" ? '"text"' : body);
        return `${answer.status} ${stable(answer.text)}`;
      }),
    );
    return [got ?? "", wanted ?? ""];
  }
});

const SEED = Number(process.env.MULTI_SEARCH_SEED ?? 5);
const COUNT = Number(process.env.MULTI_SEARCH_COUNT ?? 200);

interface Tally {
  asked: number;
  equal: number;
  hits: number;
  totals: number;
  facets: number;
}

function stable(text: string): string {
  return text
    .replace(/"processingTimeMs":\d+/g, '"processingTimeMs":0')
    .replace(/"requestUid":"[0-9a-f-]{36}"/g, '"requestUid":""');
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
  const parts = { films: films.slice(0, half + 200), reels: films.slice(half - 200) };
  for (const [uid, settings] of Object.entries(INDEXES)) {
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
