import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TaskStatus, TaskType } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { createUndiciTransport } from "../../../src/meilisearch/undici-transport.js";
import { DEFAULT_MASTER_KEY, hasRealNode, type StartedNodes, startNodes } from "../../support/nodes.js";
import { type Harness, startHarness } from "./control-harness.js";
import { FaultyTransport } from "./faulty-transport.js";

const PATIENCE_MS = 600;

describe.skipIf(!hasRealNode)("compaction of an index", () => {
  let nodes: StartedNodes;
  let directory: string;
  let harness: Harness;
  const transport = new FaultyTransport(createUndiciTransport());

  const start = () =>
    startHarness({
      config: {
        nodes: nodes.nodes.map(({ url }) => ({ url, key: DEFAULT_MASTER_KEY })),
        compactionPatienceMs: PATIENCE_MS,
      },
      path: join(directory, "store.db"),
      shards: 4,
      replicationFactor: 2,
      transport,
    });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "miroir-compaction-"));
    nodes = await startNodes(2);
    harness = await start();
    await harness.indexes.ensureIndex({ uid: "a", session: "s" });
  });
  beforeEach(() => {
    transport.fault = () => undefined;
  });
  afterAll(async () => {
    await harness?.stop();
    await nodes?.stop();
    await transport.close();
    await rm(directory, { recursive: true, force: true });
  });

  const compact = async (uid: string): Promise<bigint> => {
    const { firstUid: taskUid } = await harness.tasks.allocateTaskUids({ count: 1, session: "s" });
    await harness.indexes.compactIndex({ taskUid, uid, session: "s" });
    return taskUid;
  };
  /** Keeps a node's compactions from it. */
  const keepFrom = (...nodeIds: readonly string[]): void => {
    transport.fault = ({ id }, { path }) =>
      nodeIds.includes(id) && path.endsWith("/compact") ? { kind: "unreachable" } : undefined;
  };
  const compactions = async (nodeId: string): Promise<number> =>
    (await harness.admin(nodeId).tasks({ types: "indexCompaction" })).total;

  it("runs once on every node, however often it is asked for", async () => {
    const taskUid = await compact("a");
    await harness.indexes.compactIndex({ taskUid, uid: "a", session: "s" });
    const task = await harness.finished(taskUid);
    expect(task).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      type: TaskType.INDEX_COMPACTION,
      indexUid: "a",
    });
    expect(JSON.parse(task.detailsJson)).toEqual({
      preCompactionSize: expect.stringMatching(/^\d+(\.\d+)? \w*B$/),
      postCompactionSize: expect.stringMatching(/^\d+(\.\d+)? \w*B$/),
    });
    expect([await compactions("node-0"), await compactions("node-1")]).toEqual([1, 1]);
  });

  it("leaves out a node that stays away", async () => {
    keepFrom("node-0");
    const task = await harness.finished(await compact("a"));
    expect(task.status).toBe(TaskStatus.SUCCEEDED);
    expect([await compactions("node-0"), await compactions("node-1")]).toEqual([1, 2]);
  });

  it("fails where no node can be reached, and where one refuses", async () => {
    keepFrom("node-0", "node-1");
    expect(await harness.finished(await compact("a"))).toMatchObject({
      status: TaskStatus.FAILED,
      error: { code: "internal", message: "No node that holds index `a` could compact it." },
    });
    transport.fault = (_node, { path }) =>
      path.endsWith("/compact") ? { kind: "refuse", status: 507 } : undefined;
    expect(await harness.finished(await compact("a"))).toMatchObject({
      status: TaskStatus.FAILED,
      error: { code: "no_space_left_on_device" },
    });
  });

  it("fails for an index that is not there", async () => {
    expect(await harness.finished(await compact("nope"))).toMatchObject({
      status: TaskStatus.FAILED,
      detailsJson: "{}",
      error: { code: "index_not_found", message: "Index `nope` not found." },
    });
  });

  it("is taken up again by the next control plane", async () => {
    keepFrom("node-0");
    const taskUid = await compact("a");
    await harness.stop();
    transport.fault = () => undefined;
    harness = await start();
    expect(await harness.finished(taskUid)).toMatchObject({ status: TaskStatus.SUCCEEDED, indexUid: "a" });
    expect(await compactions("node-0")).toBe(2);
  });
});
