import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { NodeState, ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../../src/placement/physical-name.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";
import { DirectWriter } from "./direct-writer.js";
import { eventually } from "./eventually.js";

let nodes: StartedNodes;
let harness: Harness;
let writer: DirectWriter;
let directory: string;

const documents = Array.from({ length: 60 }, (_, id) => ({ id, title: `title ${id}`, parity: id % 2 }));

beforeAll(async () => {
  nodes = await startNodes(3);
});

afterAll(async () => {
  await nodes?.stop();
});

async function start(): Promise<Harness> {
  return startHarness({
    config: {
      nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })),
      audit: { registrationGraceMs: 300 },
    },
    replicationFactor: 2,
    path: join(directory, "store.sqlite"),
  });
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "miroir-control-"));
  harness = await start();
  writer = new DirectWriter(harness, Buffer.from(directory.slice(-6)).toString("hex"));
  await harness.indexes.ensureIndex({ uid: "films", primaryKey: "id", session: "s" });
});

afterEach(async () => {
  await harness.stop();
  rmSync(directory, { recursive: true, force: true });
});

function replicaState(nodeId: string): ReplicaState | undefined {
  const index = harness.topology.current().indexes.find(({ uid }) => uid === "films");
  return index?.replicas.find((replica) => replica.nodeId === nodeId)?.state;
}

