import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.js";
import { realNodeOnly } from "../support/nodes.js";
import { miroir } from "./cli-process.js";

const realIt = realNodeOnly();
const MASTER_KEY = "master-key-of-this-fleet";

interface Enqueued {
  readonly taskUid: number;
}

interface Dumped {
  readonly path: string;
  readonly manifest: { readonly indexes: readonly { readonly uid: string; readonly unchanged: boolean }[] };
  /** Of the first index, by id; the later of two versions. */
  readonly documents: ReadonlyMap<number, { readonly id: number; readonly text: string }>;
}

async function finished({ api }: Fleet, uid: number): Promise<Record<string, unknown>> {
  for (;;) {
    const task = await api.ok("GET", `/tasks/${uid}`);
    if (task.finishedAt !== null) return task;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function readDump({ dataDir }: Fleet, task: Record<string, unknown>): Promise<Dumped> {
  const path = join(dataDir, "dumps", `${(task.details as { dumpUid: string }).dumpUid}.dump`);
  const manifest = JSON.parse(await readFile(join(path, "manifest.json"), "utf8"));
  const text = gunzipSync(await readFile(join(path, "indexes", "0", "documents.ndjson.gz"))).toString("utf8");
  const documents = text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
  return { path, manifest, documents: new Map(documents.map((document) => [document.id, document])) };
}

async function write({ api }: Fleet, from: number, count: number, text: string): Promise<number> {
  const documents = Array.from({ length: count }, (_, at) => ({ id: from + at, text }));
  return (await api.ok<Enqueued>("POST", "/indexes/docs/documents?primaryKey=id", documents)).taskUid;
}

describe("dumps of a fleet", () => {
  let fleet: Fleet | undefined;
  afterEach(async () => {
    await fleet?.stop();
    fleet = undefined;
  });

  it("have every document that was there all the while, once writes go on and a node is lost", {
    timeout: 90_000,
  }, async () => {
    fleet = await startFleet({ nodes: 3, replicationFactor: 2, shards: 8 });
    await finished(fleet, await write(fleet, 0, 3_000, "old"));
    let writing = true;
    const writer = (async () => {
      const uids: number[] = [];
      for (let at = 0; writing; at++) {
        uids.push(await write(fleet as Fleet, (at * 37) % 3_000, 20, `new ${at}`));
        uids.push(await write(fleet as Fleet, 10_000 + at * 20, 20, "added"));
        const gone = Array.from({ length: 5 }, (_, n) => 3_000 + at * 5 + n);
        await (fleet as Fleet).api.ok("POST", "/indexes/docs/documents/delete-batch", gone);
      }
      return uids;
    })();
    const { taskUid } = await fleet.api.ok<Enqueued>("POST", "/dumps");
    await fleet.node(1).kill("SIGKILL");
    const task = await finished(fleet, taskUid);
    writing = false;
    await writer;
    expect(task).toMatchObject({ status: "succeeded", error: null });
    const { documents, manifest } = await readDump(fleet, task);
    const old = Array.from({ length: 3_000 }, (_, id) => documents.get(id));
    expect(old.filter((document) => !/^(old|new \d+)$/.test(document?.text ?? ""))).toEqual([]);
    expect(manifest.indexes[0]?.unchanged).toBe(false);
  });

  it("are made anew by a control plane that comes after the one that began, and leave nothing else", {
    timeout: 60_000,
  }, async () => {
    fleet = await startFleet({ nodes: 2, replicationFactor: 1, shards: 4 });
    await finished(fleet, await write(fleet, 0, 500, "old"));
    // The dump cannot go on without this node.
    await fleet.node(1).kill("SIGKILL");
    const { taskUid } = await fleet.api.ok<Enqueued>("POST", "/dumps");
    const folder = join(fleet.dataDir, "dumps");
    await fleet.eventually(async () => (await readdir(folder))[0]);
    await fleet.stopControl();
    expect(await readdir(folder)).toEqual([]);
    // As a process leaves it that is killed.
    await mkdir(join(folder, ".partial-20200101-000000000.dump-0", "indexes"), { recursive: true });
    await fleet.node(1).restart();
    await fleet.startControl();
    // The proxy finds the new control plane when it next tries.
    const known = fleet;
    await fleet.eventually(async () =>
      (await known.api.send("GET", `/tasks/${taskUid}`)).status === 200 ? true : undefined,
    );
    const task = await finished(fleet, taskUid);
    expect(task).toMatchObject({ status: "succeeded", type: "dumpCreation" });
    const { documents, manifest, path } = await readDump(fleet, task);
    expect(documents.size).toBe(500);
    expect(manifest.indexes[0]?.unchanged).toBe(true);
    expect(await readdir(folder)).toEqual([path.slice(folder.length + 1)]);
  });

  it("fail with the reason where they cannot be written, and leave room for the next", {
    timeout: 60_000,
  }, async () => {
    fleet = await startFleet({ nodes: 1, replicationFactor: 1, shards: 2 });
    const folder = join(fleet.dataDir, "dumps");
    await rm(folder, { recursive: true, force: true });
    await writeFile(folder, "no folder");
    const dump = async () =>
      finished(fleet as Fleet, (await (fleet as Fleet).api.ok<Enqueued>("POST", "/dumps")).taskUid);
    expect(await dump()).toMatchObject({
      status: "failed",
      details: { dumpUid: null },
      error: { code: "internal", message: expect.stringContaining(folder) },
    });
    await rm(folder);
    expect(await dump()).toMatchObject({ status: "succeeded" });
  });

  it("leave out an index that is deleted meanwhile", { timeout: 60_000 }, async () => {
    fleet = await startFleet({ nodes: 2, replicationFactor: 1, shards: 4 });
    await finished(fleet, await write(fleet, 0, 100, "kept"));
    const gone = await fleet.api.ok<Enqueued>("POST", "/indexes/all/documents?primaryKey=id", [{ id: 1 }]);
    await finished(fleet, gone.taskUid);
    await fleet.node(1).kill("SIGKILL");
    const { taskUid } = await fleet.api.ok<Enqueued>("POST", "/dumps");
    await fleet.eventually(async () => (await readdir(join((fleet as Fleet).dataDir, "dumps")))[0]);
    await fleet.api.send("DELETE", "/indexes/all");
    await fleet.node(1).restart();
    const task = await finished(fleet, taskUid);
    expect(task).toMatchObject({ status: "succeeded" });
    const { documents, manifest, path } = await readDump(fleet, task);
    expect(manifest.indexes.map(({ uid }) => uid)).toEqual(["docs"]);
    expect(documents.size).toBe(100);
    expect(await readdir(join(path, "indexes"))).toEqual(["0"]);
  });

  it("can be canceled, and leave nothing", { timeout: 60_000 }, async () => {
    fleet = await startFleet({ nodes: 2, replicationFactor: 1, shards: 4 });
    await finished(fleet, await write(fleet, 0, 100, "old"));
    await fleet.node(1).kill("SIGKILL");
    const folder = join(fleet.dataDir, "dumps");
    const [running, waiting] = [
      await fleet.api.ok<Enqueued>("POST", "/dumps"),
      await fleet.api.ok<Enqueued>("POST", "/snapshots"),
    ];
    await fleet.eventually(async () => (await readdir(folder))[0]);
    const cancelation = await fleet.api.ok<Enqueued>(
      "POST",
      "/tasks/cancel?types=dumpCreation,snapshotCreation",
    );
    expect(await finished(fleet, cancelation.taskUid)).toMatchObject({ details: { canceledTasks: 2 } });
    for (const { taskUid } of [running, waiting]) {
      const canceled = { status: "canceled", canceledBy: cancelation.taskUid };
      expect(await finished(fleet, taskUid)).toMatchObject(canceled);
    }
    await fleet.eventually(async () => ((await readdir(folder)).length === 0 ? true : undefined));
  });
});

describe("snapshots of a fleet", () => {
  realIt("are of every node, and bring the fleet back", { timeout: 90_000 }, async () => {
    const kept = await mkdtemp(join(tmpdir(), "miroir-snapshot-"));
    const shape = { nodes: 2, replicationFactor: 1, shards: 4, masterKey: MASTER_KEY } as const;
    const fleet = await startFleet(shape);
    let before = "";
    try {
      await finished(fleet, await write(fleet, 0, 200, "old"));
      const { taskUid } = await fleet.api.ok<Enqueued>("POST", "/snapshots");
      const task = await finished(fleet, taskUid);
      expect(task).toMatchObject({ status: "succeeded", type: "snapshotCreation", indexUid: null });
      expect(task).not.toHaveProperty("details");
      const folder = join(fleet.dataDir, "snapshots");
      const [name = ""] = await readdir(folder);
      const manifest = JSON.parse(await readFile(join(folder, name, "manifest.json"), "utf8"));
      expect(manifest).toMatchObject({
        unchanged: true,
        nodes: [{ nodeId: "node-0" }, { nodeId: "node-1" }],
      });
      before = (await fleet.api.send("GET", "/indexes/docs/documents?limit=200")).text;
      await cp(join(folder, name, "control-store.jsonl"), join(kept, "control-store.jsonl"));
      for (const at of [0, 1]) {
        const file = join(dirname(fleet.node(at).logFile), "snapshots", "data.ms.snapshot");
        await cp(file, join(kept, `node-${at}.snapshot`));
      }
    } finally {
      await fleet.stop();
    }
    const restored = await startFleet({
      ...shape,
      nodeArgs: (at) => ["--import-snapshot", join(kept, `node-${at}.snapshot`)],
      prepare: async (dataDir) => {
        const { code, stderr } = await miroir([
          ...["store", "import", join(kept, "control-store.jsonl"), "--data-dir", dataDir],
        ]);
        expect([code, stderr]).toEqual([0, expect.anything()]);
      },
    });
    try {
      expect((await restored.api.send("GET", "/indexes/docs/documents?limit=200")).text).toBe(before);
      const task = await finished(restored, await write(restored, 200, 1, "new"));
      expect(task.status).toBe("succeeded");
      const { total } = await restored.api.ok("GET", "/tasks?types=snapshotCreation");
      expect(total).toBe(0);
      const { text } = await restored.api.send("GET", "/indexes/docs/documents/200");
      expect(JSON.parse(text)).toEqual({ id: 200, text: "new" });
    } finally {
      await restored.stop();
      await rm(kept, { recursive: true, force: true });
    }
  });

  it("fail with the names of the nodes that made none", { timeout: 60_000 }, async () => {
    const fleet = await startFleet({ nodes: 2, replicationFactor: 2, shards: 4 });
    try {
      await fleet.node(1).kill("SIGKILL");
      const { taskUid } = await fleet.api.ok<Enqueued>("POST", "/snapshots");
      const { status, error } = await finished(fleet, taskUid);
      expect(status).toBe("failed");
      expect((error as { message: string }).message).toMatch(/of 2 nodes made no snapshot \(.*node-1: /);
      expect(await readdir(join(fleet.dataDir, "snapshots"))).toEqual([]);
    } finally {
      await fleet.stop();
    }
  });
});
