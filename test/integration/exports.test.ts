import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { realNodeOnly } from "../support/nodes.js";

const realIt = realNodeOnly();

/** What takes exports, or refuses them. */
interface Remote {
  readonly url: string;
  /** `METHOD path`, and the body. */
  readonly requests: { readonly what: string; readonly body: string; readonly key: string | undefined }[];
  answer: (what: string) => number;
}

let server: Server;
let remote: Remote;
let fleet: Fleet;

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const what = `${request.method} ${request.url}`;
      const status = remote.answer(what);
      const bytes = Buffer.concat(chunks);
      const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes;
      remote.requests.push({ what, body: body.toString(), key: request.headers.authorization });
      response
        .writeHead(status)
        .end(status === 404 ? '{"message":"no","code":"index_not_found","type":"x"}' : "{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  remote = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    answer: () => 200,
  };
  fleet = await startFleet({
    nodes: 2,
    replicationFactor: 1,
    shards: 4,
    controlConfig: { allowed_ip_networks: ["127.0.0.1"] },
  });
  const documents = Array.from({ length: 50 }, (_, id) => ({ id, text: "x".repeat(100) }));
  const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/films/documents", documents);
  await fleet.api.waitForTask(taskUid);
});
afterAll(async () => {
  await fleet?.stop();
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
});

const begin = async (body: object = {}): Promise<number> =>
  (
    await fleet.api.ok<{ taskUid: number }>("POST", "/export", {
      url: remote.url,
      apiKey: "a-secret-key",
      ...body,
    })
  ).taskUid;
const final = (uid: number) =>
  fleet.eventually(async () => {
    const task = await fleet.api.ok<{
      status: string;
      canceledBy: number | null;
      error: { message: string } | null;
    }>("GET", `/tasks/${uid}`);
    return ["enqueued", "processing"].includes(task.status) ? undefined : task;
  });

describe("exports of a fleet", () => {
  it("repeat what the remote may take later, and send all documents in the order of insertion", async () => {
    let refusals = 1;
    remote.answer = (what) => {
      if (what.startsWith("GET")) return 404;
      return what.endsWith("/documents") && refusals-- > 0 ? 503 : 200;
    };
    expect(await final(await begin({ payloadSize: 1_000 }))).toMatchObject({ status: "succeeded" });
    const sent = remote.requests.filter(({ what }) => what === "POST /indexes/films/documents");
    const ids = sent
      .slice(1)
      .flatMap(({ body }) => body.trimEnd().split("\n"))
      .map((line) => (JSON.parse(line) as { id: number }).id);
    expect(ids).toEqual(Array.from({ length: 50 }, (_, id) => id));
    expect(sent.every(({ body }) => body.length <= 1_001 && !body.includes("_miroir_"))).toBe(true);
    expect(sent.every(({ key }) => key === "Bearer a-secret-key")).toBe(true);
    expect(remote.requests.map(({ what }) => what)).toContain("PATCH /indexes/films/settings");
  });

  it("send everything that was there before, while documents are written and deleted", async () => {
    remote.answer = (what) => (what.startsWith("GET") ? 404 : 200);
    remote.requests.length = 0;
    const documents = Array.from({ length: 3_000 }, (_, id) => ({ id, version: 0 }));
    const filled = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/moving/documents", documents);
    await fleet.api.waitForTask(filled.taskUid);
    const uid = await begin({ payloadSize: 5_000, indexes: { moving: {} } });
    for (let round = 1; round <= 10; round++) {
      const changed = Array.from({ length: 100 }, (_, at) => ({ id: round * 150 + at, version: round }));
      await fleet.api.ok("POST", "/indexes/moving/documents", changed);
      await fleet.api.ok("POST", "/indexes/moving/documents/delete-batch", [round, round + 20]);
    }
    expect(await final(uid)).toMatchObject({ status: "succeeded" });
    const sent = new Set(
      remote.requests
        .filter(({ what }) => what.endsWith("/documents"))
        .flatMap(({ body }) => body.trimEnd().split("\n"))
        .map((line) => (JSON.parse(line) as { id: number }).id),
    );
    const missed = documents.filter(({ id }) => id > 30 && !sent.has(id));
    expect(missed).toEqual([]);
  });

  realIt("take the embedders' API keys along, which nodes show masked", async () => {
    const apiKey = "a-secret-of-an-embedder";
    const embedder = { source: "rest", url: "http://example.com", apiKey, dimensions: 2 };
    const embedders = { e: { ...embedder, request: "{{text}}", response: "{{embedding}}" } };
    const set = await fleet.api.ok<{ taskUid: number }>("PATCH", "/indexes/embedded/settings", { embedders });
    await fleet.api.waitForTask(set.taskUid);
    expect((await fleet.api.send("GET", "/indexes/embedded/settings")).text).not.toContain(apiKey);
    remote.requests.length = 0;
    expect(await final(await begin({ indexes: { embedded: {} } }))).toMatchObject({ status: "succeeded" });
    const settings = remote.requests.find(({ what }) => what === "PATCH /indexes/embedded/settings");
    expect(JSON.parse(settings?.body ?? "{}")).toMatchObject({ embedders: { e: { apiKey } } });
  });

  it("end when they are canceled, those that wait too", async () => {
    remote.answer = () => 503;
    const exports = [await begin(), await begin()];
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>(
      "POST",
      `/tasks/cancel?uids=${exports.join(",")}`,
    );
    expect(await fleet.api.waitForTask(taskUid)).toMatchObject({ details: { canceledTasks: 2 } });
    for (const uid of exports) {
      expect(await final(uid)).toMatchObject({ status: "canceled", canceledBy: taskUid, error: null });
    }
    remote.answer = () => 200;
    expect(await final(await begin())).toMatchObject({ status: "succeeded" });
  });

  it("fail when the control plane stops, and say what to do", async () => {
    remote.answer = () => 503;
    const uid = await begin();
    await fleet.stopControl();
    await fleet.startControl();
    const task = await final(uid);
    expect(task).toMatchObject({ status: "failed", error: { code: "internal" } });
    expect(task.error?.message).toContain("Export again");
  });
});
