import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { realNodeOnly, type StartedNodes, startNodes } from "../support/nodes.js";

const INDEX = "films";
const documents = Array.from({ length: 40 }, (_, id) => ({
  id,
  title: `film number ${id % 7}`,
  price: (id * 7) % 11,
  tag: id % 2 === 0 ? "even" : "odd",
}));

let fleet: Fleet;
let plain: StartedNodes;
let single: MeilisearchHttp;

beforeAll(async () => {
  [fleet, plain] = await Promise.all([startFleet({ nodes: 3, replicationFactor: 1 }), startNodes(1)]);
  const [node] = plain.nodes;
  if (node === undefined) throw new Error("the single node did not start");
  single = meilisearchHttp(node.url, node.masterKey);
  await both("POST", `/indexes/${INDEX}/documents?primaryKey=id`, documents);
  await both("PATCH", `/indexes/${INDEX}/settings`, {
    filterableAttributes: ["tag"],
    sortableAttributes: ["price"],
    displayedAttributes: ["title", "id"],
  });
}, 60_000);
afterAll(async () => {
  await Promise.all([fleet?.stop(), plain?.stop()]);
});

/** Enqueues the same task on both and resolves with what both tell of it at its end. */
async function both(method: string, path: string, body?: unknown): Promise<readonly [unknown, unknown]> {
  const tell = async (server: MeilisearchHttp) => {
    const { taskUid } = await server.ok<{ taskUid: number }>(method, path, body);
    await server.waitForTask(taskUid).catch(() => undefined);
    const { status, type, details, error } = await server.ok("GET", `/tasks/${taskUid}`);
    return { status, type, details, error };
  };
  const [ofFleet, ofSingle] = await Promise.all([tell(fleet.api), tell(single)]);
  return [ofFleet, ofSingle];
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What both answer, without what differs from request to request. */
async function answers(method: string, path: string, body?: unknown): Promise<readonly [Answer, Answer]> {
  const ask = async (server: MeilisearchHttp) => {
    const { status, text } = await server.send(method, path, body);
    const { requestUid, processingTimeMs, ...rest } = JSON.parse(text) as Record<string, unknown>;
    return { status, body: rest };
  };
  return [await ask(fleet.api), await ask(single)];
}

describe("displayedAttributes", () => {
  it.each([
    { q: "film", sort: ["price:asc"], limit: 30, showRankingScoreDetails: true },
    { q: "number", sort: ["price:desc"], attributesToRetrieve: ["price", "id"], showMatchesPosition: true },
    { q: "", filter: "tag = odd", attributesToHighlight: ["*"], facets: ["tag"] },
    { q: "film", distinct: "tag" },
  ])("hide in searches what one node hides: %j", async (body) => {
    const [ours, theirs] = await answers("POST", `/indexes/${INDEX}/search`, body);
    expect(ours.status).toBe(200);
    // Totals under distinct are estimates.
    const { estimatedTotalHits: _, ...shown } = ours.body;
    expect(theirs.body).toMatchObject(shown);
  });

  it.each([
    ["GET", "/documents/3", undefined],
    ["GET", "/documents?limit=3&fields=id,price", undefined],
    ["POST", "/documents/fetch", { filter: "tag = odd", limit: 4 }],
    ["GET", "/settings", undefined],
    ["GET", "/settings/displayed-attributes", undefined],
  ])("read the same at %s %s", async (method, path, body) => {
    const [ours, theirs] = await answers(method, `/indexes/${INDEX}${path}`, body);
    expect(ours).toEqual(theirs);
  });

  it("follow changes and resets, in tasks and in settings", async () => {
    for (const [method, path, body] of [
      ["PUT", "/settings/displayed-attributes", ["id", "*"]],
      ["PATCH", "/settings", { displayedAttributes: ["price", "id"], stopWords: ["the"] }],
      ["PATCH", "/settings", { displayedAttributes: null, stopWords: null }],
      ["PUT", "/settings/displayed-attributes", []],
      ["DELETE", "/settings/displayed-attributes", undefined],
      ["PATCH", "/settings", { displayedAttributes: ["title", "id"] }],
    ] as const) {
      const [ours, theirs] = await both(method, `/indexes/${INDEX}${path}`, body);
      expect(ours).toEqual(theirs);
      const [now, expected] = await answers("GET", `/indexes/${INDEX}/settings`);
      expect(now).toEqual(expected);
    }
  }, 60_000);

  it("of the last of several changes in a row count", async () => {
    const uids = [];
    for (const displayedAttributes of [["price"], null, ["id"], ["title", "id"]]) {
      const { taskUid } = await fleet.api.ok<{ taskUid: number }>("PATCH", `/indexes/${INDEX}/settings`, {
        displayedAttributes,
      });
      uids.push(taskUid);
    }
    for (const uid of uids) await fleet.api.waitForTask(uid);
    expect(await fleet.api.ok("GET", `/indexes/${INDEX}/settings/displayed-attributes`)).toEqual([
      "title",
      "id",
    ]);
  }, 60_000);
});

describe("errors", () => {
  realNodeOnly(it).each([
    ["POST", "/search", { filter: "title = x" }],
    ["POST", "/search", { filter: ["tag = odd", "title = x OR price > 3"] }],
    ["POST", "/search", { filter: "tag = odd AND (price" }],
    ["POST", "/search", { filter: '_miroir_shard = "(((("' }],
    ["POST", "/search", { sort: ["title:asc"] }],
    ["POST", "/search", { sort: ["_miroir_seq:asc"] }],
    ["POST", "/search", { facets: ["*"] }],
    ["POST", "/search", { facets: ["title"] }],
    ["POST", "/search", { distinct: "title" }],
    ["POST", "/search", { attributesToSearchOn: ["nothing"] }],
    ["POST", "/search", { limit: -1 }],
    ["POST", "/documents/fetch", { filter: "price = 3" }],
    ["POST", "/documents/fetch", { filter: "price = " }],
    ["POST", "/documents/fetch", { sort: ["title:asc"] }],
    ["GET", "/documents/none", undefined],
    ["POST", "/documents/delete", { filter: "tag = (" }],
    ["PATCH", "/settings", { displayedAttributes: [1] }],
    ["PATCH", "/settings", { displayedAttributes: "x" }],
    ["PATCH", "/settings", { rankingRules: ["nothing"] }],
    ["PUT", "/settings/filterable-attributes", [{ attributePatterns: 3 }]],
  ] as const)("are one node's words: %s %s %j", async (method, path, body) => {
    const [ours, theirs] = await answers(method, `/indexes/${INDEX}${path}`, body);
    expect(ours).toEqual(theirs);
  });

  realNodeOnly(it)("of tasks are one node's words", async () => {
    const [ours, theirs] = await both("POST", `/indexes/${INDEX}/documents/delete`, { filter: "title = x" });
    expect(ours).toEqual(theirs);
  });
});

describe("settings that would make Miroir's codes searchable", () => {
  it.each([
    [
      "/settings",
      "PATCH",
      { nonSeparatorTokens: ["@", ";"] },
      "non_separator_tokens",
      "`.nonSeparatorTokens[1]`",
    ],
    ["/settings/non-separator-tokens", "PUT", ["("], "non_separator_tokens", "`[0]`"],
    ["/settings", "PATCH", { dictionary: ["(,"] }, "dictionary", "`.dictionary[0]`"],
  ])("are refused: %s %s %j", async (path, method, body, code, place) => {
    const { status, text } = await fleet.api.send(method, `/indexes/${INDEX}${path}`, body);
    expect(status).toBe(400);
    const error = JSON.parse(text) as Record<string, unknown>;
    expect(error).toMatchObject({
      code: `invalid_settings_${code}`,
      type: "invalid_request",
      link: `https://docs.meilisearch.com/errors#invalid_settings_${code}`,
    });
    expect(error.message).toContain(`Invalid value at ${place}`);
  });
});
