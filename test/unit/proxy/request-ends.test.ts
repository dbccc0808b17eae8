import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { Registry } from "prom-client";
import { request } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import type { ControlTransport } from "../../../src/proxy/control-transport.js";
import { createProxyMetrics } from "../../../src/proxy/http/metrics.js";
import { createProxyServer, type ProxyServer } from "../../../src/proxy/http/server.js";
import type { WriteService } from "../../../src/proxy/write/write-service.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { indexView, nodeViews, placeShards, settableTopology, topologyView } from "./views.js";

/** A node that takes searches, and answers those that it is told to. */
interface SearchedNode {
  readonly server: Server;
  readonly asked: ServerResponse[];
  answers: boolean;
}

let nodes: SearchedNode[];
let proxy: ProxyServer;
let url: string;

const ANSWER = JSON.stringify({
  hits: [],
  query: "",
  processingTimeMs: 1,
  limit: 20,
  offset: 0,
  estimatedTotalHits: 0,
});

function searchedNode(): SearchedNode {
  const asked: ServerResponse[] = [];
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    if (!incoming.url?.endsWith("/search")) {
      outgoing.end("{}");
      return;
    }
    asked.push(outgoing);
    if (node.answers) outgoing.setHeader("content-type", "application/json").end(ANSWER);
    server.emit("asked");
  });
  const node: SearchedNode = { server, asked, answers: false };
  return node;
}

beforeEach(async () => {
  nodes = [searchedNode(), searchedNode()];
  const urls: string[] = [];
  for (const { server } of nodes) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  const layout = { groups: 1, nodesPerGroup: 2, replicationFactor: 1, shards: 4 };
  const views = nodeViews(layout).map((view, at) => {
    const address = { id: view.id, url: urls[at] ?? "" };
    return { ...view, url: address.url, writeAddress: address, adminAddress: address };
  });
  const topology = settableTopology();
  topology.set(topologyView(views, [indexView("books", "id", placeShards(layout, views))]));
  proxy = await createProxyServer({
    world: createSystemWorld(),
    topology,
    lease: { session: "s", proxyId: "p", state: () => ({ kind: "held" }) },
    control: {} as ControlTransport,
    transport: createUndiciTransport(),
    writes: {} as WriteService,
    logger: pino({ level: "silent" }),
    metrics: createProxyMetrics(new Registry()),
  });
  url = await proxy.listen({ host: "127.0.0.1", port: 0 });
});

afterEach(async () => {
  for (const { server } of nodes) {
    server.closeAllConnections();
    server.close();
  }
  await proxy.close();
});

const search = (headers: Record<string, string> = {}, signal?: AbortSignal) =>
  request(`${url}/indexes/books/search`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: "{}",
    ...(signal === undefined ? {} : { signal }),
  });

describe("a client that goes away", () => {
  it("takes its requests to nodes along", async () => {
    const client = new AbortController();
    const arrived = Promise.all(nodes.map(({ server }) => once(server, "asked")));
    const answer = search({}, client.signal).catch((error: unknown) => error);
    await arrived;
    const closed = nodes.map(({ asked: [response] }) => response && once(response, "close"));
    client.abort();
    await Promise.all(closed);
    expect(await answer).toMatchObject({ name: "AbortError" });
    expect(nodes.map(({ asked }) => asked.length)).toEqual([1, 1]);
  });
});

describe("a client's time", () => {
  it("bounds its reads: what has answered is what it gets, and nodes are not asked for longer", async () => {
    const [node] = nodes;
    if (node === undefined) throw new Error("there is no node");
    node.answers = true;
    const answer = await search({ "x-miroir-timeout-ms": "1000" });
    expect([answer.statusCode, answer.headers["x-miroir-degraded"]]).toEqual([200, "shards=1,3"]);
    await answer.body.dump();
    const hung = nodes[1]?.asked[0];
    if (hung !== undefined && !hung.closed) await once(hung, "close");
  });

  it("that is too short says nothing of the nodes", async () => {
    for (let time = 0; time < 5; time++) {
      const answer = await search({ "x-miroir-timeout-ms": "20" });
      expect(answer.statusCode).toBe(503);
      await answer.body.dump();
    }
    const metrics = await (await request(`${url}/_miroir/metrics`)).body.text();
    expect(metrics).toMatch(/^miroir_nodes_avoided 0$/m);
  });

  it.each(["0", "-5", "soon", "99999999"])("is refused where it is %s", async (value) => {
    const answer = await search({ "x-miroir-timeout-ms": value });
    expect(answer.statusCode).toBe(400);
    expect(await answer.body.json()).toMatchObject({ code: "bad_request" });
  });
});
