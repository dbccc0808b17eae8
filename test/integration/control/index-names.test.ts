import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";

const WAIT_MS = 5_000;

let nodes: StartedNodes;
let directory: string;
let harness: Harness;

const start = () =>
  startHarness({
    config: { nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })) },
    path: join(directory, "store.db"),
    shards: 4,
  });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miroir-names-"));
  nodes = await startNodes(1);
  harness = await start();
  for (const uid of ["a", "b", "c"]) await harness.indexes.ensureIndex({ uid, session: "s" });
});

afterAll(async () => {
  await harness?.stop();
  await nodes?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function taskUid(): Promise<bigint> {
  return (await harness.tasks.allocateTaskUids({ count: 1, session: "s" })).firstUid;
}

async function instanceOf(uid: string): Promise<string> {
  return (await harness.indexes.getIndex({ uid })).index?.instance ?? "";
}

function swap(taskUid: bigint, leftUid: string, rightUid: string, { rename = false, waitMs = WAIT_MS } = {}) {
  return harness.indexes.swapIndexes({
    taskUid,
    swaps: [{ leftUid, rightUid, rename }],
    session: "s",
    waitMs,
  });
}

/** Records a task on an index that no node works on. */
async function record(uid: bigint, indexUid: string, status: TaskStatus): Promise<void> {
  const at = { seconds: 1_795_264_433n, nanos: 0 };
  const times = status === TaskStatus.ENQUEUED ? {} : { startedAt: at, finishedAt: at };
  await harness.tasks.registerTasks({
    session: "s",
    tasks: [{ uid, indexUid, type: TaskType.DOCUMENT_EDITION, status, enqueuedAt: at, ...times }],
  });
}

describe("a swap", () => {
  it("changes names in one epoch, once, and shows as a task", async () => {
    const [a, b] = [await instanceOf("a"), await instanceOf("b")];
    const before = harness.topology.current().epoch?.counter ?? 0n;
    const uid = await taskUid();
    const { epoch } = await swap(uid, "a", "b");
    expect(epoch?.counter).toBe(before + 1n);
    expect([await instanceOf("a"), await instanceOf("b")]).toEqual([b, a]);
    expect((await swap(uid, "a", "b")).epoch).toEqual(epoch);
    expect([await instanceOf("a"), await instanceOf("b")]).toEqual([b, a]);
    expect(await harness.finished(uid)).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      type: TaskType.INDEX_SWAP,
      indexUid: "",
      detailsJson: '{"swaps":[{"indexes":["a","b"],"rename":false}]}',
    });
  });

  it("waits for the tasks in front of it", async () => {
    const a = await instanceOf("a");
    const earlier = await taskUid();
    await record(earlier, "b", TaskStatus.ENQUEUED);
    const uid = await taskUid();
    expect((await swap(uid, "a", "b", { waitMs: 100 })).epoch).toBeUndefined();
    expect((await harness.tasks.getTask({ uid })).task?.status).toBe(TaskStatus.ENQUEUED);
    expect(await instanceOf("a")).toBe(a);
    await record(earlier, "b", TaskStatus.SUCCEEDED);
    expect((await swap(uid, "a", "b")).epoch).toBeDefined();
    expect(await instanceOf("b")).toBe(a);
  });

  it("fails as a task where an index is missing, and leaves everything as it was", async () => {
    const a = await instanceOf("a");
    const uid = await taskUid();
    await swap(uid, "a", "missing");
    expect(await harness.finished(uid)).toMatchObject({
      status: TaskStatus.FAILED,
      error: { code: "index_not_found", message: "Index `missing` not found." },
    });
    expect(await instanceOf("a")).toBe(a);
  });

  it("that was open when the control plane stopped is taken up by the next one", async () => {
    const a = await instanceOf("a");
    const earlier = await taskUid();
    await record(earlier, "a", TaskStatus.ENQUEUED);
    const uid = await taskUid();
    await swap(uid, "a", "taken-up", { rename: true, waitMs: 0 });
    await harness.stop();
    harness = await start();
    await record(earlier, "a", TaskStatus.SUCCEEDED);
    expect((await harness.finished(uid)).status).toBe(TaskStatus.SUCCEEDED);
    expect(await instanceOf("taken-up")).toBe(a);
  });
});

describe("a rename", () => {
  it("sets the primary key along", async () => {
    const c = await instanceOf("c");
    const uid = await taskUid();
    const request = { taskUid: uid, uid: "c", newUid: "d", primaryKey: "id", session: "s", waitMs: WAIT_MS };
    expect((await harness.indexes.renameIndex(request)).epoch).toEqual(harness.topology.current().epoch);
    const { index } = await harness.indexes.getIndex({ uid: "d" });
    expect(index).toMatchObject({ instance: c, primaryKey: "id", namedByTask: uid });
    expect(await harness.finished(uid)).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      indexUid: "c",
      detailsJson: '{"primaryKey":"id","oldIndexUid":"c","newIndexUid":"d"}',
    });
  });
});
