import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { pino } from "pino";
import { Registry } from "prom-client";
import { request as undiciRequest } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import type { ControlTransport } from "../../../src/proxy/control-transport.js";
import type { ProxyConfig } from "../../../src/proxy/http/config.js";
import { createProxyMetrics } from "../../../src/proxy/http/metrics.js";
import { createProxyServer, type ProxyServer } from "../../../src/proxy/http/server.js";
import type { WriteLease } from "../../../src/proxy/topology/topology-view.js";
import type { WriteService } from "../../../src/proxy/write/write-service.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { createFakeNodes, type FakeNodes } from "./fake-nodes.js";
import { indexView, nodeViews, placeShards, settableTopology, topologyView } from "./views.js";

const MASTER_KEY = "a-master-key-of-some-length";
const HELD: ReturnType<WriteLease["state"]> = { kind: "held" };

interface Running {
  readonly url: string;
  readonly nodes: FakeNodes;
  readonly writes: { readonly request: Record<string, unknown>; readonly body: string }[];
  readonly server: ProxyServer;
}

interface StartOptions {
  readonly config?: Partial<ProxyConfig>;
  readonly lease?: ReturnType<WriteLease["state"]>;
  readonly withTopology?: boolean;
  readonly answerSearch?: () => Promise<void>;
}

const running: ProxyServer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function start(options: StartOptions = {}): Promise<Running> {
  const world = createSystemWorld();
  const nodes = createFakeNodes(world, ({ path }) => {
    if (path.startsWith("/search")) {
      const body = {
        hits: [{ id: 1 }],
        query: "",
        processingTimeMs: 1,
        limit: 20,
        offset: 0,
        estimatedTotalHits: 1,
      };
      return { status: 200, body };
    }
    return { status: 200, body: {} };
  });
  const layout = { groups: 1, nodesPerGroup: 2, replicationFactor: 1, shards: 4 };
  const topology = settableTopology();
  const views = nodeViews(layout);
  if (options.withTopology !== false) {
    topology.set(topologyView(views, [indexView("books", "id", placeShards(layout, views))]));
  }
  const seen: Running["writes"] = [];
  const accept = async (request: Record<string, unknown>, body = "") => {
    seen.push({ request, body });
    return {
      status: 202 as const,
      body: { taskUid: 7, indexUid: "books", status: "enqueued" as const, type: "t", enqueuedAt: "now" },
      degradedShards: [3, 7],
    };
  };
  const writes = {
    submit: async ({ body, ...request }: Parameters<WriteService["submit"]>[0]) => {
      let text = "";
      if (!["delete-all", "delete-one"].includes(request.kind)) for await (const chunk of body) text += chunk;
      if (text === "refuse") {
        throw new MeilisearchError(400, { message: "no", code: "x", type: "invalid_request", link: "l" });
      }
      return accept({ ...request }, text);
    },
    createIndex: (index: object) => accept({ call: "createIndex", ...index }),
    updateIndex: (uid: string, change: object) => accept({ call: "updateIndex", uid, ...change }),
    deleteIndex: (uid: string) => accept({ call: "deleteIndex", uid }),
    updateSettings: (write: object) => accept({ call: "updateSettings", ...write }),
  } as unknown as WriteService;
  const transport: FakeNodes["transport"] = {
    async request(node, request) {
      if (request.path.includes("/search")) await options.answerSearch?.();
      return nodes.transport.request(node, request);
    },
    close: nodes.transport.close,
  };
  const server = await createProxyServer({
    world,
    topology,
    lease: { session: "s", proxyId: "proxy-a", state: () => options.lease ?? HELD },
    control: {} as ControlTransport,
    transport,
    writes,
    logger: pino({ level: "silent" }),
    metrics: createProxyMetrics(new Registry()),
    ...(options.config === undefined ? {} : { config: options.config }),
  });
  running.push(server);
  return { url: await server.listen({ host: "127.0.0.1", port: 0 }), nodes, writes: seen, server };
}

async function send(
  url: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body: string | Buffer | null = null,
) {
  const response = await undiciRequest(url + path, { method: method as "GET", headers, body });
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
}

const json = { "content-type": "application/json" };

