import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { NodeUnavailableError } from "../../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";

describe("the transport to nodes", () => {
  const transport = createUndiciTransport({ connectTimeoutMs: 500 });
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });
  const listen = async (handle: RequestListener): Promise<{ id: string; url: string; key: string }> => {
    const started = createServer(handle);
    server = started;
    await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
    return {
      id: "node-7",
      url: `http://127.0.0.1:${(started.address() as AddressInfo).port}`,
      key: "secret",
    };
  };

  it("gives the whole answer whatever its status, and sends the node's key", async () => {
    const node = await listen((request, response) => {
      response.writeHead(418, { "content-type": "application/json" });
      response.end(JSON.stringify({ auth: request.headers.authorization, url: request.url }));
    });
    const answer = await transport.request(node, { method: "GET", path: "/tasks?limit=1" });
    expect(answer.status).toBe(418);
    expect(answer.contentType).toBe("application/json");
    expect(JSON.parse(answer.body.toString())).toEqual({ auth: "Bearer secret", url: "/tasks?limit=1" });
  });

  it("says that a request was not sent where nobody listens", async () => {
    const node = await listen(() => undefined);
    await new Promise<void>((resolve) => server?.close(() => resolve()));
    const failure = transport.request(node, { method: "POST", path: "/", body: "{}" });
    await expect(failure).rejects.toMatchObject({ nodeId: "node-7", outcome: "not-sent" });
    await expect(failure).rejects.toBeInstanceOf(NodeUnavailableError);
  });

  it("says that the outcome is unknown where the node never answers", async () => {
    const node = await listen(() => undefined);
    await expect(
      transport.request(node, { method: "POST", path: "/", body: "{}", timeoutMs: 30 }),
    ).rejects.toMatchObject({
      outcome: "unknown",
      message: "node node-7 did not answer: no whole answer within 30 ms",
    });
  });

  it("says that the outcome is unknown where the connection breaks", async () => {
    const node = await listen((request) => request.socket.destroy());
    await expect(transport.request(node, { method: "POST", path: "/", body: "{}" })).rejects.toMatchObject({
      outcome: "unknown",
    });
  });

  it("gives up when its caller does, at once where that was before", async () => {
    const node = await listen(() => undefined);
    const caller = new AbortController();
    const pending = transport.request(node, { method: "GET", path: "/", signal: caller.signal });
    caller.abort(new Error("the client left"));
    await expect(pending).rejects.toMatchObject({
      message: expect.stringContaining("the client left") as unknown,
    });
    await expect(
      transport.request(node, { method: "GET", path: "/", signal: caller.signal }),
    ).rejects.toBeInstanceOf(NodeUnavailableError);
  });

  it("never sends what was given up while it waited for a connection", async () => {
    const seen: (string | undefined)[] = [];
    const held: (() => void)[] = [];
    const node = await listen((request, response) => {
      seen.push(request.url);
      if (request.url === "/first") held.push(() => response.end());
      else response.end();
    });
    const narrow = createUndiciTransport({ connectionsPerNode: 1 });
    const first = narrow.request(node, { method: "GET", path: "/first" });
    const caller = new AbortController();
    const second = narrow.request(node, { method: "GET", path: "/second", signal: caller.signal });
    const third = narrow.request(node, { method: "GET", path: "/third" });
    caller.abort(new Error("the client left"));
    await expect(second).rejects.toBeInstanceOf(NodeUnavailableError);
    await expect.poll(() => held.length).toBe(1);
    held[0]?.();
    await Promise.all([first, third]);
    expect(seen).toEqual(["/first", "/third"]);
    await narrow.close();
  });

  it("keeps the path of a node's address, and writes others as a URL does", async () => {
    const node = await listen((request, response) => response.end(request.url));
    const below = { ...node, url: `${node.url}/below` };
    const paths = ["/indexes/a_1/search", "/indexes/a/search?q=two words&x=é", "/indexes/../tasks"];
    const answers = await Promise.all(paths.map((path) => transport.request(below, { method: "GET", path })));
    expect(answers.map(({ body }) => body.toString())).toEqual([
      "/below/indexes/a_1/search",
      "/below/indexes/a/search?q=two%20words&x=%C3%A9",
      "/below/tasks",
    ]);
  });

  it("puts an answer of many pieces together", async () => {
    const piece = "x".repeat(100_000);
    const node = await listen((_request, response) => {
      response.write(piece);
      response.end(piece);
    });
    const { body } = await transport.request(node, { method: "GET", path: "/" });
    expect(body.toString()).toBe(piece + piece);
  });
});
