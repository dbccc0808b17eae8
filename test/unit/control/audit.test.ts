import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditTuning } from "../../../src/control/audit/audit-options.js";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { NodeState, ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { OWN_TASK_UID } from "../../../src/meilisearch/task-metadata.js";
import { nodeId } from "../../../src/store/task-store.js";
import { type Harness, startHarness } from "../../integration/control/control-harness.js";
import { eventually } from "../../integration/control/eventually.js";
import { SimulatedNodes } from "./simulated-nodes.js";

let nodes: SimulatedNodes;
let harness: Harness;

afterEach(async () => {
  await harness.stop();
});

async function start(tuning: AuditTuning = {}): Promise<void> {
  nodes = new SimulatedNodes(2);
  harness = await startHarness({
    config: {
      nodes: nodes.configured,
      audit: { registrationGraceMs: 150, ...tuning },
      monitor: { probeIntervalMs: 20, failuresToUnreachable: 2 },
      stall: { stallMs: 300, intervalMs: 20 },
    },
    replicationFactor: 2,
    shards: 4,
    transport: nodes,
  });
  await harness.indexes.ensureIndex({ uid: "films", primaryKey: "id", session: "s" });
}

function physical(): string {
  return `m${harness.topology.current().indexes[0]?.instance}_1`;
}

/** Enqueues on both nodes and registers; gives the node tasks' uids. */
async function write(taskUid: number): Promise<[number, number]> {
  const uids = nodes.nodes.map((node) =>
    node.enqueue(physical(), "documentAdditionOrUpdate", `s.${taskUid + 1}.${taskUid}.${taskUid}`),
  );
  await register(taskUid, uids);
  return uids as [number, number];
}

async function register(taskUid: number, uids: readonly number[]): Promise<void> {
  await harness.tasks.registerTasks({
    session: "s",
    tasks: [
      {
        uid: BigInt(taskUid),
        indexUid: "films",
        instance: harness.topology.current().indexes[0]?.instance ?? "",
        type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
        status: TaskStatus.ENQUEUED,
        detailsJson: '{"receivedDocuments":7,"indexedDocuments":null}',
        enqueuedAt: timestampFromMs(Date.now()),
        nodeTasks: uids.map((nodeTaskUid, at) => ({
          nodeId: `node-${at}`,
          nodeTaskUid,
          status: TaskStatus.ENQUEUED,
        })),
      },
    ],
  });
}

const done = { details: { receivedDocuments: 7, indexedDocuments: 7 } };
const status = async (uid: number) => (await harness.tasks.getTask({ uid: BigInt(uid) })).task?.status;
const replicas = () => harness.topology.current().indexes[0]?.replicas.map(({ state }) => state);

describe("the audit of node logs", () => {
  beforeEach(() => start());

  it("carries a task through its statuses, final only when every replica is", async () => {
    const [a, b] = await write(0);
    expect(await status(0)).toBe(TaskStatus.ENQUEUED);
    nodes.nodes[0]?.start(a);
    await eventually(async () => expect(await status(0)).toBe(TaskStatus.PROCESSING));
    nodes.nodes[0]?.finish([a], done);
    await eventually(async () => {
      const { task } = await harness.tasks.getTask({ uid: 0n });
      expect(task?.nodeTasks[0]?.status).toBe(TaskStatus.SUCCEEDED);
    });
    expect(await status(0)).toBe(TaskStatus.PROCESSING);
    nodes.nodes[1]?.finish([b], done);
    const task = await harness.finished(0);
    expect(task.status).toBe(TaskStatus.SUCCEEDED);
    expect(JSON.parse(task.detailsJson)).toEqual({ receivedDocuments: 7, indexedDocuments: 7 });
  });

  it("asks a node that works on a batch nothing but whether it still does", async () => {
    const [a] = await write(0);
    const [node] = nodes.nodes;
    if (node === undefined) throw new Error("there is no node");
    node.start(a);
    await eventually(async () => expect(await status(0)).toBe(TaskStatus.PROCESSING));
    const [looks, others]: [string[], string[]] = [[], []];
    const handle = node.handle.bind(node);
    node.handle = (request) => {
      const query = new URLSearchParams(request.path.split("?")[1]);
      if (query.get("statuses") === "enqueued,processing") looks.push(request.path);
      else if (query.has("statuses")) others.push(request.path);
      return handle(request);
    };
    // The turn under way may be the one that reads the batch.
    await eventually(() => expect(looks.length).toBeGreaterThan(1));
    others.length = 0;
    await eventually(() => expect(looks.length).toBeGreaterThan(4));
    expect(others).toEqual([]);
    node.finish([a], done);
    await eventually(() => expect(others.length).toBeGreaterThan(0));
  });

  it("goes on behind tasks that have no details, such as snapshots", async () => {
    for (const node of nodes.nodes) node.finish([node.enqueue(physical(), "snapshotCreation")]);
    const uids = await write(0);
    for (const [at, node] of nodes.nodes.entries()) node.finish([uids[at] ?? 0], done);
    expect((await harness.finished(0, 3_000)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("takes copies and the preparation of their targets for Miroir's own: no client task, no suspicion", async () => {
    const own = `s.1.0.${OWN_TASK_UID}`;
    const [node] = nodes.nodes;
    if (node === undefined) throw new Error("there is no node");
    const target = `${physical().slice(0, -1)}0`;
    node.finish([
      node.enqueue(target, "indexCreation"),
      node.enqueue(target, "settingsUpdate"),
      node.enqueue(physical(), "documentAdditionOrUpdate", own),
    ]);
    // The next write names the copy's sequence as the one before it.
    const uids = nodes.nodes.map((each, at) =>
      each.enqueue(physical(), "documentAdditionOrUpdate", `s.2.${at === 0 ? 1 : 0}.0`),
    );
    await register(0, uids);
    for (const [at, each] of nodes.nodes.entries()) each.finish([uids[at] ?? 0], done);
    expect((await harness.finished(0)).status).toBe(TaskStatus.SUCCEEDED);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await harness.tasks.listTasks({})).tasks.map(({ uid }) => uid)).toEqual([0n]);
    expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.IN_SYNC]);
  });

  it("makes the odd replica suspect before the task is final, and counts it no longer", async () => {
    const [a, b] = await write(0);
    nodes.nodes[0]?.finish([a], done);
    nodes.nodes[1]?.finish([b], {
      status: "failed",
      error: { message: "disk", code: "io", type: "system", link: "" },
    });
    expect((await harness.finished(0)).status).toBe(TaskStatus.SUCCEEDED);
    expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.SUSPECT]);
    const [c] = await write(1);
    nodes.nodes[0]?.finish([c], done);
    expect((await harness.finished(1)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("finishes a task when the replica that holds it up goes stale", async () => {
    const [a] = await write(0);
    nodes.nodes[0]?.finish([a], done);
    const index = harness.topology.current().indexes[0];
    await harness.indexes.commitGeneration({
      instance: index?.instance ?? "",
      expectedGeneration: 1n,
      newGeneration: 2n,
      staleNodeIds: ["node-1"],
      writer: { proxyId: "p", session: "s" },
      reason: "silent",
    });
    expect((await harness.finished(0, 3_000)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("takes a registration that comes long after its tasks were judged", async () => {
    const uids = nodes.nodes.map((node) => node.enqueue(physical(), "settingsUpdate"));
    for (const [at, node] of nodes.nodes.entries()) node.finish([uids[at] ?? 0], { details: {} });
    for (const id of ["node-0", "node-1"]) {
      await eventually(async () => {
        const cursor = await harness.store.nodeCursors.get(nodeId(id));
        expect(cursor?.frontierUid).toBeGreaterThanOrEqual(uids[0] ?? 0);
      });
    }
    await register(0, uids);
    expect((await harness.finished(0, 3_000)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("knows a log that started over: replicas and node suspect, lost tasks failed, new ones followed", async () => {
    await write(0);
    const node = nodes.nodes[1];
    if (node === undefined) throw new Error("no node");
    node.down = true;
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.UNREACHABLE));
    node.replace();
    node.down = false;
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.SUSPECT));
    expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.SUSPECT]);
    expect(harness.control.nodeStatus().get("node-1")?.suspicions.join()).toContain("uids went back");
    const { task } = await harness.tasks.getTask({ uid: 0n });
    expect(task?.nodeTasks.map((entry) => entry.status)).toEqual([TaskStatus.ENQUEUED, TaskStatus.FAILED]);
    nodes.nodes[0]?.finish([task?.nodeTasks[0]?.nodeTaskUid ?? -1], done);
    expect((await harness.finished(0)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("knows a log that went back while nobody followed it, by a task that the node had accepted", async () => {
    const [a, b] = await write(0);
    nodes.nodes[0]?.finish([a], done);
    nodes.nodes[1]?.finish([b], done);
    await harness.finished(0);
    await register(1, [
      nodes.nodes[0]?.enqueue(physical(), "documentAdditionOrUpdate", "s.2.0.1") ?? -1,
      b + 5,
    ]);
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.SUSPECT));
    expect(harness.control.nodeStatus().get("node-1")?.suspicions.join()).toContain("which it had accepted");
    const { task } = await harness.tasks.getTask({ uid: 1n });
    nodes.nodes[0]?.finish([task?.nodeTasks[0]?.nodeTaskUid ?? -1], done);
    expect((await harness.finished(1)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("has stored by which task it knows a log before that task is final", async () => {
    const stored: string[] = [];
    const upsert = harness.store.tasks.upsert.bind(harness.store.tasks);
    harness.store.tasks.upsert = async (rows, fence) => {
      if (rows.some(({ status }) => status === "succeeded")) {
        const cursor = await harness.store.nodeCursors.get(nodeId("node-0"));
        stored.push(cursor?.identity.split("@")[0] ?? "");
      }
      return upsert(rows, fence);
    };
    for (const task of [0, 1, 2]) {
      const uids = await write(task);
      for (const [at, node] of nodes.nodes.entries()) node.finish([uids[at] ?? -1], done);
      await harness.finished(task);
      expect(Number(stored.at(-1))).toBeGreaterThanOrEqual(uids[0] ?? 0);
    }
  });

  it("holds a node back that returns with unfinished work, until that is done", async () => {
    const [a, b] = await write(0);
    const node = nodes.nodes[1];
    if (node === undefined) throw new Error("no node");
    node.down = true;
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.UNREACHABLE));
    expect(harness.control.nodeStatus().get("node-1")?.lastError).toContain("ECONNREFUSED");
    node.down = false;
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.SUSPECT));
    node.finish([b], done);
    nodes.nodes[0]?.finish([a], done);
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.ACTIVE));
    expect((await harness.finished(0)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("compares what a node touched that was killed at work, before its copy is read again", async () => {
    const [a, b] = await write(0);
    const [first, second] = nodes.nodes;
    if (first === undefined || second === undefined) throw new Error("no node");
    first.documents = [{ id: "1", _miroir_seq: "((" }];
    // The same counts and status, and another document.
    second.documents = [{ id: "1", _miroir_seq: "()" }];
    second.down = true;
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.UNREACHABLE));
    second.down = false;
    await eventually(() => expect(harness.topology.current().nodes[1]?.state).toBe(NodeState.SUSPECT));
    expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.IN_SYNC]);
    second.finish([b], done);
    first.finish([a], done);
    await eventually(() => expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.SUSPECT]));
  });

  it("gives up a node that finishes nothing although another one has, and none that is as slow as the others", async () => {
    const [a] = await write(0);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.IN_SYNC]);
    nodes.nodes[0]?.finish([a], done);
    await eventually(() => expect(replicas()).toEqual([ReplicaState.IN_SYNC, ReplicaState.SUSPECT]));
    expect((await harness.finished(0)).status).toBe(TaskStatus.SUCCEEDED);
  });

  it("fails a task that its node no longer knows", async () => {
    const [a, b] = await write(0);
    nodes.nodes[0]?.tasks.delete(a);
    nodes.nodes[1]?.tasks.delete(b);
    const later = await write(1);
    nodes.nodes[0]?.finish([later[0]], done);
    nodes.nodes[1]?.finish([later[1]], done);
    expect((await harness.finished(0)).error?.message).toContain("no longer knows");
  });
});

describe("pruning", () => {
  it("keeps the newest finished tasks and goes on", async () => {
    await start({ keepFinished: 10, pruneAfter: 20, idleIntervalMs: 30 });
    for (let at = 0; at < 60; at += 1) {
      const [a, b] = await write(at);
      nodes.nodes[0]?.finish([a], done);
      nodes.nodes[1]?.finish([b], done);
    }
    for (let at = 0; at < 60; at += 1) expect((await harness.finished(at)).status).toBe(TaskStatus.SUCCEEDED);
    await eventually(() => expect(nodes.nodes[0]?.tasks.size).toBeLessThanOrEqual(35));
    const [a, b] = await write(60);
    nodes.nodes[0]?.finish([a], done);
    nodes.nodes[1]?.finish([b], done);
    expect((await harness.finished(60)).status).toBe(TaskStatus.SUCCEEDED);
    expect(harness.topology.current().nodes.map(({ state }) => state)).toEqual([
      NodeState.ACTIVE,
      NodeState.ACTIVE,
    ]);
  });
});
