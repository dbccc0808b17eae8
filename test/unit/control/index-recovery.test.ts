import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TaskStatus } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { NodeState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { type FencingToken, leaseScope, workflowId } from "../../../src/store/task-store.js";
import { type Harness, startHarness } from "../../integration/control/control-harness.js";
import { eventually } from "../../integration/control/eventually.js";
import { SimulatedNodes } from "./simulated-nodes.js";

let directory: string;
let nodes: SimulatedNodes;
let harness: Harness | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "miroir-recovery-"));
  nodes = new SimulatedNodes(2);
});

afterEach(async () => {
  await harness?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const path = () => join(directory, "store.sqlite");

async function start(): Promise<Harness> {
  harness = await startHarness({
    config: { nodes: nodes.configured },
    replicationFactor: 2,
    shards: 4,
    transport: nodes,
    path: path(),
  });
  return harness;
}

/** Leaves the store as a crash in the midst of a creation does. */
async function leaveWorkflow(state: Record<string, unknown>): Promise<void> {
  const store = await openSqliteTaskStore({ path: path(), clock: createSystemWorld().clock });
  const scope = leaseScope("leader");
  const lease = await store.lease.acquire({ scope, holder: "crashed", ttlMs: 1_000 });
  const fence: FencingToken = { scope, holder: "crashed", term: lease?.term ?? 0 };
  await store.workflows.put(
    {
      id: workflowId(`create-index/${state.instance}`),
      kind: "create-index",
      step: "create",
      stateJson: JSON.stringify(state),
      createdAt: 1,
      updatedAt: 1,
      finishedAt: null,
    },
    fence,
  );
  await store.lease.release(fence);
  await store.close();
}

describe("a control plane that crashed while it created an index", () => {
  it("takes back what was not published", async () => {
    await leaveWorkflow({ uid: "films", instance: "abcdefgh", nodeIds: ["node-0", "node-1"], nodeTasks: [] });
    const { store } = await start();
    for (const node of nodes.nodes) {
      expect([...node.tasks.values()].map(({ type, indexUid }) => [type, indexUid])).toContainEqual([
        "indexDeletion",
        "mabcdefgh_1",
      ]);
    }
    expect(await store.workflows.listOpen()).toEqual([]);
  });

  it("records the task of what was published", async () => {
    const first = await start();
    const { index } = await first.indexes.ensureIndex({ uid: "films", session: "s" });
    const { firstUid } = await first.tasks.allocateTaskUids({ count: 1, session: "s" });
    const created = nodes.nodes.map((node) =>
      [...node.tasks.values()].find(({ type }) => type === "indexCreation"),
    );
    await first.stop();
    harness = undefined;
    const database = new Database(path());
    database.exec("DELETE FROM workflows");
    database.close();
    await leaveWorkflow({
      uid: "films",
      instance: index?.instance,
      nodeIds: ["node-0", "node-1"],
      nodeTasks: created.map((task, at) => ({ nodeId: `node-${at}`, nodeTaskUid: task?.uid })),
      taskUid: Number(firstUid),
    });
    const second = await start();
    const task = await second.finished(firstUid, 5_000);
    expect(task).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      indexUid: "films",
      instance: index?.instance,
    });
    expect(await second.store.workflows.listOpen()).toEqual([]);
  });
});

describe("a node that is down when the control plane starts", () => {
  it("is entered as unreachable, left out of new indexes, and comes back by itself", async () => {
    await (await start()).stop();
    const node = nodes.nodes[1];
    if (node === undefined) throw new Error("no node");
    node.down = true;
    harness = await startHarness({
      config: { nodes: nodes.configured, bootstrapTimeoutMs: 100, monitor: { probeIntervalMs: 20 } },
      replicationFactor: 1,
      transport: nodes,
      path: path(),
    });
    const { control, indexes, topology } = harness;
    expect(topology.current().nodes[1]?.state).toBe(NodeState.UNREACHABLE);
    expect(control.credentials().map(({ nodeId }) => nodeId)).toEqual(["node-0"]);
    const told = new Promise<void>((resolve) => control.onCredentialsChange(() => resolve()));
    node.down = false;
    await told;
    expect(control.credentials().map(({ nodeId }) => nodeId)).toEqual(["node-0", "node-1"]);
    await eventually(() => expect(topology.current().nodes[1]?.state).toBe(NodeState.ACTIVE));
    await indexes.ensureIndex({ uid: "later", session: "s" });
  });
});

describe("an index that is created while a node leaves the fleet", () => {
  it("goes to the nodes that are left", async () => {
    let leave: (() => Promise<unknown>) | undefined;
    class LeavingNodes extends SimulatedNodes {
      override async request(...call: Parameters<SimulatedNodes["request"]>) {
        const now = call[1].path === "/indexes" ? leave : undefined;
        if (now !== undefined) leave = undefined;
        // Placed by the topology of before, and published after this.
        await now?.();
        return await super.request(...call);
      }
    }
    nodes = new LeavingNodes(3);
    const { indexes, topology } = await start();
    let left = false;
    leave = async () => {
      left = true;
      await topology.change("a node leaves", (draft) => {
        draft.nodes = draft.nodes.filter(({ id }) => id !== "node-2");
        for (const group of draft.groups) group.nodeIds = group.nodeIds.filter((id) => id !== "node-2");
      });
    };
    const { index } = await indexes.ensureIndex({ uid: "films", session: "s" });
    expect(left).toBe(true);
    expect(index?.replicas.map(({ nodeId }) => nodeId)).toEqual(["node-0", "node-1"]);
  });
});
