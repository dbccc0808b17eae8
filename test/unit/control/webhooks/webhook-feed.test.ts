import { gunzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import pino from "pino";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { enqueuedTask } from "../../../../src/control/tasks/enqueued-task.js";
import { enterConfiguredWebhook } from "../../../../src/control/webhooks/configured-webhook.js";
import { announcing } from "../../../../src/control/webhooks/finished-tasks.js";
import { WebhookFeed } from "../../../../src/control/webhooks/webhook-feed.js";
import { createWebhookMetrics } from "../../../../src/control/webhooks/webhook-metrics.js";
import { ResourceSchema, type Topology, TopologySchema } from "../../../../src/gen/miroir/v1/topology_pb.js";
import {
  type OutboundHttp,
  OutboundRefusedError,
  type OutboundRequest,
  OutboundUnavailableError,
} from "../../../../src/outbound/outbound-http.js";
import { createSystemWorld } from "../../../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../../../src/store/sqlite/sqlite-task-store.js";
import { type FencingToken, leaseScope, type TaskStore, taskUid } from "../../../../src/store/task-store.js";
import { printWebhooks, WEBHOOKS } from "../../../../src/webhooks/stored-webhooks.js";

const world = createSystemWorld();
const RETRIES = [5, 5];

/** The other side of every webhook. */
class Outside implements OutboundHttp {
  readonly requests: OutboundRequest[] = [];
  answer: () => number | Error = () => 200;

  async request(request: OutboundRequest) {
    this.requests.push(request);
    const answer = this.answer();
    if (answer instanceof Error) throw answer;
    return { status: answer, body: Buffer.alloc(0) };
  }

  async close(): Promise<void> {}

  /** Uids of all tasks that were told, once for each time. */
  told(): readonly number[] {
    return this.requests.flatMap(({ body }) =>
      gunzipSync(body as Buffer)
        .toString()
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { uid: number }).uid),
    );
  }
}

let plain: TaskStore;
let store: TaskStore;
let fence: FencingToken;
let outside: Outside;
let metrics: ReturnType<typeof createWebhookMetrics>;
let feed: WebhookFeed;

const configured = (): Topology => {
  const topology = create(TopologySchema, {});
  enterConfiguredWebhook(topology, { url: "http://example.com/tasks" }, world.clock.now());
  return topology;
};
const begin = (): void => {
  feed = new WebhookFeed({
    store: plain,
    outbound: outside,
    fence: () => fence,
    world,
    logger: pino({ level: "silent" }),
    metrics,
    tuning: { retriesMs: RETRIES },
  });
};
const finish = async (first: number, count: number): Promise<void> => {
  const now = world.clock.now();
  const rows = Array.from({ length: count }, (_, at) => ({
    ...enqueuedTask({
      uid: taskUid(first + at),
      indexUid: "films",
      instance: null,
      type: "indexCreation",
      detailsJson: '{"primaryKey":null}',
      enqueuedAt: now,
    }),
    status: "succeeded" as const,
    startedAt: now,
    finishedAt: now,
  }));
  for (let at = 0; at < count; at += 1_000) await store.tasks.upsert(rows.slice(at, at + 1_000), fence);
};
const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  for (const end = performance.now() + 30_000; !(await condition()); ) {
    if (performance.now() > end) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
const counted = async (outcome: string): Promise<number> =>
  (await metrics.events.get()).values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;

beforeEach(async () => {
  plain = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
  store = announcing(plain, (rows) => feed.finished(rows));
  const scope = leaseScope("leader");
  const lease = await plain.lease.acquire({ scope, holder: "test", ttlMs: 60_000 });
  fence = { scope, holder: "test", term: lease?.term ?? 0 };
  outside = new Outside();
  metrics = createWebhookMetrics(new Registry());
  begin();
});
afterEach(async () => {
  await feed.stop();
  await plain.close();
});

describe("the feed of webhooks", () => {
  it("tells each finished task once, however often it is recorded", async () => {
    feed.published(configured());
    await finish(1, 3);
    await until(() => outside.told().length === 3);
    await finish(1, 4);
    await until(() => outside.told().length >= 4);
    expect([...outside.told()].sort()).toEqual([1, 2, 3, 4]);
    expect(outside.requests[0]?.headers).toMatchObject({ "content-encoding": "gzip" });
  });

  it("sends the webhook's headers, but for those of the connection and the body", async () => {
    const topology = create(TopologySchema, {});
    const headers = [
      ["Connection", "close"],
      ["Content-Encoding", "none"],
      ["Transfer-Encoding", "chunked"],
      ["User-Agent", "mine"],
      ["X-Mine", "é"],
    ] as const;
    const webhook = { uuid: "a", url: "http://example.com", headers, createdAt: 0 };
    topology.resources = [
      create(ResourceSchema, { name: WEBHOOKS, json: printWebhooks([webhook]), version: 1n }),
    ];
    feed.published(topology);
    await finish(1, 1);
    await until(() => outside.requests.length === 1);
    expect(outside.requests[0]?.headers).toEqual({
      accept: "*/*",
      "content-encoding": "gzip",
      "content-type": "application/x-ndjson",
      "user-agent": "mine",
      "x-mine": Buffer.from("é").toString("latin1"),
    });
  });

  it("tries again what may pass, and gives up after that", async () => {
    outside.answer = () => (outside.requests.length === 1 ? new OutboundUnavailableError("away") : 503);
    feed.published(configured());
    await finish(1, 1);
    await until(async () => (await counted("dropped")) === 1);
    expect(outside.requests).toHaveLength(RETRIES.length + 1);
    outside.answer = () => 200;
    await finish(2, 1);
    await until(() => outside.told().includes(2));
  });

  it.each([
    ["a refusal for good", () => 404],
    ["an address that must not be called", () => new OutboundRefusedError("local")],
  ])("does not repeat %s", async (_, answer) => {
    outside.answer = answer;
    feed.published(configured());
    await finish(1, 1);
    await until(async () => (await counted("dropped")) === 1);
    expect(outside.requests).toHaveLength(1);
  });

  it("tells more tasks than can wait", { timeout: 60_000 }, async () => {
    outside.answer = () => 503;
    feed.published(configured());
    await finish(1, 1);
    await until(() => outside.requests.length === 1);
    await finish(2, 12_000);
    outside.answer = () => 200;
    await until(() => new Set(outside.told()).size === 12_001);
  });

  it("goes on where another leader has stopped", async () => {
    outside.answer = () => 503;
    const topology = configured();
    feed.published(topology);
    await finish(1, 2);
    await until(() => outside.requests.length > 0);
    await feed.stop();
    outside.answer = () => 200;
    begin();
    feed.published(topology);
    await until(() => [1, 2].every((uid) => outside.told().includes(uid)));
  });

  it("tells a new webhook nothing of the past, and a removed one nothing more", async () => {
    await finish(1, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const topology = configured();
    feed.published(topology);
    await finish(2, 1);
    await until(() => outside.told().length > 0);
    enterConfiguredWebhook(topology, undefined, world.clock.now());
    feed.published(topology);
    await finish(3, 1);
    expect(outside.told()).toEqual([2]);
    await until(async () => (await plain.cdcCursors.list()).length === 0);
  });
});
