import { PassThrough } from "node:stream";
import { pino } from "pino";
import { Registry } from "prom-client";
import { request as undiciRequest } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import type { ControlTransport } from "../../../src/proxy/control-transport.js";
import { createProxyMetrics } from "../../../src/proxy/http/metrics.js";
import { createProxyServer, type ProxyServer } from "../../../src/proxy/http/server.js";
import { createPeerCalls, type PeerCalls } from "../../../src/proxy/peers/peer-calls.js";
import { createPeerServer, type PeerServer } from "../../../src/proxy/peers/peer-server.js";
import { createPeerService } from "../../../src/proxy/peers/peer-service.js";
import type {
  WriterDirectory,
  WritingProxies,
  WritingProxy,
} from "../../../src/proxy/topology/topology-view.js";
import { WriterChoice } from "../../../src/proxy/topology/writer-choice.js";
import { WriteGates } from "../../../src/proxy/write/write-gates.js";
import type { WriteService } from "../../../src/proxy/write/write-service.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { plainBody } from "../../support/plain-body.js";
import { createFakeNodes } from "./fake-nodes.js";
import { indexView, nodeViews, placeShards, settableTopology, topologyView } from "./views.js";

const world = createSystemWorld();
const HOLD_MS = 1_500;

interface Directory extends WriterDirectory {
  set(writers: WritingProxies): void;
}

function createDirectory(): Directory {
  const listeners = new Set<() => void>();
  let writers: WritingProxies = { proxies: [], complete: true };
  return {
    writers: () => writers,
    onWritersChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(next) {
      writers = next;
      for (const listener of [...listeners]) listener();
    },
  };
}

interface Seen {
  readonly request: Record<string, unknown>;
  readonly body: string;
}

interface Running {
  readonly url: string;
  readonly name: WritingProxy;
  readonly directory: Directory;
  readonly gates: WriteGates;
  readonly topology: ReturnType<typeof settableTopology>;
  readonly writes: Seen[];
  /** Told of each write that begins here, before its body is read. */
  onWrite: (signal: AbortSignal) => Promise<void>;
  readonly server: ProxyServer;
  readonly peerServer: PeerServer;
  readonly peers: PeerCalls;
}

const running: Running[] = [];

afterEach(async () => {
  for (const { server, peers, peerServer } of running.splice(0)) {
    await server.close();
    peers.close();
    await peerServer.close(100);
  }
});

const layout = { groups: 1, nodesPerGroup: 2, replicationFactor: 1, shards: 4 };

/** The topology in which a proxy writes `books`; nobody does unless given. */
function viewWith(writer?: Pick<WritingProxy, "proxyId" | "session">, counter = 1n) {
  const views = nodeViews(layout);
  const index = { ...indexView("books", "id", placeShards(layout, views)), writer };
  const view = topologyView(views, [index]);
  return { ...view, epoch: { ...view.epoch, counter } };
}

