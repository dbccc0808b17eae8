import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import { realNodeOnly } from "../support/nodes.js";
import { miroir, spawnMiroir } from "./cli-process.js";

const MASTER_KEY = "master-key-of-both-fleets";

/** Texts, so that what a number or a member's order becomes is seen. */
const BOOKS = [
  `{"id":1,"title":"Ulysses","isbn":12345678901234567890,"price":1.25,"tags":["sea","day"]}`,
  `{"id":2,"title":"Les Misérables","tags":[],"author":{"name":"Hugo","born":1802}}`,
  `{"id":"three","title":"Моби Дик \\"whale\\"","tags":["sea"],"none":null}`,
  ...Array.from({ length: 400 }, (_, at) => `{"id":${at + 10},"title":"Book ${at}","tags":["t${at % 7}"]}`),
];

const SETTINGS = {
  searchableAttributes: ["title", "author.name"],
  displayedAttributes: ["id", "title", "isbn", "price", "author", "tags", "none"],
  filterableAttributes: ["tags"],
  sortableAttributes: ["title"],
  stopWords: ["the"],
  synonyms: { whale: ["cetacean"] },
  rankingRules: ["words", "typo", "title:asc"],
};

/** What a client sees of a fleet, but for times. */
async function viewOf(api: MeilisearchHttp): Promise<Readonly<Record<string, string>>> {
  const paths = [
    "/indexes/books/settings",
    "/indexes/vectors/settings",
    "/indexes/books/documents?limit=1000",
    "/indexes/vectors/documents?limit=1000&retrieveVectors=true",
    "/indexes/books/documents/three",
    "/indexes/empty/settings",
    "/experimental-features",
    "/keys?limit=100",
    "/webhooks",
  ];
  const view: Record<string, string> = {};
  for (const path of paths) {
    const { status, text } = await api.send("GET", path);
    view[path] = `${status} ${text.replace(/"(createdAt|updatedAt)":"[^"]*"/g, '"$1":"<time>"')}`;
  }
  const searches: [string, object][] = [
    ["books", { q: "book", limit: 50, facets: ["tags"] }],
    ["books", { q: "cetacean" }],
    ["vectors", { vector: [0.1, 0.9], hybrid: { embedder: "own", semanticRatio: 1 }, limit: 20 }],
  ];
  for (const [uid, body] of searches) {
    const { text } = await api.send("POST", `/indexes/${uid}/search`, body);
    view[`search ${uid} ${JSON.stringify(body)}`] = text.replace(
      /"(processingTimeMs|requestUid)":[^,}]+/g,
      "",
    );
  }
  return view;
}

/** Where two views differ, and around which place; whole answers would be long. */
async function differences(a: MeilisearchHttp, b: MeilisearchHttp): Promise<string[]> {
  const [wanted, got] = await Promise.all([viewOf(a), viewOf(b)]);
  return Object.entries(wanted).flatMap(([name, want]) => {
    const have = got[name] ?? "";
    if (have === want) return [];
    const at = [...want].findIndex((character, position) => have[position] !== character);
    const around = (text: string) => text.slice(Math.max(0, at - 60), at + 60);
    return [`${name}: wanted …${around(want)}… got …${around(have)}…`];
  });
}

async function fill({ api }: Fleet): Promise<void> {
  const done = async (method: string, path: string, body: unknown): Promise<void> => {
    await api.waitForTask((await api.ok<{ taskUid: number }>(method, path, body)).taskUid);
  };
  await done("POST", "/indexes", { uid: "empty" });
  await done("PATCH", "/indexes/empty/settings", { stopWords: ["a"] });
  await done("PATCH", "/indexes/books/settings", SETTINGS);
  await done("POST", "/indexes/books/documents?primaryKey=id", `[${BOOKS.join(",")}]`);
  // Behind all others from now on.
  await done("POST", "/indexes/books/documents", [{ id: 12, title: "Book again", tags: ["late"] }]);
  await done("PATCH", "/indexes/vectors/settings", {
    embedders: { own: { source: "userProvided", dimensions: 2 } },
  });
  await done(
    "POST",
    "/indexes/vectors/documents?primaryKey=id",
    Array.from({ length: 30 }, (_, id) => ({
      id,
      _vectors: { own: id % 10 === 9 ? null : [Math.cos(id), Math.sin(id)] },
    })),
  );
  await api.ok("PATCH", "/experimental-features", { containsFilter: true });
  await api.ok("POST", "/webhooks", {
    url: "http://127.0.0.1:9/nobody",
    headers: { authorization: "Bearer hook-0123456789" },
  });
  await api.ok("POST", "/keys", {
    uid: "aaaaaaaa-0000-4000-8000-000000000001",
    name: "reader",
    actions: ["search"],
    indexes: ["books"],
    expiresAt: null,
  });
}