describe("authentication", () => {
  const cases: readonly (readonly [string | undefined, number, string | undefined])[] = [
    [undefined, 401, "missing_authorization_header"],
    ["Bearer wrong", 403, "invalid_api_key"],
    ["Bearer", 403, "invalid_api_key"],
    ["Basic eA==", 401, "missing_authorization_header"],
    [`bearer ${MASTER_KEY}`, 401, "missing_authorization_header"],
    [`Bearer ${MASTER_KEY}`, 200, undefined],
  ];

  it.each(cases)("answers %s with %i", async (authorization, status, code) => {
    const { url } = await start({ config: { masterKey: MASTER_KEY } });
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await send(url, "GET", "/indexes", headers);
    expect(answer.status).toBe(status);
    if (code !== undefined) {
      expect(JSON.parse(answer.text)).toMatchObject({ code, type: "auth" });
    }
  });

  it("comes before everything but the route, and leaves health and monitoring open", async () => {
    const { url } = await start({ config: { masterKey: MASTER_KEY } });
    expect((await send(url, "POST", "/indexes", { "content-type": "text/plain" }, "{")).status).toBe(401);
    expect((await send(url, "GET", "/nope")).status).toBe(404);
    for (const path of ["/health", "/", "/_miroir/health", "/_miroir/ready", "/_miroir/metrics"]) {
      expect((await send(url, "GET", path)).status).toBe(200);
    }
  });

  it("refuses a header that is no bearer header even without a master key", async () => {
    const { url } = await start();
    expect((await send(url, "GET", "/indexes", { authorization: "Bearer anything" })).status).toBe(200);
    expect((await send(url, "GET", "/indexes", { authorization: "anything" })).status).toBe(401);
  });
});

describe("cross-origin requests", () => {
  it("are allowed from everywhere, with preflight", async () => {
    const { url } = await start();
    const plain = await send(url, "GET", "/health");
    expect(plain.headers.vary).toBe("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    expect(plain.headers["access-control-allow-origin"]).toBeUndefined();
    const cross = await send(url, "GET", "/health", { origin: "http://a.example" });
    expect(cross.headers["access-control-allow-origin"]).toBe("*");
    const preflight = await send(url, "OPTIONS", "/indexes/books/search", {
      origin: "http://a.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization, x-a",
    });
    expect(preflight.status).toBe(200);
    expect(preflight.headers["access-control-allow-headers"]).toBe("authorization, x-a");
    expect(preflight.headers["access-control-max-age"]).toBe("86400");
    expect((await send(url, "OPTIONS", "/indexes")).status).toBe(405);
  });
});

describe("what is no route", () => {
  it.each([
    ["PATCH", "/indexes/books/search", ["GET", "POST"]],
    ["PROPFIND", "/indexes/books/documents/a%20b?x=1", ["DELETE", "GET"]],
    ["HEAD", "//indexes/", ["GET", "POST"]],
    ["GET", "/indexes/books/documents/fetch", ["POST"]],
  ])("is answered with the methods that its path has: %s %s", async (method, path, methods) => {
    const { url } = await start();
    const { status, headers, text } = await send(url, method, path);
    expect({ status, text }).toEqual({ status: 405, text: "" });
    expect(String(headers.allow).split(", ").sort()).toEqual(methods);
    expect(headers["x-request-id"]).toBeDefined();
  });

  it.each(["/no/such/path", "/indexes/books/search/more"])(
    "is not found where no route has its path: %s",
    async (path) => {
      const { url } = await start();
      const { status, headers, text } = await send(url, "POST", path);
      expect({ status, allow: headers.allow, text }).toEqual({ status: 404, allow: undefined, text: "" });
    },
  );
});

describe("bodies", () => {
  const search = JSON.stringify({ q: "x" });

  it.each([
    ["gzip", gzipSync(search)],
    ["deflate", deflateSync(search)],
    ["br", brotliCompressSync(search)],
  ])("are taken in %s", async (encoding, body) => {
    const { url } = await start();
    const headers = { ...json, "content-encoding": encoding };
    expect((await send(url, "POST", "/indexes/books/search", headers, body)).status).toBe(200);
  });

  it("are refused when they are not what their encoding says, and the connection goes on", async () => {
    const { url } = await start();
    const headers = { ...json, "content-encoding": "gzip" };
    const answer = await send(url, "POST", "/indexes/books/search", headers, Buffer.from(search));
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "bad_request" });
    expect((await send(url, "POST", "/indexes/books/search", json, search)).status).toBe(200);
  });

  it("are refused above the limit, also when they only grow large once decompressed", async () => {
    const { url } = await start({ config: { maxBodyBytes: 1_000 } });
    const large = JSON.stringify({ q: "x".repeat(5_000) });
    const announced = await send(url, "POST", "/indexes/books/search", json, large);
    expect(JSON.parse(announced.text)).toMatchObject({
      message: `JSON payload (${large.length} bytes) is larger than allowed (limit: 1000 bytes).`,
      code: "internal",
    });
    const headers = { ...json, "content-encoding": "gzip" };
    const bomb = await send(url, "POST", "/indexes/books/search", headers, gzipSync(large));
    expect(bomb.status).toBe(413);
    expect(JSON.parse(bomb.text)).toMatchObject({
      message: "JSON payload has exceeded limit (1000 bytes).",
      code: "payload_too_large",
    });
  });

  it("of document writes are handed on as they came", async () => {
    const { url, writes } = await start();
    const path = "/indexes/books/documents?primaryKey=id&csvDelimiter=%3B&skipCreation=TRUE&customMetadata=m";
    const headers = { "content-type": "text/csv", "content-encoding": "x-some" };
    const answer = await send(url, "PUT", path, headers, "id;a\n1;2");
    expect(answer.status).toBe(202);
    expect(answer.text).toBe(
      '{"taskUid":7,"indexUid":"books","status":"enqueued","type":"t","enqueuedAt":"now","customMetadata":"m"}',
    );
    expect(answer.headers["x-miroir-degraded"]).toBe("shards=3,7");
    expect(writes).toEqual([
      {
        request: {
          kind: "update",
          mayCreateIndex: true,
          indexUid: "books",
          contentType: "text/csv",
          contentEncoding: "x-some",
          primaryKey: "id",
          csvDelimiter: ";",
          skipCreation: true,
          customMetadata: "m",
        },
        body: "id;a\n1;2",
      },
    ]);
  });
});

