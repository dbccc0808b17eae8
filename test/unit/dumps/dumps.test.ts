import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BackupFolder, listBackups, removePartialBackups } from "../../../src/dumps/backup-folder.js";
import { findDump, openDump } from "../../../src/dumps/dump-reader.js";
import { DUMP_VERSION, type DumpManifest } from "../../../src/dumps/manifest.js";

const MANIFEST: DumpManifest = {
  format: "miroir-dump",
  version: DUMP_VERSION,
  dumpUid: "20261121-120000000",
  taskUid: 7,
  clusterId: "cluster",
  epoch: { term: "1", counter: "18446744073709551615" },
  startedAt: "2026-11-21T12:00:00Z",
  finishedAt: "2026-11-21T12:00:01.5Z",
  miroirVersion: "0.1.0",
  meilisearchVersion: "1.50.0",
  experimentalFeatures: [],
  indexes: [
    {
      uid: "films",
      primaryKey: "id",
      createdAt: "2026-11-21T11:00:00Z",
      updatedAt: "2026-11-21T11:00:00Z",
      shards: 64,
      folder: "indexes/0",
      documents: 2,
      documentBytes: 40,
      unchanged: true,
      maskedEmbedders: [],
    },
  ],
  keys: 1,
  resources: 0,
  tasks: 0,
};
const LINES = ['{"id":1,"n":12345678901234567890}\n', '{"id":2,"t":"é"}\n'];

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "miroir-dumps-"));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

async function* each(lines: readonly string[]): AsyncGenerator<Buffer> {
  for (const line of lines) yield Buffer.from(line);
}

async function begin(name = "one.dump", manifest: object = MANIFEST): Promise<BackupFolder> {
  const folder = await BackupFolder.begin(parent, name, "a1");
  await folder.write("indexes/0/settings.json", '{"stopWords":["the"]}\n');
  await folder.write("indexes/0/documents.ndjson.gz", each(LINES));
  await folder.write("keys.ndjson", '{"uid":"k"}\n');
  await folder.write("resources.ndjson", "");
  await folder.write("tasks.ndjson.gz", each([]));
  await folder.write("manifest.json", `${JSON.stringify(manifest)}\n`);
  return folder;
}

const written = async (manifest: object = MANIFEST) => (await begin("one.dump", manifest)).complete();

describe("the folder of a backup", () => {
  it("has its name once it is whole, and holds what was written, byte by byte", async () => {
    const folder = await begin();
    expect(await listBackups(parent)).toEqual([]);
    const path = await folder.complete();
    expect(await listBackups(parent)).toEqual(["one.dump"]);
    const dump = await openDump(path);
    await dump.verify();
    const [index] = dump.manifest.indexes;
    if (index === undefined) throw new Error("the index is missing");
    const lines: string[] = [];
    for await (const line of dump.documents(index)) lines.push(line.toString("utf8"));
    expect(lines).toEqual(LINES);
    expect(await dump.settings(index)).toEqual({ stopWords: ["the"] });
    expect(await dump.keys()).toEqual([{ uid: "k" }]);
    expect(await dump.resources()).toEqual([]);
  });

  it("has sums that other programs read", async () => {
    const output = execFileSync("sha256sum", ["--check", "SHA256SUMS"], { cwd: await written() });
    expect(output.toString().match(/: OK\n/g)).toHaveLength(6);
  });

  it("forgets a folder of files that is discarded, also to write it again", async () => {
    const folder = await begin();
    await folder.write("indexes/00/settings.json", "{}");
    await folder.discard("indexes/0");
    await folder.write("indexes/0/settings.json", "{}");
    const path = await folder.complete();
    expect(await readdir(join(path, "indexes", "0"))).toEqual(["settings.json"]);
    const sums = await readFile(join(path, "SHA256SUMS"), "utf8");
    expect(sums.match(/indexes\/.*/g)?.sort()).toEqual([
      "indexes/0/settings.json",
      "indexes/00/settings.json",
    ]);
  });

  it("goes where it is abandoned, and where its writer is no more", async () => {
    await (await begin()).abandon();
    expect(await readdir(parent)).toEqual([]);
    await begin("two.dump");
    await written();
    expect(await removePartialBackups(parent)).toBe(1);
    expect(await readdir(parent)).toEqual(["one.dump"]);
    expect(await removePartialBackups(join(parent, "nowhere"))).toBe(0);
  });
});

describe("a dump that is not whole", () => {
  it.each([
    ["indexes/0/documents.ndjson.gz", "is not what was written"],
    ["indexes/0/settings.json", "is not what was written"],
    ["manifest.json", "is not what was written"],
  ])("is noticed where %s was changed", async (file, message) => {
    const path = await written();
    const bytes = await readFile(join(path, file));
    await writeFile(join(path, file), Buffer.concat([bytes, Buffer.from(" ")]));
    await expect((await openDump(path)).verify()).rejects.toThrow(message);
  });

  it.each(["SHA256SUMS", "manifest.json", "keys.ndjson", "indexes/0/documents.ndjson.gz"])(
    "is noticed where %s is missing",
    async (file) => {
      const path = await written();
      await rm(join(path, file));
      await expect(openDump(path)).rejects.toThrow(`${file} is missing`);
    },
  );

  it("is noticed where documents are missing that the manifest counts", async () => {
    const [index] = MANIFEST.indexes;
    const path = await written({ ...MANIFEST, indexes: [{ ...index, documents: 3 }] });
    const dump = await openDump(path);
    const read = async () => {
      for (const each of dump.manifest.indexes) for await (const _ of dump.documents(each));
    };
    await expect(read()).rejects.toThrow("holds 2 documents, manifest.json says 3");
  });

  it.each([
    [{ version: DUMP_VERSION + 1, indexes: "of another form" }, "use the release that wrote it"],
    [{ format: "other" }, 'lacks "format":"miroir-dump"'],
    [{ keys: -1 }, "keys"],
    [{ indexes: [{ ...MANIFEST.indexes[0], folder: "../../etc" }] }, "indexes.0.folder"],
  ])("is refused with %j", async (change, message) => {
    await expect(openDump(await written({ ...MANIFEST, ...change }))).rejects.toThrow(message);
  });

  it("is refused where its sums lead out of the folder", async () => {
    const path = await written();
    await writeFile(join(path, "SHA256SUMS"), `${"0".repeat(64)}  ../outside\n`);
    await expect(openDump(path)).rejects.toThrow("a line that is no sum");
  });
});

describe("the dump of a task", () => {
  it("is found by cluster and task, beside dumps of others", async () => {
    await written();
    await (await begin("two.dump", { ...MANIFEST, clusterId: "other", taskUid: 8 })).complete();
    await (await begin("new.dump", { ...MANIFEST, taskUid: 9, version: DUMP_VERSION + 1 })).complete();
    expect((await findDump(parent, "cluster", 7))?.dumpUid).toBe(MANIFEST.dumpUid);
    expect(await findDump(parent, "cluster", 8)).toBeUndefined();
    expect(await findDump(parent, "cluster", 9)).toBeUndefined();
    expect(await findDump(join(parent, "nowhere"), "cluster", 7)).toBeUndefined();
  });
});
