import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TaskStatus } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../../src/placement/physical-name.js";
import { DEFAULT_CLIENT_SETTINGS, toClientSettings } from "../../../src/settings/canonical-settings.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";

let nodes: StartedNodes;
let harness: Harness;

beforeAll(async () => {
  nodes = await startNodes(3);
  harness = await startHarness({
    config: { nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })) },
    replicationFactor: 2,
  });
});

afterAll(async () => {
  await harness?.stop();
  await nodes?.stop();
});

async function taskUid(): Promise<bigint> {
  return (await harness.tasks.allocateTaskUids({ count: 1, session: "s" })).firstUid;
}

describe("index creation", () => {
  it("makes the index on every node that holds a shard, with Miroir's additions, and its task succeeds", async () => {
    const uid = await taskUid();
    await harness.indexes.createIndex({ taskUid: uid, uid: "movies", primaryKey: "id", session: "s" });
    const task = await harness.finished(uid);
    expect(task).toMatchObject({ status: TaskStatus.SUCCEEDED, indexUid: "movies" });
    expect(JSON.parse(task.detailsJson)).toEqual({ primaryKey: "id" });
    const { index } = await harness.indexes.getIndex({ uid: "movies" });
    expect(index).toMatchObject({ primaryKey: "id", shards: 16, generation: 1n });
    expect(JSON.parse(index?.settingsJson ?? "")).toEqual(DEFAULT_CLIENT_SETTINGS);
    expect(index?.placement.every((shard) => shard.nodeIds.length === 2)).toBe(true);
    expect(index?.replicas.map((replica) => replica.state)).toEqual([
      ReplicaState.IN_SYNC,
      ReplicaState.IN_SYNC,
      ReplicaState.IN_SYNC,
    ]);
    for (const { nodeId } of index?.replicas ?? []) {
      const name = physicalName(index?.instance ?? "", 1);
      const settings = await waitFor(async () => {
        const read = await harness.writer(nodeId).settings(name);
        return (read.rankingRules as string[]).includes("_miroir_seq:asc") ? read : undefined;
      });
      expect(toClientSettings(settings)).toEqual(DEFAULT_CLIENT_SETTINGS);
      expect(settings).toMatchObject({
        filterableAttributes: ["_miroir_shard"],
      });
    }
  });

  it("repeated under the same task changes nothing; of a taken name it fails as Meilisearch's does", async () => {
    const first = await taskUid();
    await harness.indexes.createIndex({ taskUid: first, uid: "twice", session: "s" });
    await harness.indexes.createIndex({ taskUid: first, uid: "twice", session: "s" });
    expect((await harness.finished(first)).status).toBe(TaskStatus.SUCCEEDED);
    const second = await taskUid();
    await harness.indexes.createIndex({ taskUid: second, uid: "twice", session: "s" });
    expect(await harness.finished(second)).toMatchObject({
      status: TaskStatus.FAILED,
      error: {
        message: "Index `twice` already exists.",
        code: "index_already_exists",
        type: "invalid_request",
        link: "https://docs.meilisearch.com/errors#index_already_exists",
      },
    });
  });

  it("by concurrent callers gives one index, and the primary key is set once", async () => {
    const answers = await Promise.all(
      ["a", undefined, "b", "c"].map((primaryKey) =>
        harness.indexes.ensureIndex({ uid: "ensured", session: "s", ...(primaryKey ? { primaryKey } : {}) }),
      ),
    );
    expect(new Set(answers.map(({ index }) => index?.instance)).size).toBe(1);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
    const again = await harness.indexes.ensureIndex({ uid: "ensured", primaryKey: "z", session: "s" });
    expect(again.index?.primaryKey).toBe("a");
    expect(again.created).toBe(false);
  });

  it("records a primary key where there is none", async () => {
    await harness.indexes.ensureIndex({ uid: "keyless", session: "s" });
    const { index, epoch } = await harness.indexes.ensureIndex({
      uid: "keyless",
      primaryKey: "k",
      session: "s",
    });
    expect(index?.primaryKey).toBe("k");
    expect(epoch).toEqual(harness.topology.current().epoch);
  });
});

describe("the catalogue", () => {
  it("lists in pages and explains where a document lives", async () => {
    for (const uid of ["list-a", "list-b", "list-c"])
      await harness.indexes.ensureIndex({ uid, session: "s" });
    const uids: string[] = [];
    let pageToken = "";
    do {
      const page = await harness.indexes.listIndexes({ pageSize: 2, pageToken });
      uids.push(...page.indexes.map((index) => index.uid));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(uids).toEqual([...uids].sort());
    expect(uids).toContain("list-c");
    const explained = await harness.indexes.explainDocument({ indexUid: "list-a", primaryKey: "42" });
    expect(explained.replicas).toHaveLength(2);
    expect(explained.shard).toBeLessThan(16);
    expect(explained.replicas[0]?.physicalIndex).toMatch(/^m[a-z2-7]{8}_1$/);
  });

  it("commits a generation once, refuses others, and keeps the last copy", async () => {
    const { index } = await harness.indexes.ensureIndex({ uid: "generations", session: "s" });
    const instance = index?.instance ?? "";
    const commit = (expected: bigint, stale: string[]) =>
      harness.indexes.commitGeneration({
        instance,
        expectedGeneration: expected,
        newGeneration: expected + 1n,
        staleNodeIds: stale,
        writer: { proxyId: "p", session: "s" },
        reason: "test",
      });
    const first = await commit(1n, ["node-1"]);
    expect(first.index?.generation).toBe(2n);
    expect((await commit(1n, ["node-1"])).epoch).toEqual(first.epoch);
    await expect(commit(1n, [])).resolves.toMatchObject({ epoch: first.epoch });
    await expect(commit(5n, [])).rejects.toMatchObject({ code: Code.Aborted });
    await expect(commit(2n, ["node-0", "node-2"])).rejects.toMatchObject({ code: Code.FailedPrecondition });
    expect(harness.topology.current().epoch).toEqual(first.epoch);
  });

  it("forgets a removed index, once and for all", async () => {
    const { index } = await harness.indexes.ensureIndex({ uid: "gone", session: "s" });
    const { epoch } = await harness.indexes.removeIndex({ instance: index?.instance ?? "", session: "s" });
    expect(
      (await harness.indexes.removeIndex({ instance: index?.instance ?? "", session: "s" })).epoch,
    ).toEqual(epoch);
    await expect(harness.indexes.getIndex({ uid: "gone" })).rejects.toBeInstanceOf(ConnectError);
    const again = await harness.indexes.ensureIndex({ uid: "gone", session: "s" });
    expect(again.created).toBe(true);
    expect(again.index?.instance).not.toBe(index?.instance);
  });
});

async function waitFor<T>(read: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const value = await read().catch(() => undefined);
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("nothing came");
}