async function start(id: string, key = `key of ${id}`): Promise<Running> {
  const directory = createDirectory();
  const gates = new WriteGates(world);
  const topology = settableTopology();
  topology.set(viewWith());
  const seen: Seen[] = [];
  const accept = async (request: Record<string, unknown>, body = "") => {
    seen.push({ request, body });
    return {
      status: 202 as const,
      body: { taskUid: 7, indexUid: "books", status: "enqueued" as const, type: "t", enqueuedAt: "now" },
      degradedShards: [3, 7],
    };
  };
  const writes = {
    submit: async ({ body, ...request }: Parameters<WriteService["submit"]>[0], signal: AbortSignal) => {
      await proxy.onWrite(signal);
      let text = "";
      for await (const chunk of body) text += chunk;
      return accept({ ...request }, text);
    },
    createIndex: (index: object) => accept({ call: "createIndex", ...index }),
    swapIndexes: (swaps: object) => accept({ call: "swapIndexes", swaps }),
    deleteIndex: async (uid: string, signal: AbortSignal) => {
      await proxy.onWrite(signal);
      return accept({ call: "deleteIndex", uid });
    },
  } as unknown as WriteService;
  const lease = { session: `session of ${id}`, proxyId: id, state: () => ({ kind: "held" as const }) };
  const peers = createPeerCalls(world, { takeMs: 500, answerMs: 5_000 });
  const server = await createProxyServer({
    world,
    topology,
    lease,
    directory,
    gates,
    peers,
    control: {} as ControlTransport,
    transport: createFakeNodes(world, () => ({ status: 200, body: {} })).transport,
    writes,
    logger: pino({ level: "silent" }),
    metrics: createProxyMetrics(new Registry()),
    config: { writeHoldMs: HOLD_MS },
  });
  const peerServer = createPeerServer({
    service: createPeerService({
      world,
      topology,
      lease,
      writers: new WriterChoice({ ...lease, directory }),
      gates,
      answer: (request) => server.answer(request),
      handOver: async () => ({ reason: "not in this test" }),
      isStopping: () => false,
    }),
    key,
    world,
  });
  const port = await peerServer.listen({ host: "127.0.0.1", port: 0 });
  const name = {
    proxyId: id,
    session: lease.session,
    peerAddress: `127.0.0.1:${port}`,
    peerKey: `key of ${id}`,
  };
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const proxy: Running = {
    url,
    name,
    directory,
    gates,
    topology,
    writes: seen,
    onWrite: async () => undefined,
    server,
    peerServer,
    peers,
  };
  running.push(proxy);
  return proxy;
}

/** Proxies that know of each other, with `books` written by the last one. */
async function startFleet(...ids: readonly string[]): Promise<Running[]> {
  const proxies = await Promise.all(ids.map((id) => start(id)));
  const writer = proxies.at(-1)?.name;
  for (const proxy of proxies) {
    proxy.directory.set({ proxies: proxies.map(({ name }) => name), complete: true });
    proxy.topology.set(viewWith(writer, 2n));
  }
  return proxies;
}

async function send(
  { url }: Running,
  method: string,
  path: string,
  body: string | null = null,
  headers: Record<string, string> = { "content-type": "application/json" },
) {
  const response = await undiciRequest(url + path, { method: method as "GET", headers, body });
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
}

/** A promise with what settles it. */
function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const DOCUMENTS = "/indexes/books/documents";

