import { tmpdir } from "node:os";
import { Readable } from "node:stream";
import { createDocumentSplitter } from "../../src/json/document-stream.js";
import { createShardHasher } from "../../src/placement/shard.js";
import { contentRules } from "../../src/proxy/write/document-checks.js";
import { type NodePayload, nodePayload } from "../../src/proxy/write/node-payload.js";
import { documentFormat, receiveDocuments } from "../../src/proxy/write/receive-documents.js";
import { createSpoolPool } from "../../src/proxy/write/spool.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import type { BenchDocument } from "./documents.js";

/** How the way of a body through the proxy is measured. */
export interface BodiesOptions {
  readonly documents: readonly BenchDocument[];
  readonly nodes: number;
  readonly repeats: number;
}

/** One part of the way, with what it manages in each repeat: megabytes of the body for a second of processor time. */
export interface BodiesRow {
  readonly part: string;
  readonly megabytesPerSecond: readonly number[];
}

const CHUNK_BYTES = 64 * 1024;
const SHARDS = 64;
const LIMITS = { maxBodyBytes: 1e12, maxDocumentBytes: 32 * 1024 * 1024 };

/** Cuts a body into documents, and makes nodes' bodies of it, without any network. */
export async function benchBodies({ documents, nodes, repeats }: BodiesOptions): Promise<BodiesRow[]> {
  const lines = documents.map((document) => JSON.stringify(document));
  const ndjson = Buffer.from(`${lines.join("\n")}\n`);
  const array = Buffer.from(`[${lines.join(",")}]`);
  const hasher = await createShardHasher();
  const pool = createSpoolPool(
    { directory: tmpdir(), memoryBytes: 1024 * 1024, maxFileBytes: 1e12 },
    createSystemWorld().random,
  );
  const terms = {
    indexUid: "bodies",
    primaryKey: "id",
    shards: SHARDS,
    codeShards: SHARDS,
    rules: contentRules({}, []),
    hasher,
  };
  const shardsOf = Array.from(
    { length: nodes },
    (_, node) =>
      new Set(Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => shard % nodes === node)),
  );
  const split = (format: "json" | "ndjson", body: Buffer) => async () => {
    const splitter = createDocumentSplitter({ format, maxDocumentBytes: LIMITS.maxDocumentBytes });
    for (const chunk of chunksOf(body)) splitter.push(chunk);
    splitter.end();
  };
  const whole = async (): Promise<void> => {
    const format = documentFormat("application/x-ndjson", undefined);
    const body = Readable.from(chunksOf(ndjson), { objectMode: false });
    const received = await receiveDocuments(body, undefined, format, terms, pool, LIMITS);
    if (received.kind !== "read") throw new Error("the body was not read under its terms");
    const { batch } = received;
    await Promise.all(shardsOf.map((shards) => drained(nodePayload(batch, shards, 1n).body)));
    await batch.spool.dispose();
  };
  return [
    await measure(
      "NDJSON into documents, checked, with their members",
      ndjson,
      repeats,
      split("ndjson", ndjson),
    ),
    await measure("a JSON array likewise", array, repeats, split("json", array)),
    await measure(`NDJSON into the bodies of ${nodes} nodes, by way of a file`, ndjson, repeats, whole),
  ];
}

function chunksOf(body: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(body.length / CHUNK_BYTES) }, (_, at) =>
    body.subarray(at * CHUNK_BYTES, (at + 1) * CHUNK_BYTES),
  );
}

async function drained(body: NodePayload["body"]): Promise<void> {
  if (Buffer.isBuffer(body)) return;
  for await (const _chunk of body());
}

async function measure(
  part: string,
  body: Buffer,
  repeats: number,
  work: () => Promise<void>,
): Promise<BodiesRow> {
  const megabytesPerSecond: number[] = [];
  // The first turns are the compiler's.
  for (let turn = -2; turn < repeats; turn++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    if (turn >= 0) megabytesPerSecond.push(body.length / (user + system));
  }
  return { part, megabytesPerSecond };
}