describe("writes", () => {
  it("reach the write path by route", async () => {
    const { url, writes } = await start();
    await send(url, "DELETE", "/indexes/books/documents");
    await send(url, "DELETE", "/indexes/books/documents/a%2Fb");
    await send(url, "POST", "/indexes/books/documents/delete-batch", json, "[1]");
    await send(url, "POST", "/indexes/books/documents/delete", json, '{"filter":"a=1"}');
    await send(url, "POST", "/indexes", json, '{"uid":"films","primaryKey":null}');
    await send(url, "PATCH", "/indexes/books", json, '{"primaryKey":"k"}');
    await send(url, "DELETE", "/indexes/books");
    await send(url, "PATCH", "/indexes/books/settings", json, '{"stopWords":["a"]}');
    await send(url, "PUT", "/indexes/books/settings/stop-words", json, '["a"]');
    await send(url, "DELETE", "/indexes/books/settings/stop-words");
    expect(writes.map(({ request }) => request.kind ?? request.call)).toEqual([
      "delete-all",
      "delete-one",
      "delete-batch",
      "delete-by-filter",
      "createIndex",
      "updateIndex",
      "deleteIndex",
      "updateSettings",
      "updateSettings",
      "updateSettings",
    ]);
    expect(writes[1]?.request.documentId).toBe("a/b");
    expect(writes[8]?.request).toMatchObject({ route: "stop-words", method: "PUT", body: ["a"] });
  });

  it("pass refusals on", async () => {
    const { url } = await start();
    const answer = await send(url, "POST", "/indexes/books/documents", json, "refuse");
    expect(answer.status).toBe(400);
    expect(answer.text).toBe('{"message":"no","code":"x","type":"invalid_request","link":"l"}');
  });

  it("are answered 503 with Retry-After without a lease, and reads go on", async () => {
    const { url, writes } = await start({ lease: { kind: "none", reason: "the control plane is away" } });
    const answer = await send(url, "POST", "/indexes/books/documents", json, "[]");
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_no_write_lease", type: "system" });
    expect(writes).toEqual([]);
    expect((await send(url, "POST", "/indexes/books/search", json, "{}")).status).toBe(200);
  });
});