/** An embedding service that answers whoever shows the right key, and counts what it is asked for. */
async function startEmbedder(key: string): Promise<{ url: string; texts(): number; stop(): void }> {
  let texts = 0;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      const { input } = JSON.parse(body) as { readonly input: readonly string[] };
      if (request.headers.authorization !== `Bearer ${key}`) {
        response.writeHead(401).end("{}");
        return;
      }
      texts += input.length;
      const data = input.map((text) => [text.length / 10, 1]);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ data }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, texts: () => texts, stop: () => server.close() };
}

describe("dumps, and what is restored of them", () => {
  let source: Fleet;
  let target: Fleet;
  let folder: string;
  let dump: string;
  const SERVER = () => ["--server", target.controlAddress()];
  const restore = (...more: readonly string[]) =>
    miroir([
      "restore",
      "--from",
      dump,
      "--url",
      target.api.url,
      "--key",
      MASTER_KEY,
      ...SERVER(),
      "--json",
      ...more,
    ]);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "miroir-restore-"));
    [source, target] = await Promise.all([
      startFleet({ nodes: 3, replicationFactor: 2, shards: 8, masterKey: MASTER_KEY }),
      startFleet({ nodes: 2, replicationFactor: 1, shards: 5, masterKey: MASTER_KEY }),
    ]);
    await fill(source);
    const { taskUid } = await source.api.ok<{ taskUid: number }>("POST", "/dumps");
    const { details } = await source.api.waitForTask(taskUid);
    dump = join(source.dataDir, "dumps", `${(details as { dumpUid: string }).dumpUid}.dump`);
  }, 120_000);
  afterAll(async () => {
    await Promise.all([source?.stop(), target?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  it("holds nothing of Miroir's own fields, and every document as it was written", async () => {
    const paths = (await readdir(dump, { recursive: true })).filter((path) => /\.\w+$/.test(path));
    for (const path of paths) {
      const bytes = await readFile(join(dump, path));
      const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
      expect(text, path).not.toContain("_miroir_");
      if (path === "indexes/0/documents.ndjson.gz") {
        const rewritten = BOOKS.filter((book) => !book.startsWith(`{"id":12,`));
        expect(text.trimEnd().split("\n").slice(0, -1)).toEqual(rewritten);
      }
    }
    expect(await readdir(join(dump, ".."))).toHaveLength(1);
  });

  it("is refused by a fleet that has something else, and where it is damaged or from a newer program", async () => {
    const copy = join(folder, "copy");
    const run = (...args: string[]) =>
      miroir(["restore", "--from", copy, "--url", target.api.url, "--key", MASTER_KEY, ...args]);
    await cp(dump, copy, { recursive: true });
    const documents = join(copy, "indexes", "0", "documents.ndjson.gz");
    const bytes = await readFile(documents);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    await writeFile(documents, bytes);
    const manifest = await readFile(join(copy, "manifest.json"), "utf8");
    const [damaged, missing, refused] = await Promise.all([
      run(),
      miroir(["restore", "--from", join(folder, "nothing")]),
      miroir(["restore", "--from", dump, "--url", target.api.url, "--key", "another-master-key"]),
    ]);
    expect([damaged.code, damaged.stderr]).toEqual([1, expect.stringContaining("is not what was written")]);
    expect(missing.code).toBe(4);
    expect([refused.code, refused.stderr]).toEqual([5, expect.stringContaining("invalid_api_key")]);
    await writeFile(join(copy, "manifest.json"), manifest.replace('"version":1', '"version":2'));
    const newer = await run();
    expect([newer.code, newer.stderr]).toEqual([1, expect.stringContaining("has version 2")]);
    const own = await miroir(["restore", "--from", dump, "--url", source.api.url, "--key", MASTER_KEY]);
    expect([own.code, own.stderr]).toEqual([1, expect.stringContaining("has these indexes already: books")]);
    expect((await target.api.ok("GET", "/indexes")).total).toBe(0);
  }, 120_000);

  it("goes on where it was killed", async () => {
    const running = spawnMiroir([
      ...["restore", "--from", dump, "--url", target.api.url, "--key", MASTER_KEY, "--batch-bytes", "300"],
    ]);
    await target.eventually(async () => {
      const { numberOfDocuments } = await target.api.ok<{ numberOfDocuments: number }>(
        "GET",
        "/indexes/books/stats",
      );
      return numberOfDocuments > 50 ? true : undefined;
    });
    running.child.kill("SIGKILL");
    await running.ended;
    const { code, stderr } = await restore("--index", "books", "--batch-bytes", "5000");
    expect([code, stderr]).toEqual([0, expect.anything()]);
    const ranges = (
      await target.api.ok<{ results: { customMetadata: string }[] }>(
        "GET",
        "/tasks?indexUids=books&types=documentAdditionOrUpdate&limit=1000&reverse=true",
      )
    ).results.map(({ customMetadata }) => customMetadata.split(" ").at(-1));
    const ends = ranges.map((range) => Number(range?.split("-")[1]));
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    expect(ranges.length).toBeGreaterThan(5);
    expect(ends.at(-1)).toBe(BOOKS.length);
  }, 120_000);

  it("gives the same answers in another fleet, and the same again after a second run", async () => {
    const first = await restore();
    expect([first.code, first.stderr]).toEqual([0, expect.stringContaining("restoring documents")]);
    expect(JSON.parse(first.stdout)).toMatchObject({
      indexes: [
        { uid: "books", documents: BOOKS.length },
        { uid: "empty", documents: 0 },
        { uid: "vectors", documents: 30 },
      ],
      experimentalFeatures: ["containsFilter"],
      keys: { created: 5, replaced: 4 },
      resources: { created: 1, present: 0 },
    });
    expect(await differences(source.api, target.api)).toEqual([]);
    const again = await restore();
    expect([again.code, again.stderr]).toEqual([0, expect.anything()]);
    expect(JSON.parse(again.stdout)).toMatchObject({
      keys: { created: 0, present: 5, replaced: 0 },
      resources: { created: 0, present: 1 },
    });
    expect(await differences(source.api, target.api)).toEqual([]);
  }, 120_000);

  it("replaces an index that was said to be overwritten, and no other", async () => {
    const { taskUid } = await target.api.ok<{ taskUid: number }>("POST", "/indexes/books/documents", [
      { id: 1, title: "Changed" },
    ]);
    await target.api.waitForTask(taskUid);
    const refused = await restore("--index", "books");
    expect(refused.code).toBe(1);
    const { code, stderr } = await restore("--index", "books", "--overwrite", "books");
    expect([code, stderr]).toEqual([0, expect.anything()]);
    expect(await differences(source.api, target.api)).toEqual([]);
  }, 120_000);
});

const realIt = realNodeOnly();

describe("dumps of indexes with a remote embedder", () => {
  const KEY = "sk-embedder-0123456789";
  realIt("have its key, and vectors that are not made anew", { timeout: 120_000 }, async () => {
    const nodeArgs = ["--experimental-allowed-ip-networks", "127.0.0.0/8"];
    const embedder = await startEmbedder(KEY);
    const [source, target] = await Promise.all([
      startFleet({ nodes: 2, replicationFactor: 1, shards: 4, nodeArgs }),
      startFleet({ nodes: 2, replicationFactor: 1, shards: 4, nodeArgs }),
    ]);
    try {
      const done = async (method: string, path: string, body: unknown): Promise<void> => {
        await source.api.waitForTask((await source.api.ok<{ taskUid: number }>(method, path, body)).taskUid);
      };
      await done("PATCH", "/indexes/notes/settings", {
        embedders: {
          remote: {
            source: "rest",
            url: embedder.url,
            apiKey: KEY,
            dimensions: 2,
            documentTemplate: "{{doc.text}}",
            request: { input: ["{{text}}", "{{..}}"] },
            response: { data: ["{{embedding}}", "{{..}}"] },
          },
        },
      });
      await done(
        "POST",
        "/indexes/notes/documents?primaryKey=id",
        Array.from({ length: 20 }, (_, id) => ({ id, text: "x".repeat(id + 1) })),
      );
      const { taskUid } = await source.api.ok<{ taskUid: number }>("POST", "/dumps");
      const { details } = await source.api.waitForTask(taskUid);
      const folder = join(source.dataDir, "dumps", `${(details as { dumpUid: string }).dumpUid}.dump`);
      const settings = JSON.parse(await readFile(join(folder, "indexes", "0", "settings.json"), "utf8"));
      expect(settings.embedders.remote.apiKey).toBe(KEY);
      const shown = await source.api.ok<{ embedders: { remote: { apiKey: string } } }>(
        "GET",
        "/indexes/notes/settings",
      );
      expect(shown.embedders.remote.apiKey).toBe("sk-XXXXX...");

      const before = embedder.texts();
      const { code, stderr } = await miroir(["restore", "--from", folder, "--url", target.api.url]);
      expect([code, stderr]).toEqual([0, expect.anything()]);
      expect(embedder.texts()).toBe(before);
      for (const path of [
        "/indexes/notes/documents?limit=20&retrieveVectors=true",
        "/indexes/notes/settings",
      ]) {
        expect((await target.api.send("GET", path)).text).toBe((await source.api.send("GET", path)).text);
      }
      // The key works, and the vectors are made anew where the document changes.
      const { taskUid: update } = await target.api.ok<{ taskUid: number }>(
        "PUT",
        "/indexes/notes/documents",
        [{ id: 3, text: "changed" }],
      );
      await target.api.waitForTask(update);
      expect(embedder.texts()).toBe(before + 1);
    } finally {
      embedder.stop();
      await Promise.all([source.stop(), target.stop()]);
    }
  });
});
