import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { describeChange } from "../../../../src/control/cluster/describe-change.js";
import { FleetChangeRefusedError } from "../../../../src/control/cluster/fleet-change-error.js";
import {
  isDown,
  refuseLosingCopies,
  refuseTooFewNodes,
  replicasOn,
} from "../../../../src/control/cluster/fleet-checks.js";
import { planTopology } from "../../../../src/control/cluster/fleet-goal.js";
import {
  NodeState,
  ReplicaState,
  type Topology,
  TopologySchema,
} from "../../../../src/gen/miroir/v1/topology_pb.js";

interface Given {
  readonly states?: Readonly<Record<string, NodeState>>;
  readonly groups?: Readonly<Record<string, number>>;
  /** Nodes whose replica of the index is stale. */
  readonly stale?: readonly string[];
  readonly replicationFactor?: number;
  /** By shard: the nodes that hold it. */
  readonly placement: readonly (readonly string[])[];
}

function topologyOf(given: Given): Topology {
  const { groups = {}, placement, replicationFactor = 2, stale = [], states = {} } = given;
  const ids = [...new Set([...placement.flat(), ...Object.keys(states)])].sort();
  const numbers = [...new Set(ids.map((id) => groups[id] ?? 0))].sort();
  return create(TopologySchema, {
    replicationFactor,
    nodes: ids.map((id) => ({ id, group: groups[id] ?? 0, state: states[id] ?? NodeState.ACTIVE })),
    groups: numbers.map((group) => ({ id: group, nodeIds: ids.filter((id) => (groups[id] ?? 0) === group) })),
    indexes: [
      {
        uid: "films",
        instance: "abcdefgh",
        shards: placement.length,
        placement: placement.map((nodeIds, shard) => ({ shard, nodeIds: [...nodeIds] })),
        replicas: [...new Set(placement.flat())].map((nodeId) => ({
          nodeId,
          state: stale.includes(nodeId) ? ReplicaState.STALE : ReplicaState.IN_SYNC,
        })),
      },
    ],
  });
}

const pairs = [
  ["a", "b"],
  ["b", "c"],
  ["a", "c"],
];

function reasonOf(work: () => void): string {
  try {
    work();
    return "";
  } catch (error) {
    if (error instanceof FleetChangeRefusedError) return error.reason;
    throw error;
  }
}

describe("planTopology", () => {
  it("plans nothing for a fleet that is as it should be", () => {
    expect(planTopology(topologyOf({ placement: pairs }))).toEqual({ indexes: [], problems: [] });
  });

  it("empties nodes that drain, fills those that join and repairs what is stale", () => {
    const states = { c: NodeState.DRAINING, d: NodeState.JOINING };
    const [plan] = planTopology(topologyOf({ placement: pairs, states, stale: ["b"] })).indexes;
    expect(plan?.moves.filter(({ from }) => from === "c").length).toBe(2);
    expect(plan?.placement.flat()).not.toContain("c");
    expect(plan?.placement.flat()).toContain("d");
    expect(plan?.repairs).toEqual(["b"]);
  });

  it("gives a group up of which all nodes drain", () => {
    const placement = [
      ["a", "x"],
      ["a", "x"],
    ];
    const groups = { x: 1 };
    const [plan] = planTopology(
      topologyOf({ placement, groups, states: { x: NodeState.DRAINING }, replicationFactor: 1 }),
    ).indexes;
    expect(plan?.drops).toEqual([
      { shard: 0, from: "x" },
      { shard: 1, from: "x" },
    ]);
    expect(plan?.moves).toEqual([]);
  });

  it("leaves replicas on nodes that are away to be brought back when those return, unless repairs are asked for", () => {
    const topology = topologyOf({ placement: pairs, states: { b: NodeState.UNREACHABLE }, stale: ["b"] });
    expect(planTopology(topology).indexes).toEqual([]);
    expect(planTopology(topology, { repairsOnly: true }).indexes).toMatchObject([{ repairs: ["b"] }]);
  });

  it("plans repairs alone, of some nodes and indexes, where only they were asked for", () => {
    const topology = topologyOf({ placement: pairs, states: { c: NodeState.DRAINING }, stale: ["a", "b"] });
    const repairs = planTopology(topology, { repairsOnly: true, nodeIds: ["b"] });
    expect(repairs.indexes).toMatchObject([{ moves: [], drops: [], repairs: ["b"] }]);
    expect(planTopology(topology, { repairsOnly: true, indexUids: ["other"] }).indexes).toEqual([]);
  });
});