describe("degraded reads", () => {
  it("give partial results that say so, or an error, by policy", async () => {
    const partial = await start();
    partial.nodes.behave("node-1", { kind: "refuses" });
    const answer = await send(partial.url, "POST", "/indexes/books/search", json, "{}");
    expect(answer.status).toBe(200);
    expect(answer.headers["x-miroir-degraded"]).toBe("shards=1,3");

    const strict = await start({ config: { unavailableShardPolicy: "error" } });
    strict.nodes.behave("node-1", { kind: "refuses" });
    const refused = await send(strict.url, "POST", "/indexes/books/search", json, "{}");
    expect(refused.status).toBe(503);
    expect(refused.headers["retry-after"]).toBe("1");
    expect(JSON.parse(refused.text)).toMatchObject({ code: "miroir_shard_unavailable", type: "system" });
  });

  it("say so in the answers of multi-searches too, and fail them by policy", async () => {
    const queries = '"queries":[{"indexUid":"books"},{"indexUid":"books","q":"x"}]';
    for (const body of [`{${queries}}`, `{${queries},"federation":{}}`]) {
      const partial = await start();
      partial.nodes.behave("node-1", { kind: "refuses" });
      const answer = await send(partial.url, "POST", "/multi-search", json, body);
      expect(answer.status).toBe(200);
      expect(answer.headers["x-miroir-degraded"]).toBe("shards=1,3");

      const strict = await start({ config: { unavailableShardPolicy: "error" } });
      strict.nodes.behave("node-1", { kind: "refuses" });
      const refused = await send(strict.url, "POST", "/multi-search", json, body);
      expect(refused.status).toBe(503);
      expect(JSON.parse(refused.text)).toMatchObject({ code: "miroir_shard_unavailable" });
    }
  });

  it("give an error where nothing can be read, whatever the policy", async () => {
    const { url, nodes } = await start();
    nodes.behave("node-0", { kind: "refuses" });
    nodes.behave("node-1", { kind: "refuses" });
    expect((await send(url, "POST", "/indexes/books/search", json, "{}")).status).toBe(503);
  });

  it("say that the proxy is not ready before the first topology", async () => {
    const { url } = await start({ withTopology: false });
    const answer = await send(url, "GET", "/indexes");
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_not_ready" });
    expect((await send(url, "GET", "/_miroir/ready")).status).toBe(503);
    expect((await send(url, "GET", "/health")).status).toBe(200);
  });
});

describe("load", () => {
  it("beyond the queue is turned away, and metrics tell", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { url } = await start({
      config: { maxConcurrentReads: 1, maxQueuedReads: 1 },
      answerSearch: () => gate,
    });
    const ask = (q: string) => send(url, "POST", "/indexes/books/search", json, JSON.stringify({ q }));
    const answers = ["a", "b", "c", "d"].map(ask);
    let turnedAway = 0;
    const shed = await new Promise<Awaited<ReturnType<typeof send>>>((resolve, reject) => {
      for (const answer of answers) {
        answer.then((value) => {
          turnedAway++;
          if (turnedAway === 2) resolve(value);
        }, reject);
      }
    });
    expect(shed.status).toBe(503);
    expect(shed.headers["retry-after"]).toBe("1");
    expect(JSON.parse(shed.text)).toMatchObject({ code: "miroir_overloaded" });
    open();
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 200, 503, 503]);
    const metrics = (await send(url, "GET", "/_miroir/metrics")).text;
    expect(metrics).toContain('miroir_requests_shed_total{queue="reads"} 2');
    expect(metrics).toMatch(
      /miroir_http_requests_total\{method="POST",route="\/indexes\/:indexUid\/search",status="200"\} 2/,
    );
    expect(metrics).toContain(
      'miroir_node_calls_total{node="node-0",operation="POST search",outcome="ok"} 2',
    );
  });

  it("under way is finished when the server closes", async () => {
    let open = (): void => {};
    let arrived = (): void => {};
    const inside = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { url, server } = await start({
      answerSearch: () => {
        arrived();
        return gate;
      },
    });
    const answer = send(url, "POST", "/indexes/books/search", json, "{}");
    await inside;
    const closed = server.close();
    open();
    expect((await answer).status).toBe(200);
    await closed;
    await expect(send(url, "GET", "/health")).rejects.toThrow();
  });

  it("that does not end is cut off", async () => {
    let arrived = (): void => {};
    const inside = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const { url, server } = await start({
      config: { closeTimeoutMs: 50 },
      answerSearch: () => {
        arrived();
        return new Promise<void>(() => {});
      },
    });
    const answer = send(url, "POST", "/indexes/books/search", json, "{}");
    answer.catch(() => {});
    await inside;
    await server.close();
    await expect(answer).rejects.toThrow();
  });
});

describe("request ids", () => {
  it("are taken over where they are harmless, and made otherwise", async () => {
    const { url } = await start();
    const given = await send(url, "GET", "/health", { "x-request-id": "abc-1" });
    expect(given.headers["x-request-id"]).toBe("abc-1");
    const strange = await send(url, "GET", "/health", { "x-request-id": "a b\t<script>" });
    expect(strange.headers["x-request-id"]).toMatch(/^[0-9a-f]+-[0-9a-z]+$/);
  });
});
