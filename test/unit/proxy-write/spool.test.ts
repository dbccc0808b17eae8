import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { createSpoolPool, type DocumentSpool, SpoolFullError } from "../../../src/proxy/write/spool.js";
import { createSystemWorld } from "../../../src/runtime/world.js";

const directory = mkdtempSync(join(tmpdir(), "miroir-spool-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const { random } = createSystemWorld();
const pool = (memoryBytes: number, maxFileBytes = 1_000_000) =>
  createSpoolPool({ directory, memoryBytes, maxFileBytes }, random);

async function read(spool: DocumentSpool): Promise<[number, string][]> {
  const documents: [number, string][] = [];
  for await (const { shard, bytes } of spool.documents()) documents.push([shard, bytes.toString()]);
  return documents;
}

describe("a document spool", () => {
  it("gives back what was put in, in order, whether it fits in memory or not", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(4_095), fc.string({ maxLength: 300 }))),
        fc.nat(2_000),
        async (documents, memoryBytes) => {
          const spool = pool(memoryBytes).create();
          for (const [shard, text] of documents) await spool.add(shard, Buffer.from(text));
          const [once, again] = await Promise.all([read(spool), read(spool)]);
          await spool.dispose();
          expect(once).toEqual(documents.map(([shard, text]) => [shard, Buffer.from(text).toString()]));
          expect(again).toEqual(once);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("reads documents that are larger than what is read at once", async () => {
    const spool = pool(10).create();
    const large = Buffer.alloc(600_000, "x");
    await spool.add(7, large);
    await spool.add(8, Buffer.from("{}"));
    const documents = await read(spool);
    expect(documents.map(([shard, text]) => [shard, text.length])).toEqual([
      [7, 600_000],
      [8, 2],
    ]);
    await spool.dispose();
  });

  it("leaves no name in the folder, not even while it is in use", async () => {
    const spool = pool(10).create();
    await spool.add(0, Buffer.alloc(100));
    expect(readdirSync(directory)).toEqual([]);
    await spool.dispose();
  });

  it("shares one limit with the other spools of its pool, and gives back what it took", async () => {
    const shared = pool(0, 1_000);
    const [first, second] = [shared.create(), shared.create()];
    await first.add(0, Buffer.alloc(600));
    await expect(second.add(0, Buffer.alloc(600))).rejects.toThrow(SpoolFullError);
    await second.dispose();
    expect(shared.fileBytes()).toBe(606);
    await first.dispose();
    await first.dispose();
    expect(shared.fileBytes()).toBe(0);
  });
});