describe("a write", () => {
  it("goes to the index's writer as it came, and its answer comes back", async () => {
    const [here, there] = await two();
    const answer = await send(here, "POST", `${DOCUMENTS}?primaryKey=id`, "[1]", {
      "content-type": "application/json",
      "content-encoding": "x-some",
    });
    expect(answer.status).toBe(202);
    expect(answer.headers["x-miroir-degraded"]).toBe("shards=3,7");
    expect(here.writes).toEqual([]);
    expect(there.writes).toMatchObject([
      {
        body: "[1]",
        request: { primaryKey: "id", contentType: "application/json", contentEncoding: "x-some" },
      },
    ]);
  });

  it("of a large body arrives whole", async () => {
    const [here, there] = await two();
    const body = "x".repeat(5_000_000);
    expect((await send(here, "POST", DOCUMENTS, body)).status).toBe(202);
    expect(there.writes[0]?.body).toBe(body);
  });

  it("whose body names the index goes to that index's writer too", async () => {
    const [here, there] = await two();
    await send(here, "POST", "/indexes", '{"uid":"books"}');
    await send(here, "POST", "/swap-indexes", '[{"indexes":["zebras","books"]}]');
    expect(there.writes.map(({ request }) => request.call)).toEqual(["createIndex", "swapIndexes"]);
  });

  it("is compressed for the client by the proxy that it asked", async () => {
    const [here] = await two();
    const answer = await undiciRequest(`${here.url}/indexes/books`, {
      method: "DELETE",
      headers: { "accept-encoding": "gzip" },
    });
    expect(answer.headers["content-encoding"]).toBe("gzip");
    expect(JSON.parse(await plainBody(answer))).toMatchObject({ taskUid: 7 });
  });

  it("is not passed on by whom it was passed on to", async () => {
    const [here, there] = await two();
    there.topology.set(viewWith(here.name, 3n));
    const answer = await send(here, "POST", DOCUMENTS, "[]");
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_no_write_lease" });
    expect([...here.writes, ...there.writes]).toEqual([]);
  });

  it("waits for a writer that has died to be replaced, and is made then", async () => {
    const [here, there] = await two();
    await there.peerServer.close(0);
    const answer = send(here, "POST", DOCUMENTS, "[1]");
    await world.timers.sleep(200);
    expect(here.writes).toEqual([]);
    here.directory.set({ proxies: [here.name], complete: true });
    expect((await answer).status).toBe(202);
    expect(here.writes).toMatchObject([{ body: "[1]" }]);
  });

  it("waits while it is not known whether the writer is alive", async () => {
    const [here, there] = await two();
    here.directory.set({ proxies: [here.name], complete: false });
    const answer = send(here, "POST", DOCUMENTS, "[1]");
    await world.timers.sleep(150);
    here.directory.set({ proxies: [here.name, there.name], complete: false });
    expect((await answer).status).toBe(202);
    expect(there.writes).toHaveLength(1);
  });

  it("waits while its index passes to another proxy, and goes there", async () => {
    const [here, there] = await two();
    const began = deferred<void>();
    const end = deferred<void>();
    there.onWrite = async () => {
      began.resolve();
      await end.promise;
    };
    const first = send(here, "POST", DOCUMENTS, "[1]");
    await began.promise;
    const passing = there.gates.alone("books", 5_000, async () => {
      for (const proxy of [here, there]) proxy.topology.set(viewWith(here.name, 3n));
    });
    const later = [send(here, "POST", DOCUMENTS, "[2]"), send(there, "POST", DOCUMENTS, "[3]")];
    await world.timers.sleep(100);
    expect([...here.writes, ...there.writes]).toEqual([]);
    end.resolve();
    await passing;
    expect((await first).status).toBe(202);
    for (const answer of await Promise.all(later)) expect(answer.status).toBe(202);
    expect(there.writes.map(({ body }) => body)).toEqual(["[1]"]);
    expect(here.writes.map(({ body }) => body).sort()).toEqual(["[2]", "[3]"]);
  });

  it("is of unknown outcome when the writer dies with the whole of it", async () => {
    const [here, there] = await two();
    there.onWrite = async () => {
      await there.peerServer.close(0);
    };
    const answer = await send(here, "DELETE", "/indexes/books");
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_write_outcome_unknown" });
  });

  it("is made here where the writer dies with a part of it and this proxy is the next one", async () => {
    const [here, there] = await two();
    const began = deferred<void>();
    there.onWrite = async () => began.resolve();
    const body = new PassThrough();
    body.write("[1,");
    const answer = undiciRequest(here.url + DOCUMENTS, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": "5" },
      body,
    });
    await began.promise;
    here.directory.set({ proxies: [here.name], complete: true });
    await there.peerServer.close(0);
    body.end("2]");
    expect((await answer).statusCode).toBe(202);
    expect(here.writes.map((write) => write.body)).toEqual(["[1,2]"]);
  });

  it("is taken back when its client goes away before the whole body was there", async () => {
    const [here, there] = await two();
    const began = deferred<AbortSignal>();
    there.onWrite = async (signal) => began.resolve(signal);
    const client = new AbortController();
    const body = new PassThrough();
    body.on("error", () => undefined);
    body.write("[");
    const answer = undiciRequest(here.url + DOCUMENTS, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": "100" },
      body,
      signal: client.signal,
    }).catch(() => undefined);
    const signal = await began.promise;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    client.abort();
    await answer;
    await aborted;
    expect(there.writes).toEqual([]);
  });

  it("is refused at a port that asks for another key", async () => {
    const here = await start("proxy-a");
    const there = await start("proxy-b", "another key");
    here.directory.set({ proxies: [here.name, there.name], complete: true });
    here.topology.set(viewWith(there.name, 2n));
    const answer = await send(here, "POST", DOCUMENTS, "[1]");
    expect(answer.status).toBe(503);
    expect(there.writes).toEqual([]);
  });
});

async function two(): Promise<[Running, Running]> {
  const [here, there] = await startFleet("proxy-a", "proxy-b");
  if (here === undefined || there === undefined) throw new Error("two proxies were to start");
  return [here, there];
}
