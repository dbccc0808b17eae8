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
import { startWebhookReceiver, type WebhookReceiver } from "../support/webhook-receiver.js";

const realIt = realNodeOnly();
const TOKEN = "Bearer a-secret-of-the-configuration";

type Operation = readonly [method: string, path: string, body?: unknown];

/** Each is a task of its own, which the next one waits for. */
const OPERATIONS: readonly Operation[] = [
  ["POST", "/indexes", { uid: "films", primaryKey: "id" }],
  ["POST", "/indexes", { uid: "films" }],
  [
    "POST",
    "/indexes/films/documents",
    [
      { id: 1, title: "é\u2028" },
      { id: 12345678901234, _vectors: { e: null } },
    ],
  ],
  ["PUT", "/indexes/films/documents?customMetadata=mine", [{ id: 1, price: 1.5 }]],
  ["POST", "/indexes/films/documents", [{ noId: true }]],
  ["PATCH", "/indexes/films/settings", { filterableAttributes: ["price"], stopWords: ["the"] }],
  [
    "PATCH",
    "/indexes/films/settings",
    { embedders: { e: { source: "userProvided", dimensions: 2 } }, synonyms: { a: ["b"] } },
  ],
  ["DELETE", "/indexes/films/settings/filterable-attributes"],
  ["POST", "/indexes/films/documents/delete-batch", [1, 7]],
  ["POST", "/indexes/films/documents/delete", { filter: "price > 1" }],
  ["DELETE", "/indexes/films/documents/12345678901234"],
  ["DELETE", "/indexes/films/documents"],
  ["POST", "/swap-indexes", [{ indexes: ["films", "nothing"] }]],
  ["PATCH", "/indexes/films", { uid: "movies" }],
  ["DELETE", "/indexes/movies"],
  ["DELETE", "/indexes/nothing"],
  ["POST", "/tasks/cancel?uids=0"],
  ["DELETE", "/tasks?statuses=canceled"],
];

/** Runs the operations one after the other; resolves with the uids of their tasks. */
async function operate(api: MeilisearchHttp): Promise<readonly number[]> {
  const uids: number[] = [];
  for (const [method, path, body] of OPERATIONS) {
    const { taskUid } = await api.ok<{ taskUid: number }>(method, path, body);
    uids.push(taskUid);
    await api.waitForTask(taskUid).catch(() => undefined);
  }
  return uids;
}

/** Events with what servers may say differently taken out, in the order of the tasks. */
function comparable(events: readonly string[], uids: readonly number[]): readonly string[] {
  const uidOf = (event: string): number => (JSON.parse(event) as { uid: number }).uid;
  return [...new Set(events)]
    .sort((a, b) => uidOf(a) - uidOf(b))
    .map((event) =>
      event
        .replace(/"uid":(\d+)/, (_, uid: string) => `"uid":${uids.indexOf(Number(uid))}`)
        .replace(/"batchUid":\d+/, '"batchUid":0')
        .replace(/"duration":"PT[0-9.]+S"/, '"duration":"PT1S"')
        .replace(/"(enqueuedAt|startedAt|finishedAt)":"[^"]*"/g, '"$1":""'),
    );
}

describe("what webhooks are told, beside a plain node", () => {
  let receiver: WebhookReceiver;
  let plain: StartedNodes;
  let fleet: Fleet;

  beforeAll(async () => {
    if (!hasRealNode) return;
    receiver = await startWebhookReceiver();
    const [started, startedFleet] = await Promise.all([
      startNodes(1, {
        args: [
          "--experimental-allowed-ip-networks",
          "any",
          "--task-webhook-url",
          `${receiver.url}/plain-configured`,
          "--task-webhook-authorization-header",
          TOKEN,
        ],
      }),
      startFleet({
        nodes: 2,
        replicationFactor: 1,
        shards: 8,
        masterKey: DEFAULT_MASTER_KEY,
        controlConfig: {
          allowed_ip_networks: ["127.0.0.0/8"],
          task_webhook_url: `${receiver.url}/fleet-configured`,
          task_webhook_authorization_header: TOKEN,
        },
      }),
    ]);
    plain = started;
    fleet = startedFleet;
  }, 60_000);
  afterAll(async () => {
    await fleet?.stop();
    await plain?.stop();
    await receiver?.close();
  });

  realIt("the same events for the same operations", { timeout: 120_000 }, async () => {
    const [node] = plain.nodes;
    const sides = {
      plain: meilisearchHttp(node?.url ?? "", DEFAULT_MASTER_KEY),
      fleet: meilisearchHttp(fleet.api.url, DEFAULT_MASTER_KEY),
    };
    const lists = await Promise.all(
      Object.entries(sides).map(async ([name, api]) => {
        await api.ok("POST", "/webhooks", {
          url: `${receiver.url}/${name}?a=b`,
          headers: { "X-Mine": "é", authorization: "Basic YTpi" },
        });
        return (await api.ok<{ results: object[] }>("GET", "/webhooks")).results.map((webhook) =>
          JSON.stringify(webhook)
            .replaceAll(`/${name}`, "/side")
            .replace(/"uuid":"(?!00000000-0000-)[^"]*"/, '"uuid":""'),
        );
      }),
    );
    expect(lists[1]?.sort()).toEqual(lists[0]?.sort());

    const [plainUids, fleetUids] = await Promise.all([operate(sides.plain), operate(sides.fleet)]);
    for (const suffix of ["-configured", "?a=b"]) {
      const enough = (path: string): boolean => new Set(receiver.events(path)).size >= OPERATIONS.length;
      await fleet.until(() => enough(`/plain${suffix}`) && enough(`/fleet${suffix}`));
      expect(comparable(receiver.events(`/fleet${suffix}`), fleetUids)).toEqual(
        comparable(receiver.events(`/plain${suffix}`), plainUids),
      );
    }
    const headersTo = (path: string) => {
      const { headers = {} } = receiver.requests.find((request) => request.path === path) ?? {};
      const names = ["accept", "authorization", "content-encoding", "content-type", "x-mine"];
      return names.map((name) => [name, headers[name]]);
    };
    expect(headersTo("/fleet?a=b")).toEqual(headersTo("/plain?a=b"));
    expect(headersTo("/fleet-configured")).toEqual(headersTo("/plain-configured"));
    expect(receiver.requests.some(({ lines }) => lines.join().includes("_miroir_"))).toBe(false);
  });
});