describe("a node with the only copy in sync", () => {
  const topology = topologyOf({ placement: pairs, stale: ["b"] });
  const nobody = () => false;

  it("may go where it can be copied from, and not where it cannot", () => {
    expect(reasonOf(() => refuseLosingCopies(topology, new Set(["a"]), nobody))).toBe("");
    expect(reasonOf(() => refuseLosingCopies(topology, new Set(["a"]), (id) => id === "a"))).toBe(
      "last_copy",
    );
  });

  it("is not in the way of others", () => {
    expect(reasonOf(() => refuseLosingCopies(topology, new Set(["b"]), () => true))).toBe("");
  });

  it("goes with its whole group only where another group has every shard in sync", () => {
    const groups = { x: 1 };
    const both = [
      ["a", "x"],
      ["b", "x"],
    ];
    const whole = topologyOf({ placement: both, groups });
    expect(reasonOf(() => refuseLosingCopies(whole, new Set(["x"]), () => true))).toBe("");
    const behind = topologyOf({ placement: both, groups, stale: ["b"] });
    expect(reasonOf(() => refuseLosingCopies(behind, new Set(["x"]), () => true))).toBe("last_copy");
  });
});

describe("a change that gives copies up", () => {
  const warningsOf = (states: Given["states"] = {}) => {
    const topology = topologyOf({ placement: pairs, states, replicationFactor: 1 });
    const plan = planTopology(topology);
    expect(plan.indexes[0]?.drops).toHaveLength(3);
    const facts = { sizes: new Map(), documentsPerSecond: 1, shardsPerNode: 1, warnings: [] };
    return describeChange({ topology, plan, ...facts }).warnings;
  };

  it("tells of those that stay as long as the others are on nodes that are away", () => {
    expect(warningsOf()).toEqual([]);
    expect(warningsOf({ a: NodeState.UNREACHABLE, b: NodeState.UNREACHABLE }).join()).toMatch(
      /index films: copies of shards? .* are given up once others are in sync on nodes that answer/,
    );
  });
});

describe("a group with fewer nodes than replicas", () => {
  it("is refused where a change makes it so, and may be helped along", () => {
    const two = topologyOf({ placement: [["a", "b"]] });
    const one = topologyOf({ placement: [["a", "b"]], states: { b: NodeState.DRAINING } });
    const three = topologyOf({ placement: [["a", "b"]], replicationFactor: 3 });
    expect(reasonOf(() => refuseTooFewNodes(two, one))).toBe("too_few_nodes");
    expect(reasonOf(() => refuseTooFewNodes(two, three))).toBe("too_few_nodes");
    expect(reasonOf(() => refuseTooFewNodes(one, two))).toBe("");
    expect(reasonOf(() => refuseTooFewNodes(one, one))).toBe("");
  });
});

it("counts what a node holds, and tells whether it answers while it drains", () => {
  const topology = topologyOf({ placement: pairs, states: { c: NodeState.UNREACHABLE } });
  expect(replicasOn(topology, "a")).toBe(2);
  expect([isDown(topology, "a"), isDown(topology, "c")]).toEqual([false, true]);
  const draining = create(TopologySchema, {
    nodes: [{ id: "a", state: NodeState.DRAINING, unreachableSince: { seconds: 1n } }],
  });
  expect(isDown(draining, "a")).toBe(true);
});
