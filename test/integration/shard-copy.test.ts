import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { documentDigest } from "../../src/json/document-digest.js";
import { shardCode } from "../../src/placement/injected-fields.js";
import { createShardHasher, type ShardHasher } from "../../src/placement/shard.js";
import type { WriteResult } from "../../src/proxy/write/types.js";
import { allInSync, type CopyRig, startCopyRig } from "./copy-rig.js";

const SHARDS = 4;
const HUGE = "12345678901234567890";

let rig: CopyRig;
let hasher: ShardHasher;

beforeAll(async () => {
  rig = await startCopyRig(3, SHARDS, 2);
  hasher = await createShardHasher();
}, 30_000);

afterAll(async () => {
  await rig?.stop();
});

const documents = (ids: readonly number[], version: number): string =>
  `[${ids
    .map(
      (id) =>
        `{"id":"d${id}","n":${version},"huge":${HUGE},"text":"copy ${id} \\u00e9","_vectors":{"own":[${id % 7},0.125,${version % 3}]}}`,
    )
    .join(",")}]`;

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

/** Writes until told to stop; the rate is what the fleet takes. */
class Writing {
  private stopped = false;
  readonly results: WriteResult[] = [];
  private readonly done: Promise<void>;

  constructor(uid: string, ids: number) {
    this.done = (async () => {
      for (let turn = 0; !this.stopped; turn++) {
        const at = (turn * 7) % ids;
        const kind = turn % 5 === 4 ? "delete-batch" : turn % 2 === 0 ? "replace" : "update";
        const body =
          kind === "delete-batch"
            ? JSON.stringify([`d${at}`])
            : kind === "update"
              ? // A document that this makes anew would fail all that shares its batch if it had no vector.
                JSON.stringify([{ id: `d${at}`, extra: turn, _vectors: { own: [turn % 5, 1, 0.5] } }])
              : documents([at, ids + turn], turn);
        this.results.push(await rig.write({ kind, indexUid: uid, body }));
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
    })();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.done;
    for (const result of this.results) await rig.finished(result);
  }
}

/** Every serving replica of every shard holds the same, and no node holds anything else. */
async function compareReplicas(uid: string): Promise<number> {
  const index = rig.index(uid);
  let count = 0;
  for (const { shard, nodeIds } of index.placement) {
    const contents = await Promise.all(nodeIds.map((id) => rig.shardOn(id, uid, shardCode(shard))));
    const [first] = contents;
    for (const content of contents) {
      expect([...content.keys()].sort()).toEqual([...(first?.keys() ?? [])].sort());
      for (const [id, text] of content) {
        expect(hasher.shardOf(id, index.shards)).toBe(shard);
        expect(text).toContain(text.includes('"n"') ? `"huge":${HUGE}` : '"extra"');
        expect(documentDigest(Buffer.from(text))).toBe(documentDigest(Buffer.from(first?.get(id) ?? "{}")));
      }
    }
    count += first?.size ?? 0;
    for (const { nodeId } of index.replicas) {
      if (nodeIds.includes(nodeId)) continue;
      expect((await rig.shardOn(nodeId, uid, shardCode(shard))).size).toBe(0);
    }
  }
  return count;
}

async function fill(uid: string, count: number): Promise<void> {
  const settings = await rig.service.updateSettings(
    {
      indexUid: uid,
      route: "all",
      method: "PATCH",
      body: { embedders: { own: { source: "userProvided", dimensions: 3 } } },
    },
    new AbortController().signal,
  );
  await rig.finished(settings);
  const added = await rig.write({
    kind: "replace",
    indexUid: uid,
    primaryKey: "id",
    body: documents(range(0, count), 0),
  });
  await rig.finished(added);
}

describe("copies of shards", () => {
  it("move, add and give up replicas while clients write", { timeout: 120_000 }, async () => {
    await fill("movies", 250);
    const before = rig.index("movies");
    const nodeIds = ["node-0", "node-1", "node-2"];
    const moves = before.placement.map(({ shard, nodeIds: placed }) => ({
      shard,
      from: placed[0],
      to: nodeIds.find((id) => !placed.includes(id)),
    }));
    const writing = new Writing("movies", 250);
    const after = await rig.copy("movies", { moves, repairNodeIds: [] });
    await writing.stop();
    for (const { shard, from, to } of moves) {
      expect(after.placement[shard]?.nodeIds).toContain(to);
      expect(after.placement[shard]?.nodeIds).not.toContain(from);
    }
    expect(allInSync(after)).toBe(true);
    expect(await compareReplicas("movies")).toBeGreaterThan(150);
  });

  it("bring a replica back that missed writes", { timeout: 120_000 }, async () => {
    await fill("books", 250);
    rig.cutOff("node-1", true);
    await rig.write({
      kind: "delete-batch",
      indexUid: "books",
      body: JSON.stringify(range(0, 100).map((id) => `d${id}`)),
    });
    await rig.write({ kind: "replace", indexUid: "books", body: documents(range(50, 200), 1) });
    expect(allInSync(rig.index("books"))).toBe(false);
    rig.cutOff("node-1", false);
    const writing = new Writing("books", 250);
    const after = await rig.copy("books", { moves: [], repairNodeIds: ["node-1"] });
    await writing.stop();
    expect(allInSync(after)).toBe(true);
    expect(await compareReplicas("books")).toBeGreaterThan(100);
  });

  it("cut an index into more shards while clients write", { timeout: 120_000 }, async () => {
    await fill("songs", 200);
    const writing = new Writing("songs", 200);
    const after = await rig.copy("songs", { moves: [], repairNodeIds: [], splitShards: 3 * SHARDS });
    await writing.stop();
    expect(after.shards).toBe(3 * SHARDS);
    expect(allInSync(after)).toBe(true);
    expect(await compareReplicas("songs")).toBeGreaterThan(100);
  });
});
