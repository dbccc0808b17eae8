import { afterEach, describe, expect, it } from "vitest";
import { WorkflowNotCancellableError } from "../../../../src/control/workflows/fleet-workflow-engine.js";
import { NodeState, ReplicaState, ShardCopyStep } from "../../../../src/gen/miroir/v1/topology_pb.js";
import { WorkflowRig } from "./workflow-rig.js";

let rig: WorkflowRig;

afterEach(() => rig.close());

const copiesOf = () => rig.topology.current().indexes.flatMap(({ copy }) => copy ?? []);
const statusOf = async (id: string) => (await rig.engine.view(id)).workflow.status;
const placements = () =>
  rig.topology.current().indexes.map(({ placement }) => placement.map(({ nodeIds }) => nodeIds.join()));

describe("a workflow", () => {
  it("drains a node, which stays without shards", async () => {
    rig = await WorkflowRig.start(4, ["books", "films"]);
    const id = await rig.drain("node-1");
    await rig.finish();
    expect(await statusOf(id)).toBe("completed");
    expect(rig.held("node-1")).toBe(0);
    expect(rig.node("node-1")?.state).toBe(NodeState.DRAINING);
    const { workflow } = await rig.engine.view(id);
    expect(workflow.totals.shards).toBeGreaterThan(0);
    expect(workflow.events.at(-1)?.text).toBe("completed");
  });

  it("takes a node out of the fleet once it holds nothing", async () => {
    rig = await WorkflowRig.start(4);
    await rig.drain("node-1", { kind: "remove-node", removeNodeIds: ["node-1"] });
    await rig.finish();
    expect(rig.node("node-1")).toBeUndefined();
    expect(rig.forgotten).toEqual(["node-1"]);
  });

  it("fills a node that joins, which is an ordinary one then; nothing moves between those that stay", async () => {
    rig = await WorkflowRig.start(3, ["books", "films"]);
    const before = placements();
    await rig.add("node-3");
    await rig.finish();
    expect(rig.node("node-3")?.state).toBe(NodeState.ACTIVE);
    expect(rig.held("node-3")).toBeGreaterThanOrEqual(8);
    for (const [at, shards] of placements().entries()) {
      for (const [shard, nodes] of shards.entries()) {
        const added = nodes.split(",").filter((node) => !before[at]?.[shard]?.includes(node));
        expect(added.every((node) => node === "node-3")).toBe(true);
      }
    }
  });

  it("brings stale replicas back", async () => {
    rig = await WorkflowRig.start();
    await rig.miss("node-1");
    const id = await rig.ask({ kind: "repair", nodeIds: ["node-1"] });
    await rig.finish();
    expect(await statusOf(id)).toBe("completed");
    expect(rig.topology.current().indexes[0]?.replicas[1]?.state).toBe(ReplicaState.IN_SYNC);
  });

  it("keeps to its caps of shards a node and of copies", async () => {
    rig = await WorkflowRig.start(3, ["a", "b", "c"], { shardsPerNode: 2, copies: 2 });
    await rig.add("node-3");
    let most = 0;
    for (let turn = 0; turn < 300 && rig.engine.running() !== undefined; turn += 1) {
      const open = copiesOf();
      most = Math.max(most, open.length);
      const copying = open.filter(({ step }) => step <= ShardCopyStep.COPYING);
      expect(copying.reduce((sum, { moves }) => sum + moves.length, 0)).toBeLessThanOrEqual(2);
      await rig.write();
      await rig.world.advance(100);
    }
    expect(most).toBe(2);
    expect(rig.engine.running()).toBeUndefined();
  });

  it("is the only one: a second operator is told of it", async () => {
    rig = await WorkflowRig.start(4);
    const id = await rig.drain("node-1");
    await expect(rig.drain("node-2")).rejects.toThrow(`workflow ${id} (drain-node) is being carried out`);
    expect(rig.node("node-2")?.state).toBe(NodeState.ACTIVE);
  });

  it("that nobody asked for makes way, before its switch at once and after it when it is done; an operator's does not", async () => {
    rig = await WorkflowRig.start(4);
    await rig.miss("node-1");
    const repair = await rig.ask({ kind: "repair", nodeIds: ["node-1"], makesWay: true });
    await rig.world.advance(100);
    await rig.write();
    const drained = rig.drain("node-2");
    await rig.world.advance(1_000);
    const drain = await drained;
    expect(await statusOf(repair)).toBe("cancelled");
    await expect(rig.ask({ kind: "repair", makesWay: true })).rejects.toThrow(drain);
    await rig.finish();
    expect(await statusOf(drain)).toBe("completed");
  });

  it("that its beginning refuses leaves nothing", async () => {
    rig = await WorkflowRig.start(4);
    const begin = () => {
      throw new Error("no");
    };
    await expect(rig.ask({ kind: "rebalance", begin })).rejects.toThrow("no");
    await rig.world.advance(2_000);
    expect(rig.engine.running()).toBeUndefined();
    await rig.drain("node-1");
  });
});

