import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { leaseScope, taskUid } from "../../../src/store/task-store.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";
import { DirectWriter } from "./direct-writer.js";

let nodes: StartedNodes;
let directory: string;
let harness: Harness;

const start = () =>
  startHarness({
    config: {
      nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })),
      audit: { registrationGraceMs: 100, rescanIntervalMs: 200 },
    },
    path: join(directory, "store.db"),
    shards: 4,
  });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miroir-removal-"));
  nodes = await startNodes(1);
  harness = await start();
});

afterAll(async () => {
  await harness?.stop();
  await nodes?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function newUid(): Promise<bigint> {
  return (await harness.tasks.allocateTaskUids({ count: 1, session: "s" })).firstUid;
}

async function record(indexUid: string, status: TaskStatus): Promise<bigint> {
  const uid = await newUid();
  const at = { seconds: 1_795_264_433n, nanos: 0 };
  const times = status === TaskStatus.ENQUEUED ? {} : { startedAt: at, finishedAt: at };
  await harness.tasks.registerTasks({
    session: "s",
    tasks: [{ uid, indexUid, type: TaskType.DOCUMENT_EDITION, status, enqueuedAt: at, ...times }],
  });
  return uid;
}

/** A finished write of one document to the index `kept`. */
async function written(session: string, document: { readonly id: number }) {
  const writer = new DirectWriter(harness, session);
  const task = await writer.add("kept", [document]);
  await writer.register(task);
  return harness.finished(task.uid);
}

async function remaining(indexUid: string): Promise<readonly bigint[]> {
  return (await harness.tasks.listTasks({ indexUids: [indexUid], limit: 1_000 })).tasks.map(({ uid }) => uid);
}

describe("deleting tasks", () => {
  it("takes finished ones that match, and counts what it matched and deleted", async () => {
    const open = await record("mixed", TaskStatus.ENQUEUED);
    await record("mixed", TaskStatus.SUCCEEDED);
    await record("mixed", TaskStatus.FAILED);
    const other = await record("other", TaskStatus.SUCCEEDED);
    const uid = await newUid();
    const request = {
      taskUid: uid,
      matching: { indexUids: ["mixed"] },
      originalFilter: "?indexUids=mixed",
      session: "s",
    };
    await harness.tasks.deleteTasks(request);
    expect(await harness.finished(uid)).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      type: TaskType.TASK_DELETION,
      detailsJson: '{"matchedTasks":3,"deletedTasks":2,"originalFilter":"?indexUids=mixed"}',
    });
    expect(await remaining("mixed")).toEqual([open]);
    expect(await remaining("other")).toEqual([other]);
    await harness.tasks.deleteTasks(request);
    expect((await harness.tasks.getTask({ uid })).task?.detailsJson).toContain('"deletedTasks":2');
  });

  it("takes many, in batches", async () => {
    const at = { seconds: 1_795_264_433n, nanos: 0 };
    const { firstUid } = await harness.tasks.allocateTaskUids({ count: 2_500, session: "s" });
    for (let from = 0; from < 2_500; from += 500) {
      await harness.tasks.registerTasks({
        session: "s",
        tasks: Array.from({ length: 500 }, (_, offset) => ({
          uid: firstUid + BigInt(from + offset),
          indexUid: "many",
          type: TaskType.DOCUMENT_EDITION,
          status: TaskStatus.SUCCEEDED,
          enqueuedAt: at,
          startedAt: at,
          finishedAt: at,
        })),
      });
    }
    const uid = await newUid();
    await harness.tasks.deleteTasks({ taskUid: uid, matching: { indexUids: ["many"] }, session: "s" });
    expect((await harness.finished(uid)).detailsJson).toContain('"matchedTasks":2500,"deletedTasks":2500');
    expect(await remaining("many")).toEqual([]);
  });

  it("takes nothing where nothing may match", async () => {
    const uid = await newUid();
    await harness.tasks.deleteTasks({ taskUid: uid, originalFilter: "?indexUids=hidden", session: "s" });
    expect((await harness.finished(uid)).detailsJson).toContain('"matchedTasks":0,"deletedTasks":0');
  });

  it("does not bring tasks back that a node's log still tells of, not even after a restart", async () => {
    await harness.indexes.ensureIndex({ uid: "kept", primaryKey: "id", session: "s" });
    const task = await written("direct", { id: 1 });
    const uid = await newUid();
    await harness.tasks.deleteTasks({ taskUid: uid, matching: { uids: [task.uid] }, session: "s" });
    expect((await harness.finished(uid)).detailsJson).toContain('"deletedTasks":1');
    await harness.stop();
    harness = await start();
    // A write that is accounted for after the restart: by then all in front of it in the log has been judged.
    await written("later", { id: 2 });
    expect(await remaining("kept")).not.toContain(task.uid);
  });

  it.each([
    ["by uid", (uid: bigint) => ({ uids: [uid] })],
    ["by status", () => ({ statuses: [TaskStatus.ENQUEUED, TaskStatus.PROCESSING] })],
  ])("waits for what is being processed, %s, and takes it", async (name, matching) => {
    await harness.indexes.ensureIndex({ uid: "kept", primaryKey: "id", session: "s" });
    const writer = new DirectWriter(harness, `processed ${name}`);
    const text = "some words that are many ".repeat(200);
    const documents = Array.from({ length: 500 }, (_, id) => ({ id, text: `${text} ${id}` }));
    const task = await writer.add("kept", documents);
    await writer.register(task);
    const uid = await newUid();
    await harness.tasks.deleteTasks({ taskUid: uid, matching: matching(task.uid), session: "s" });
    expect((await harness.finished(uid)).detailsJson).toContain('"deletedTasks":1');
    expect(await remaining("kept")).not.toContain(task.uid);
  });

  it("that a stop broke off ends as failed", async () => {
    const uid = taskUid(Number(await newUid()));
    const lease = await harness.store.lease.current(leaseScope("leader"));
    if (lease === undefined) throw new Error("nobody leads");
    await harness.store.tasks.upsert(
      [
        {
          uid,
          indexUid: null,
          instance: null,
          type: "taskDeletion",
          status: "enqueued",
          detailsJson: '{"matchedTasks":7,"deletedTasks":null,"originalFilter":"?types=indexCreation"}',
          error: null,
          enqueuedAt: 1,
          startedAt: null,
          finishedAt: null,
          canceledBy: null,
          customMetadata: null,
          documentsByShard: new Map(),
          nodeTasks: [],
        },
      ],
      lease,
    );
    await harness.stop();
    harness = await start();
    expect(await harness.finished(uid)).toMatchObject({
      status: TaskStatus.FAILED,
      error: { code: "internal" },
      detailsJson: '{"matchedTasks":7,"deletedTasks":0,"originalFilter":"?types=indexCreation"}',
    });
  });
});

describe("canceling tasks", () => {
  it("counts what matches and lets it go forward", async () => {
    const open = await record("going", TaskStatus.ENQUEUED);
    const uid = await newUid();
    await harness.tasks.cancelTasks({
      taskUid: uid,
      matching: { indexUids: ["going"] },
      originalFilter: "?indexUids=going",
      session: "s",
    });
    expect(await harness.finished(uid)).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      type: TaskType.TASK_CANCELATION,
      detailsJson: '{"matchedTasks":1,"canceledTasks":0,"originalFilter":"?indexUids=going"}',
    });
    expect((await harness.tasks.getTask({ uid: open })).task?.status).toBe(TaskStatus.ENQUEUED);
  });
});
