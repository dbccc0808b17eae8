import { tmpdir } from "node:os";
import xxhash from "xxhash-wasm";
import { objectMembers } from "../../src/json/members.js";
import { createShardHasher, type ShardHasher, type ShardId } from "../../src/placement/shard.js";
import { BatchBuilder, type BatchTerms } from "../../src/proxy/write/document-batch.js";
import { createSpoolPool } from "../../src/proxy/write/spool.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { seededRandom } from "../support/random.js";
import { madeUpDocuments } from "./documents.js";
import { timeWork, type WorkTime } from "./in-process.js";

/** How routing is measured. */
export interface RouteBenchOptions {
  readonly documents: number;
  readonly documentBytes: number;
  readonly shards: number;
  readonly durationMs: number;
  readonly repeats: number;
}

/** Work on all documents once. */
export interface RouteRow {
  readonly work: string;
  readonly time: WorkTime;
}

/** Measures what finds each document's shard: hashing its key, what is done with the hash, and dealing whole documents out. */
export async function benchRoute(options: RouteBenchOptions): Promise<RouteRow[]> {
  const { shards } = options;
  const { h64 } = await xxhash();
  const hasher = await createShardHasher();
  const documents = madeUpDocuments(options.documents, options.documentBytes, seededRandom(3)).map(
    (document) => {
      const bytes = Buffer.from(JSON.stringify(document));
      return { bytes, members: objectMembers(bytes), key: String(document.id) };
    },
  );
  const keys = documents.map(({ key }) => key);
  const known = new Map(keys.map((key) => [key, hasher.shardOf(key, shards)]));
  const given: ShardHasher = { shardOf: (key) => known.get(key) ?? (0 as ShardId) };
  const world = createSystemWorld();
  const memoryBytes = options.documents * options.documentBytes * 4;
  const pool = createSpoolPool({ directory: tmpdir(), memoryBytes, maxFileBytes: memoryBytes }, world.random);
  const deal = (by: ShardHasher) => (): number => {
    const builder = new BatchBuilder(termsOf(shards, by), pool, false);
    for (const document of documents) {
      const written = builder.add(document);
      if (written !== undefined) throw new Error("the documents do not fit into memory");
    }
    const { shares } = builder.finish();
    void builder.dispose();
    return shares.size;
  };
  const works = [
    { work: "keys hashed", run: () => sum(keys, (key) => Number(h64(key) & 1n)) },
    { work: "keys to shards, hashing included", run: () => sum(keys, (key) => hasher.shardOf(key, shards)) },
    { work: "documents keyed, checked, dealt to shards and kept", run: deal(hasher) },
    { work: "… with the shards given", run: deal(given) },
  ];
  const times = timeWork(
    works.map(({ work, run }) => ({ name: work, run })),
    options,
  );
  return works.flatMap(({ work }) => {
    const time = times.get(work);
    return time === undefined ? [] : [{ work, time }];
  });
}

function sum(keys: readonly string[], of: (key: string) => number): number {
  let total = 0;
  for (const key of keys) total += of(key);
  return total;
}

function termsOf(shards: number, hasher: ShardHasher): BatchTerms {
  const rules = { geo: false, geojson: false, dimensions: new Map<string, number>() };
  return { indexUid: "films", primaryKey: "id", shards, codeShards: shards, rules, hasher };
}