describe("document tasks", () => {
  it("succeed with the counts of one replica of each shard", async () => {
    const added = await writer.add("films", documents);
    await writer.register(added);
    const task = await harness.finished(added.uid);
    expect(task.status).toBe(TaskStatus.SUCCEEDED);
    expect(JSON.parse(task.detailsJson)).toEqual({ receivedDocuments: 60, indexedDocuments: 60 });
    expect(task.startedAt).toBeDefined();
    expect(task.finishedAt).toBeDefined();

    const settings = await writer.settings("films", { filterableAttributes: ["parity"] });
    await writer.register(settings);
    await harness.finished(settings.uid);
    const deleted = await writer.deleteByFilter("films", "parity = 1");
    await writer.register(deleted);
    expect(JSON.parse((await harness.finished(deleted.uid)).detailsJson)).toMatchObject({
      deletedDocuments: 30,
    });
  });

  it("fail with the node's error under the client's names", async () => {
    const bad = await writer.deleteByFilter("films", "nothing = 1");
    await writer.register(bad);
    const task = await harness.finished(bad.uid);
    expect(task.status).toBe(TaskStatus.FAILED);
    expect(task.error?.code).toBe("invalid_document_filter");
    expect(task.error?.message).not.toMatch(/_miroir_|m[a-z2-7]{8}_/);
    expect(replicaState("node-0")).toBe(ReplicaState.IN_SYNC);
  });

  it("that finished before they were registered become final at once", async () => {
    const added = await writer.add("films", documents.slice(0, 5));
    for (const { nodeId, nodeTaskUid } of added.nodeTasks) {
      await eventually(async () => {
        expect((await harness.admin(nodeId).task(nodeTaskUid)).status).toBe("succeeded");
      });
    }
    await writer.register(added);
    expect((await harness.finished(added.uid, 5_000)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("registered twice stay as they are", async () => {
    const added = await writer.add("films", documents.slice(0, 5));
    await writer.register(added);
    const first = await harness.finished(added.uid);
    await writer.register(added);
    expect((await harness.tasks.getTask({ uid: added.uid })).task).toEqual(first);
  });

  it("show in the index's updatedAt", async () => {
    const before = (await harness.indexes.getIndex({ uid: "films" })).index?.updatedAt;
    const added = await writer.add("films", documents.slice(0, 5));
    await writer.register(added);
    await harness.finished(added.uid);
    const after = (await harness.indexes.getIndex({ uid: "films" })).index?.updatedAt;
    expect(Number(after?.seconds) * 1e9 + (after?.nanos ?? 0)).toBeGreaterThan(
      Number(before?.seconds) * 1e9 + (before?.nanos ?? 0),
    );
  });
});

describe("the deletion of an index", () => {
  it("counts its documents once, though the catalogue has forgotten where they were", async () => {
    const added = await writer.add("films", documents);
    await writer.register(added);
    await harness.finished(added.uid);
    const { index } = await harness.indexes.getIndex({ uid: "films" });
    await harness.indexes.removeIndex({ instance: index?.instance ?? "", session: "s" });
    const { firstUid } = await harness.tasks.allocateTaskUids({ count: 1, session: "s" });
    const nodeTasks = [];
    for (const { nodeId } of index?.replicas ?? []) {
      const sent = await harness.admin(nodeId).deleteIndex(physicalName(index?.instance ?? "", 1));
      nodeTasks.push({ nodeId, nodeTaskUid: sent.taskUid, status: TaskStatus.ENQUEUED });
    }
    const task = {
      uid: firstUid,
      indexUid: "films",
      instance: index?.instance ?? "",
      type: TaskType.INDEX_DELETION,
      status: TaskStatus.ENQUEUED,
      detailsJson: '{"deletedDocuments":null}',
      nodeTasks,
    };
    await harness.tasks.registerTasks({ session: "s", tasks: [task] });
    expect(JSON.parse((await harness.finished(firstUid)).detailsJson)).toEqual({ deletedDocuments: 60 });
  });
});

describe("tasks that nobody registered", () => {
  it("are rebuilt from the metadata of their node tasks", async () => {
    const lost = await writer.add("films", documents);
    const task = await eventually(async () => {
      const found = await harness.finished(lost.uid, 100);
      expect(found.status).toBe(TaskStatus.SUCCEEDED);
      return found;
    });
    expect(task).toMatchObject({ indexUid: "films", instance: lost.instance });
    expect(task.nodeTasks.map(({ nodeId }) => nodeId)).toEqual(lost.nodeTasks.map(({ nodeId }) => nodeId));
    expect(JSON.parse(task.detailsJson)).toEqual({ receivedDocuments: 60, indexedDocuments: 60 });
  });

  it("and carry no metadata make the replica and its node suspect", async () => {
    const index = harness.topology.current().indexes.find(({ uid }) => uid === "films");
    await harness.admin("node-1").json({
      method: "POST",
      path: `/indexes/${physicalName(index?.instance ?? "", 1)}/documents`,
      body: JSON.stringify([{ id: 1, title: "a stranger's" }]),
      contentType: "application/json",
    });
    await eventually(async () => {
      expect(replicaState("node-1")).toBe(ReplicaState.SUSPECT);
      expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.SUSPECT);
    });
    expect(harness.control.nodeStatus().get("node-1")?.suspicions[0]).toContain("unexpected");
    expect(replicaState("node-0")).toBe(ReplicaState.IN_SYNC);
  });

  it("and are missing between two others make the replica suspect", async () => {
    await writer.register(await writer.add("films", [{ id: 1 }]));
    const skipped = await writer.add("films", [{ id: 1 }], ["node-0", "node-1", "node-2"]);
    expect(skipped.nodeTasks).toEqual([]);
    const index = harness.topology.current().indexes.find(({ uid }) => uid === "films");
    const holder =
      (await harness.indexes.explainDocument({ indexUid: "films", primaryKey: "1" })).replicas[0]?.nodeId ??
      "";
    await harness.writer(holder).json({
      method: "POST",
      path: `/indexes/${physicalName(index?.instance ?? "", 1)}/documents?customMetadata=${writer.session}.3.2.${skipped.uid + 1n}`,
      body: JSON.stringify([{ id: 1 }]),
      contentType: "application/json",
    });
    await eventually(async () => expect(replicaState(holder)).toBe(ReplicaState.SUSPECT));
  });
});

describe("a restart of the control plane", () => {
  it("in the midst of open tasks finishes all of them", async () => {
    const tasks = [];
    for (let at = 0; at < 20; at += 1) tasks.push(await writer.add("films", documents.slice(at, at + 3)));
    await writer.register(...tasks.slice(0, 15));
    await harness.stop();
    harness = await start();
    expect(harness.topology.current().nodes.map(({ id }) => id)).toEqual(["node-0", "node-1", "node-2"]);
    await new DirectWriter(harness, writer.session).register(...tasks.slice(15, 18));
    for (const { uid } of tasks) {
      const task = await eventually(() => harness.finished(uid, 100));
      expect(task.status).toBe(TaskStatus.SUCCEEDED);
      expect(JSON.parse(task.detailsJson)).toEqual({ receivedDocuments: 3, indexedDocuments: 3 });
    }
  });
});