describe("a reshard", () => {
  const reshard = (shards: number) => rig.ask({ kind: "reshard", indexUids: ["films"], shards });
  const films = () => rig.topology.current().indexes.find(({ instance }) => instance === "aaaaaaab");

  it("cuts one index into more shards in place, whatever it is called meanwhile, also under a new leader", async () => {
    rig = await WorkflowRig.start(3, ["books", "films"]);
    const before = placements();
    const id = await reshard(16);
    await rig.world.advance(100);
    await rig.topology.change("renamed", (draft) => {
      for (const index of draft.indexes) if (index.uid === "films") index.uid = "movies";
    });
    await rig.write();
    await rig.changeLeader();
    await rig.finish();
    expect(await statusOf(id)).toBe("completed");
    expect(films()).toMatchObject({ uid: "movies", shards: 16 });
    expect(placements()).toEqual([before[0], [...(before[1] ?? []), ...(before[1] ?? [])]]);
  });

  it("that is cancelled before its switch leaves the index as it was, and is refused after it", async () => {
    rig = await WorkflowRig.start(3, ["books", "films"]);
    const first = await reshard(16);
    await rig.world.advance(100);
    await rig.write();
    await rig.engine.cancel(first, "cancelled by an operator");
    await rig.finish();
    expect(await statusOf(first)).toBe("cancelled");
    expect(films()).toMatchObject({ shards: 8 });
    expect(copiesOf()).toEqual([]);
    const second = await reshard(16);
    await rig.world.advance(100);
    await rig.write();
    await rig.write();
    await expect(rig.engine.cancel(second, "late")).rejects.toThrow(/only goes forward/);
  });

  it("ends where its index is deleted", async () => {
    rig = await WorkflowRig.start(3, ["books", "films"]);
    const id = await reshard(16);
    await rig.world.advance(100);
    await rig.topology.change("deleted", (draft) => {
      draft.indexes = draft.indexes.filter(({ uid }) => uid !== "films");
    });
    await rig.finish();
    expect(await statusOf(id)).toBe("completed");
  });
});

describe("a leader that ends in the middle", () => {
  it("is followed by one that goes on, after every step of every copy, and no step is taken twice", async () => {
    rig = await WorkflowRig.start(4, ["films"], { shardsPerNode: 2 });
    const id = await rig.drain("node-1", { kind: "remove-node", removeNodeIds: ["node-1"] });
    let changes = 0;
    for (; rig.engine.running() !== undefined; changes += 1) {
      await rig.changeLeader();
      await rig.world.advance(10);
      if (rig.engine.running() === undefined) break;
      await rig.write();
      await rig.changeLeader();
      if (changes > 100) throw new Error("the workflow does not end");
    }
    expect(await statusOf(id)).toBe("completed");
    expect(rig.node("node-1")).toBeUndefined();
    expect(new Set(rig.steps).size).toBe(rig.steps.length);
    expect(changes).toBeGreaterThan(5);
  });

  it("before its workflow was known to have begun: the goal is taken back", async () => {
    rig = await WorkflowRig.start(4);
    const id = await rig.drain("node-1");
    await rig.stopEngine();
    await rig.rewrite(id, { step: "starting" });
    await rig.changeLeader();
    for (let turn = 0; turn < 5; turn += 1) await rig.world.advance(1_000);
    expect(await statusOf(id)).toBe("cancelled");
    expect(rig.node("node-1")?.state).toBe(NodeState.ACTIVE);
    expect(copiesOf()).toEqual([]);
  });
});

