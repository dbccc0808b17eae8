import { tmpdir } from "node:os";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { objectMembers } from "../../../src/json/members.js";
import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import { sequenceCode, shardCode } from "../../../src/placement/injected-fields.js";
import { createShardHasher } from "../../../src/placement/shard.js";
import {
  BatchBuilder,
  type BatchTerms,
  type DocumentBatch,
  rereadBatch,
} from "../../../src/proxy/write/document-batch.js";
import { nodePayload } from "../../../src/proxy/write/node-payload.js";
import { createSpoolPool } from "../../../src/proxy/write/spool.js";
import { createSystemWorld } from "../../../src/runtime/world.js";

const hasher = await createShardHasher();
const spools = createSpoolPool(
  { directory: "/nowhere", memoryBytes: 10_000_000, maxFileBytes: 0 },
  createSystemWorld().random,
);
const terms = (primaryKey?: string): BatchTerms => ({
  indexUid: "movies",
  primaryKey,
  shards: 8,
  codeShards: 8,
  rules: { geo: true, geojson: false, dimensions: new Map([["m", 2]]) },
  hasher,
});

async function batchOf(
  documents: readonly string[],
  primaryKey?: string,
  dropDuplicates = true,
  pool = spools,
) {
  const builder = new BatchBuilder(terms(primaryKey), pool, dropDuplicates);
  for (const document of documents) {
    const bytes = Buffer.from(document);
    await builder.add({ bytes, members: objectMembers(bytes) });
  }
  return builder.finish();
}

async function sent(batch: DocumentBatch, shards: readonly number[], first = 100n): Promise<string[]> {
  const payload = nodePayload(batch, new Set(shards), first);
  const body = Buffer.isBuffer(payload.body) ? payload.body : await buffer(payload.body());
  expect(body.length).toBe(payload.contentLength);
  const lines = body.toString().split("\n");
  expect(lines.pop()).toBe("");
  expect(lines.length).toBe(payload.documents);
  return lines;
}

const ALL = [0, 1, 2, 3, 4, 5, 6, 7];

describe("a batch of documents", () => {
  it("makes the same body at once, in chunks, and by way of a file", async () => {
    const files = createSpoolPool(
      { directory: tmpdir(), memoryBytes: 1_024, maxFileBytes: 10_000_000 },
      createSystemWorld().random,
    );
    for (const [count, isWhole] of [
      [2_000, true],
      [20_000, false],
    ] as const) {
      const documents = Array.from(
        { length: count },
        (_, id) => `{"id":${id},"text":"${"x".repeat(id % 97)}"}`,
      );
      const inMemory = await batchOf(documents, "id");
      const inFile = await batchOf(documents, "id", true, files);
      expect(Buffer.isBuffer(nodePayload(inMemory, new Set(ALL), 1n).body)).toBe(isWhole);
      for (const shards of [ALL, [0, 3], [5]]) {
        expect(await sent(inMemory, shards)).toEqual(await sent(inFile, shards));
      }
      await inFile.spool.dispose();
    }
  });

  it("sends every document once, byte for byte, with its shard and place behind its own fields", async () => {
    const value = fc.constantFrom(
      "1.0",
      "1e5",
      "-0",
      "12345678901234567890123",
      '"\\u00e9"',
      "[ 1 ,2]",
      '{"a" :1}',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.stringMatching(/^[a-z0-9_-]{1,12}$/), value)), async (rows) => {
        const documents = rows.map(([id, x]) => `{ "id":"${id}" , "x": ${x} }`);
        const batch = await batchOf(documents, "id");
        const lines = await sent(batch, ALL);
        expect(lines).toEqual(
          rows.map(([id, x], at) => {
            const shard = shardCode(hasher.shardOf(id, 8));
            return `{ "id":"${id}" , "x": ${x} ,"_miroir_shard":"${shard}","_miroir_seq":"${sequenceCode(100 + at)}"}`;
          }),
        );
        const halves = [...(await sent(batch, [0, 1, 2, 3])), ...(await sent(batch, [4, 5, 6, 7]))];
        expect(halves.sort()).toEqual([...lines].sort());
      }),
      { numRuns: 50 },
    );
  });

  it("takes a number and a string of the same digits for one key", async () => {
    const batch = await batchOf(['{"id":42}', '{"id":"42"}'], "id");
    expect(batch.shares.size).toBe(1);
  });

  it.each([
    ['{"_miroir_shard":"x","id":1}', "_miroir_shard"],
    ['{"id":1,"_miroir_anything":null}', "_miroir_anything"],
    ['{"id":1,"\\u005fmiroir_seq":1}', "_miroir_seq"],
  ])("refuses %s", async (document, field) => {
    const refused = batchOf([document]);
    await expect(refused).rejects.toThrow(MeilisearchError);
    await expect(refused).rejects.toMatchObject({ status: 400, body: { code: "miroir_reserved_field" } });
    await expect(refused).rejects.toThrow(field);
  });

  it("keeps the last of members with one name, as Meilisearch does with arrays, and finds two ids in NDJSON", async () => {
    const document = '{"id":1,"x":1,"y":0,"x":2}';
    const [line] = await sent(await batchOf([document], "id"), ALL);
    expect(objectMembers(Buffer.from(line ?? "")).map(({ key }) => key)).toEqual([
      "id",
      "x",
      "y",
      "_miroir_shard",
      "_miroir_seq",
    ]);
    expect(line).toContain('{"id":1,"x":2,"y":0,');
    const many = Array.from({ length: 40 }, (_, at) => `"f${at}":${at}`).join(",");
    const [longer] = await sent(await batchOf([`{"id":1,${many},"id":2}`], "id"), ALL);
    expect(longer?.startsWith(`{"id":2,${many},"_miroir_shard"`)).toBe(true);
    const twice = await batchOf(['{"id":1,"id":2}'], "id", false);
    expect(twice.failure?.error.code).toBe("invalid_document_id");
  });

  it("holds a bad document against the batch only if no later version of it is good", async () => {
    const bad = '{"id":1,"_geo":1}';
    expect((await batchOf([bad], "id")).failure?.error.code).toBe("invalid_document_geo_field");
    expect((await batchOf([bad, '{"id":1}'], "id")).failure).toBeUndefined();
    expect((await batchOf([bad, '{"id":2}'], "id")).failure).toBeDefined();
    const wrong = '{"id":1,"_vectors":{"m":[1,2,3]}}';
    expect((await batchOf([wrong], "id")).failure?.error.code).toBe("invalid_vector_dimensions");
  });

  it("can be read again under another key, also after a failure", async () => {
    const failed = await batchOf(['{"a_id":1,"b_id":2}', '{"a_id":3,"b_id":4}']);
    expect(failed.failure?.error.code).toBe("index_primary_key_multiple_candidates_found");
    const again = await rereadBatch(failed.spool.documents(), terms("b_id"), spools);
    expect(again.failure).toBeUndefined();
    expect(again.documents).toBe(2);
    expect([...again.shares.keys()].sort()).toEqual(
      [...new Set(["2", "4"].map((id) => hasher.shardOf(id, 8)))].sort(),
    );
  });
});
