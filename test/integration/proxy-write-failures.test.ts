import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";

const MIB = 1024 * 1024;

interface Listed {
  readonly results: readonly { readonly id: number; readonly n: number }[];
  readonly total: number;
}

/** Lines of NDJSON of about `bytes` in all. */
function lines(bytes: number): string[] {
  const text = "lorem ipsum dolor sit amet ".repeat(20);
  const count = Math.ceil(bytes / (text.length + 30));
  return Array.from({ length: count }, (_, id) => `{"id":${id},"text":"${text}"}`);
}

describe("bodies of writes", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ nodes: 2, replicationFactor: 1, shards: 4 });
  });
  afterAll(() => fleet.stop());

  it.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
  ] as const)("takes a %s body", async (encoding, compress) => {
    const body = compress(Buffer.from('[{"id":1,"big":12345678901234567890},{"id":"two","x":1.10}]'));
    const path = `/indexes/${encoding}/documents`;
    const answer = await request(fleet.api.url + path, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", "content-encoding": encoding },
    });
    const { taskUid } = (await answer.body.json()) as { taskUid: number };
    await fleet.api.waitForTask(taskUid);
    const { text } = await fleet.api.send("GET", `${path}/1`);
    expect(text).toBe('{"id":1,"big":12345678901234567890}');
  });

  it("refuses a compressed body that is cut short, as Meilisearch does", async () => {
    const answer = await request(`${fleet.api.url}/indexes/cut/documents`, {
      method: "POST",
      body: gzipSync(Buffer.from('[{"id":1}]')).subarray(0, 20),
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    });
    expect(answer.statusCode).toBe(400);
    expect(await answer.body.json()).toMatchObject({
      message: "The provided payload is incomplete and cannot be parsed",
      code: "bad_request",
    });
  });

  it("leaves nothing of a 20 MB body whose last document is malformed", async () => {
    const body = `${lines(20 * MIB).join("\n")}\n{"id":`;
    const answer = await fleet.api.send("POST", "/indexes/late/documents", body, "application/x-ndjson");
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "malformed_payload" });
    expect((await fleet.api.send("GET", "/indexes/late")).status).toBe(404);
    expect(await spooledBytes()).toBe(0);
  });

  it("fails the task of a 20 MB body whose last document has no id, and indexes none of it", async () => {
    const body = `[${[...lines(20 * MIB), '{"text":"no id"}'].join(",")}]`;
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/noid/documents", body);
    const task = await fleet.api.ok("GET", `/tasks/${taskUid}`);
    const count = lines(20 * MIB).length + 1;
    expect(task).toMatchObject({
      status: "failed",
      details: { receivedDocuments: count, indexedDocuments: 0 },
      error: {
        code: "missing_document_id",
        message: 'Document doesn\'t have a `id` attribute: `{"text":"no id"}`.',
      },
    });
    const { total } = await fleet.eventually<Listed>(() =>
      fleet.api.ok<Listed>("GET", "/indexes/noid/documents"),
    );
    expect(total).toBe(0);
    expect(await spooledBytes()).toBe(0);
  });

  it("refuses documents with reserved fields, and a batch with one of them whole", async () => {
    const body = '[{"id":1},{"id":2,"_miroir_shard":"x"}]';
    const answer = await fleet.api.send("POST", "/indexes/reserved/documents", body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_reserved_field" });
    expect((await fleet.api.send("GET", "/indexes/reserved")).status).toBe(404);
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>(
      "POST",
      "/indexes/reserved/documents",
      '[{"id":1,"_miroir_expires_at":1}]',
    );
    await fleet.api.waitForTask(taskUid);
  });

  async function spooledBytes(): Promise<number> {
    const metrics = (await fleet.api.send("GET", "/_miroir/metrics")).text;
    return Number(/^miroir_write_spooled_bytes(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1] ?? Number.NaN);
  }
});

describe("writes while replicas fail", () => {
  it("loses no acknowledged write when one of two replicas is killed under writes, and says so", {
    timeout: 120_000,
  }, async () => {
    const fleet = await startFleet({ nodes: 2, replicationFactor: 2, shards: 4, nodeWriteTimeoutMs: 2_000 });
    try {
      const { api } = fleet;
      const acknowledged: number[] = [];
      let degraded = 0;
      let last = 0;
      let writing = true;
      const writer = async () => {
        while (writing) {
          const n = ++last;
          const answer = await api.send("POST", "/indexes/movies/documents", [{ id: n, n }]);
          expect(answer.status, answer.text).toBe(202);
          acknowledged.push(n);
          if (answer.headers["x-miroir-degraded"] !== undefined) degraded++;
        }
      };
      const writers = [writer(), writer(), writer()];
      await fleet.until(() => acknowledged.length >= 30);
      await fleet.node(1).kill("SIGKILL");
      const killedAt = acknowledged.length;
      await fleet.until(() => acknowledged.length >= killedAt + 60);
      writing = false;
      await Promise.all(writers);
      expect(degraded).toBeGreaterThan(0);
      const listed = await fleet.eventually(async () => {
        const page = await api.ok<Listed>("GET", "/indexes/movies/documents?limit=10000");
        return page.total >= acknowledged.length ? page : undefined;
      });
      const present = new Set(listed.results.map(({ id }) => id));
      expect(acknowledged.filter((n) => !present.has(n))).toEqual([]);
    } finally {
      await fleet.stop();
    }
  });

  it("answers no_quorum, and sends nothing, where the only copy is away", { timeout: 120_000 }, async () => {
    const fleet = await startFleet({ nodes: 2, replicationFactor: 1, shards: 4 });
    try {
      const { api } = fleet;
      const documents = (n: number) => Array.from({ length: 40 }, (_, id) => ({ id, n }));
      const first = await api.ok<{ taskUid: number }>("POST", "/indexes/movies/documents", documents(1));
      await api.waitForTask(first.taskUid);
      await fleet.node(1).kill("SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      const answer = await api.send("POST", "/indexes/movies/documents", documents(2));
      expect(answer.status).toBe(503);
      expect(JSON.parse(answer.text)).toMatchObject({ code: "miroir_no_quorum" });
      expect(answer.headers["retry-after"]).toBeDefined();
      await fleet.node(1).restart();
      const again = await fleet.eventually(async () => {
        const retried = await api.send("POST", "/indexes/movies/documents", documents(3));
        return retried.status === 202 ? (JSON.parse(retried.text) as { taskUid: number }) : undefined;
      });
      await api.waitForTask(again.taskUid);
      const listed = await api.ok<Listed>("GET", "/indexes/movies/documents?limit=100");
      expect(listed.results.map(({ n }) => n)).toEqual(documents(3).map(({ n }) => n));
    } finally {
      await fleet.stop();
    }
  });

  it("goes on under the next proxy, which takes the index over by a new generation", {
    timeout: 120_000,
  }, async () => {
    const fleet = await startFleet({ nodes: 2, replicationFactor: 2, shards: 4 });
    try {
      const { api } = fleet;
      const first = await api.ok<{ taskUid: number }>("POST", "/indexes/movies/documents", [{ id: 1, n: 1 }]);
      await api.waitForTask(first.taskUid);
      await fleet.restartProxy();
      const second = await api.ok<{ taskUid: number }>("POST", "/indexes/movies/documents", [
        { id: 2, n: 2 },
      ]);
      await api.waitForTask(second.taskUid);
      const listed = await api.ok<Listed>("GET", "/indexes/movies/documents");
      expect(listed.results).toEqual([
        { id: 1, n: 1 },
        { id: 2, n: 2 },
      ]);
    } finally {
      await fleet.stop();
    }
  });
});