describe("a cancelled workflow", () => {
  it.each([0, 1])("leaves nothing behind before the switch (after %i steps)", async (steps) => {
    rig = await WorkflowRig.start(4);
    const before = placements();
    const id = await rig.drain("node-1");
    await rig.world.advance(100);
    for (let step = 0; step < steps; step += 1) await rig.write();
    await rig.engine.cancel(id, "cancelled by an operator");
    await rig.finish();
    expect(await statusOf(id)).toBe("cancelled");
    expect(placements()).toEqual(before);
    expect(copiesOf()).toEqual([]);
    expect(rig.node("node-1")?.state).toBe(NodeState.ACTIVE);
  });

  it("forgets a node that was to join and holds nothing", async () => {
    rig = await WorkflowRig.start();
    const id = await rig.add("node-3");
    await rig.world.advance(100);
    await rig.write();
    await rig.engine.cancel(id, "cancelled by an operator");
    await rig.finish();
    expect(rig.forgotten).toEqual(["node-3"]);
  });

  it("finishes what has switched", async () => {
    rig = await WorkflowRig.start(4, ["films"], { shardsPerNode: 1 });
    const id = await rig.drain("node-1");
    const held = rig.held("node-1");
    await rig.world.advance(100);
    for (let step = 0; step < 2; step += 1) await rig.write();
    const moved = copiesOf().flatMap(({ moves }) => moves).length;
    await rig.engine.cancel(id, "cancelled by an operator");
    expect(await statusOf(id)).toBe("cancelling");
    await rig.finish();
    expect(await statusOf(id)).toBe("cancelled");
    expect(rig.held("node-1")).toBe(held - moved);
    expect(rig.node("node-1")?.state).toBe(NodeState.ACTIVE);
  });

  it("is refused where everything has switched, and after its end", async () => {
    rig = await WorkflowRig.start(4);
    const id = await rig.drain("node-1");
    for (;;) {
      await rig.world.advance(100);
      const open = copiesOf();
      const left = rig.held("node-1");
      if (left === 0 && open.every(({ step }) => step >= ShardCopyStep.SWITCHED)) break;
      await rig.write();
    }
    await expect(rig.engine.cancel(id, "late")).rejects.toThrow(/only goes forward/);
    await rig.finish();
    await expect(rig.engine.cancel(id, "late")).rejects.toThrow(WorkflowNotCancellableError);
  });
});

describe("a workflow whose target does not answer", () => {
  it("takes the copy back, says what it waits for, and goes on when the node is back", async () => {
    rig = await WorkflowRig.start(3, ["films"], { targetPatienceMs: 5_000 });
    const id = await rig.add("node-3");
    await rig.world.advance(100);
    await rig.write();
    await rig.setAway("node-3", true);
    await rig.world.advance(8_000);
    expect(copiesOf().filter(({ step }) => step <= ShardCopyStep.COPYING)).toEqual([]);
    expect((await rig.engine.view(id)).waitingFor).toContain("node-3 does not answer");
    await rig.setAway("node-3", false);
    await rig.finish();
    expect(await statusOf(id)).toBe("completed");
  });

  it("is given up after its patience, with the reason", async () => {
    rig = await WorkflowRig.start(3, ["films"], { targetPatienceMs: 5_000, patienceMs: 30_000 });
    await rig.setAway("node-2", true);
    const id = await rig.add("node-3");
    await rig.setAway("node-3", true);
    for (let second = 0; second < 60; second += 1) await rig.world.advance(1_000);
    const { workflow } = await rig.engine.view(id);
    expect(workflow.status).toBe("failed");
    expect(workflow.reason).toContain("node-3 does not answer");
    expect(rig.forgotten).toEqual(["node-3"]);
  });

  it("does not wait for repairs on nodes that are away where it is about something else", async () => {
    rig = await WorkflowRig.start(4);
    await rig.topology.change("a miss", (draft) => {
      const [index] = draft.indexes;
      const replica = index?.replicas[2];
      if (index === undefined || replica === undefined) throw new Error("no replica");
      replica.state = ReplicaState.STALE;
      index.generation += 1n;
    });
    await rig.setAway("node-2", true);
    const id = await rig.ask({ kind: "set-replication" });
    await rig.finish();
    expect(await statusOf(id)).toBe("completed");
  });
});
