import { once } from "node:events";
import { createGunzip } from "node:zlib";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { hasRealNode, startNodes } from "../support/nodes.js";

const FEATURES = {
  metrics: true,
  logsRoute: true,
  network: true,
  taskQueueCompactionRoute: true,
  chatCompletions: true,
  dynamicSearchRules: true,
};
const realOnly = it.skipIf(!hasRealNode);

interface Refusal {
  readonly code: string;
  readonly message: string;
}

describe("experimental routes over a fleet", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ nodes: 2, replicationFactor: 2, shards: 4 });
    await fleet.api.ok("PATCH", "/experimental-features", FEATURES);
    const added = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/books/documents", [
      { id: 1, title: "one" },
      { id: 2, title: "two" },
      { id: 3, title: "three" },
    ]);
    await fleet.api.waitForTask(added.taskUid);
  });
  afterAll(() => fleet?.stop());

  const refusal = async (method: string, path: string, body?: unknown): Promise<Refusal> => {
    const answer = await fleet.api.send(method, path, body);
    expect(answer.status).toBe(400);
    return JSON.parse(answer.text) as Refusal;
  };
  const nodeApi = (at: number) => meilisearchHttp(fleet.node(at).url, fleet.node(at).masterKey);

  describe("metrics", () => {
    it("count documents and tasks of the whole fleet once", async () => {
      const { status, headers, text } = await fleet.api.send("GET", "/metrics");
      expect(status).toBe(200);
      expect(headers["content-type"]).toBe("text/plain; version=0.0.4");
      const lines = text.split("\n");
      expect(lines).toContain('meilisearch_index_docs_count{index="books"} 3');
      expect(lines).toContain("meilisearch_index_count 1");
      expect(lines).toContain('meilisearch_nb_tasks{kind="indexes",value="books"} 1');
      expect(lines).toContain('meilisearch_nb_tasks{kind="statuses",value="succeeded"} 1');
      expect(lines).toContain('meilisearch_nb_tasks{kind="types",value="documentAdditionOrUpdate"} 1');
      expect(text).toMatch(/meilisearch_last_indexed_documents_count\{batch_uid="\d+",index="books"\} 3/);
      expect(text).toMatch(
        /meilisearch_http_requests_total\{method="POST",path="\/indexes\/\{index_uid\}\/documents",status="202"\} 1/,
      );
      expect(text).not.toMatch(/miroir|m[a-z2-7]{8}_\d/);
    });

    realOnly("have the names of a node's, but for what only one process can tell", async () => {
      const started = await startNodes(1);
      try {
        const [node] = started.nodes;
        const plain = meilisearchHttp(node?.url ?? "", node?.masterKey);
        await plain.ok("PATCH", "/experimental-features", { metrics: true });
        const { taskUid } = await plain.ok<{ taskUid: number }>("POST", "/indexes/books/documents", [
          { id: 1 },
        ]);
        await plain.waitForTask(taskUid);
        const wanted = namesIn((await plain.send("GET", "/metrics")).text);
        const got = namesIn((await fleet.api.send("GET", "/metrics")).text);
        expect(wanted.filter((name) => !got.includes(name))).toEqual([
          "meilisearch_last_finished_batches_progress_trace_ms",
          "meilisearch_task_queue_max_size",
          "meilisearch_task_queue_size_until_stop_registering",
          "meilisearch_task_queue_used_size",
          "process_threads",
        ]);
      } finally {
        await started.stop();
      }
    });
  });

  describe("the log", () => {
    const follow = async (body: object) => {
      const answer = await request(`${fleet.api.url}/logs/stream`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return { answer, text: answer.body.text() };
    };

    it("is told to one client at a time, until it is told to stop", async () => {
      const { answer, text } = await follow({ mode: "json" });
      expect(answer.statusCode).toBe(200);
      expect(answer.headers["x-accel-buffering"]).toBe("no");
      expect(answer.headers["content-type"]).toBe("application/octet-stream");
      await fleet.api.ok("GET", "/indexes/books/stats");
      expect((await refusal("POST", "/logs/stream", {})).message).toContain("in use by someone else");
      await fleet.eventually(
        async () => (await fleet.api.send("DELETE", "/logs/stream")).status === 204 || undefined,
      );
      const lines = (await text)
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.map(({ route }) => route)).toContain("/indexes/:indexUid/stats");

      const again = await follow({ mode: "human", target: "miroir=debug" });
      await fleet.api.ok("GET", "/indexes/books/stats");
      await fleet.api.send("DELETE", "/logs/stream");
      expect(await again.text).toMatch(/ INFO miroir: .*route="\/indexes\/:indexUid\/stats"/);
    });

    it("is compressed line by line, and free again when its client has gone", async () => {
      const gone = new AbortController();
      const { statusCode, body } = await request(`${fleet.api.url}/logs/stream`, {
        method: "POST",
        headers: { "content-type": "application/json", "accept-encoding": "gzip" },
        body: "{}",
        signal: gone.signal,
      });
      expect(statusCode).toBe(200);
      const lines = body.on("error", () => undefined).pipe(createGunzip());
      await fleet.api.ok("GET", "/indexes/books/stats");
      expect(String((await once(lines, "data"))[0])).toContain(" INFO miroir: ");
      gone.abort();
      const next = await fleet.eventually(async () => {
        const { answer, text } = await follow({});
        if (answer.statusCode === 200) return { text };
        await text;
        return undefined;
      });
      await fleet.api.send("DELETE", "/logs/stream");
      await next.text;
    });
  });

  realOnly("replicas take turns to compact", async () => {
    const { taskUid } = await fleet.api.ok<{ taskUid: number }>("POST", "/indexes/books/compact");
    const task = await fleet.api.waitForTask(taskUid);
    expect(task).toMatchObject({
      type: "indexCompaction",
      details: {
        preCompactionSize: expect.stringMatching(/iB$/),
        postCompactionSize: expect.stringMatching(/iB$/),
      },
    });
    const spans = await Promise.all(
      [0, 1].map(async (at) => {
        const page = await nodeApi(at).ok<{ results: { startedAt: string; finishedAt: string }[] }>(
          "GET",
          "/tasks?types=indexCompaction",
        );
        expect(page.results).toHaveLength(1);
        return page.results[0];
      }),
    );
    const [first, second] = spans.sort((a, b) => ((a?.startedAt ?? "") < (b?.startedAt ?? "") ? -1 : 1));
    expect((first?.finishedAt ?? "") < (second?.startedAt ?? "")).toBe(true);
    const search = await fleet.api.ok<{ hits: unknown[] }>("POST", "/indexes/books/search", {});
    expect(search.hits).toHaveLength(3);
  });

  it("compacts the tasks' store without a restart", async () => {
    expect(await fleet.api.ok("POST", "/tasks/compact")).toEqual({
      preSize: expect.stringMatching(/iB$/),
      postSize: expect.stringMatching(/iB$/),
      status: "succeeded",
    });
    await fleet.api.ok("GET", "/tasks");
  });

  realOnly("keeps secrets of chats from operators, and chats and networks from nodes", async () => {
    await fleet.api.ok("PATCH", "/chats/ws/settings", { apiKey: "a-secret-of-some-length" });
    await fleet.api.ok("PATCH", "/network", { self: "here" });
    const topology = await fetch(`http://${fleet.controlAddress()}/miroir.v1.TopologyService/GetTopology`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const text = await topology.text();
    expect(text).toContain('"network"');
    expect(text).not.toContain("a-secret-of-some-length");
    expect(await nodeApi(0).ok("GET", "/network")).toMatchObject({ self: null });
    expect(await nodeApi(0).ok("GET", "/chats")).toMatchObject({ results: [] });
  });

  realOnly("refuses what a fleet cannot do, and says why", async () => {
    const conversation = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true };
    const refused: readonly (readonly [method: string, path: string, body?: unknown])[] = [
      ["PATCH", "/dynamic-search-rules/x", { active: true }],
      ["DELETE", "/dynamic-search-rules/x"],
      ["DELETE", "/dynamic-search-rules"],
      ["POST", "/chats/ws/chat/completions", conversation],
      ["POST", "/logs/stream", { mode: "profile" }],
    ];
    for (const [method, path, body] of refused) {
      const { code, message } = await refusal(method, path, body);
      expect(code).toBe("feature_not_available");
      expect(message).toMatch(/ is not available in Miroir\. \S.*\.$/);
    }
  });
});

/** Names of the metrics in a text for Prometheus. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? "").sort();
}
