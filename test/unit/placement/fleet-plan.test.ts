import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assignGroup } from "../../../src/placement/assign.js";
import { allBatches, type CopyBatch, nextBatches } from "../../../src/placement/copy-batches.js";
import {
  type FleetGoal,
  type GroupGoal,
  type IndexState,
  planFleet,
} from "../../../src/placement/fleet-plan.js";
import type { NodeId, PlacementNode } from "../../../src/placement/rendezvous.js";

const named = (group: number, numbers: readonly number[]): PlacementNode[] =>
  numbers.map((number) => ({ node: `node-${group}${number}` }));

function newIndex(
  uid: string,
  shards: number,
  replicationFactor: number,
  groups: readonly (readonly PlacementNode[])[],
): IndexState {
  const placement: NodeId[][] = Array.from({ length: shards }, () => []);
  for (const nodes of groups) {
    for (const [shard, holders] of assignGroup({ instance: uid, shards, replicationFactor, nodes })) {
      placement[shard]?.push(...holders);
    }
  }
  return { uid, instance: uid, placement, inSync: new Set(placement.flat()) };
}

/** The index after a batch, as the copy mechanism leaves it. */
function apply(index: IndexState, batch: CopyBatch): IndexState {
  const placement = index.placement.map((nodes) => new Set(nodes));
  const inSync = new Set([...index.inSync, ...batch.repairs]);
  for (const { from, shard, to } of batch.moves) {
    if (from !== null) placement[shard]?.delete(from);
    placement[shard]?.add(to);
    inSync.add(to);
  }
  for (const { from, shard } of batch.drops) placement[shard]?.delete(from);
  return { ...index, placement: placement.map((nodes) => [...nodes].sort()), inSync };
}

const everything: { readonly shardsPerNode: number; readonly unreachable: ReadonlySet<NodeId> } = {
  shardsPerNode: 1_000,
  unreachable: new Set(),
};

/** Goals that an operator can set for two groups of nodes, from a fleet of four in each with RF 2. */
const change = fc.record({
  joining: fc.array(fc.constantFrom(4, 5), { maxLength: 2 }),
  leaving: fc.array(fc.nat(3), { maxLength: 2 }),
  replicationFactor: fc.integer({ min: 1, max: 3 }),
  groups: fc.constantFrom("both", "first", "third"),
  rebalance: fc.boolean(),
  zones: fc.boolean(),
});

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** What one operation of an operator asks for. */
const isOneChange = ({ groups, joining, leaving, rebalance, replicationFactor }: Change): boolean =>
  [rebalance, groups !== "both", joining.length > 0, leaving.length > 0, replicationFactor !== 2].filter(
    Boolean,
  ).length <= 1;

const OLD = [0, 1, 2, 3];

function goalOf({ groups, joining, leaving, rebalance, replicationFactor, zones }: Change): FleetGoal {
  const inZone = (node: PlacementNode, i: number) =>
    zones ? { ...node, zone: ["a", "b", "c"][i % 3] ?? "" } : node;
  const group = (id: number): GroupGoal => {
    const wanted = [...OLD.filter((number) => !leaving.includes(number)), ...new Set(joining)];
    return {
      group: id,
      nodes: named(id, wanted).map(inZone),
      fill: named(id, [...new Set(joining)]).map(({ node }) => node),
      leaving: named(id, [...new Set(leaving)]).map(({ node }) => node),
    };
  };
  const second: GroupGoal =
    groups === "first"
      ? { group: 1, nodes: [], fill: [], leaving: named(1, OLD).map(({ node }) => node) }
      : group(1);
  const third: GroupGoal[] =
    groups === "third"
      ? [{ group: 2, nodes: named(2, OLD), fill: named(2, OLD).map(({ node }) => node), leaving: [] }]
      : [];
  return { replicationFactor, rebalance, groups: [group(0), second, ...third] };
}

const indexes = fc
  .array(
    fc.record({ shards: fc.integer({ min: 1, max: 24 }), behind: fc.array(fc.nat(3), { maxLength: 1 }) }),
    {
      minLength: 1,
      maxLength: 3,
    },
  )
  .map((all) =>
    all.map(({ behind, shards }, i) => {
      const index = newIndex(`index-${i}`, shards, 2, [named(0, OLD), named(1, OLD)]);
      const stale = new Set(behind.map((number) => `node-0${number}`));
      return { ...index, inSync: new Set([...index.inSync].filter((node) => !stale.has(node))) };
    }),
  );

describe("planFleet", () => {
  it("leads to the goal from wherever its batches were left, never takes a shard's last copy in sync, and ends", () => {
    fc.assert(
      fc.property(
        indexes,
        change,
        fc.integer({ min: 1, max: 9 }),
        fc.infiniteStream(fc.nat(2)),
        (before, changed, shardsPerNode, random) => {
          const goal = goalOf(changed);
          let states: readonly IndexState[] = before;
          let left = planFleet(goal, states);
          let copied = 0;
          let rounds = 0;
          while (left.indexes.length > 0) {
            const next = nextBatches(left, [], { ...everything, shardsPerNode });
            expect(next.length).toBeGreaterThan(0);
            // Of the batches that could run at once some get done, then all is planned anew.
            const done = next.filter((_, i) => i === 0 || random.next().value === 0);
            states = states.map((index) => {
              const batch = done.find(({ uid }) => uid === index.uid);
              return batch === undefined ? index : apply(index, batch);
            });
            for (const { inSync, placement } of states) {
              expect(placement.every((nodes) => nodes.some((node) => inSync.has(node)))).toBe(true);
            }
            left = planFleet(goal, states);
            expect(++rounds).toBeLessThan(1_000);
            copied += done.reduce((sum, batch) => sum + batch.moves.length, 0);
          }
          if (isOneChange(changed)) {
            const planned = planFleet(goal, before).indexes.flatMap(({ moves }) => moves);
            expect(copied).toBe(planned.length);
          }
          for (const { placement } of states) {
            for (const nodes of placement) {
              for (const group of goal.groups) {
                const wanted = group.nodes.map(({ node }) => node);
                const held = nodes.filter((node) => wanted.includes(node));
                expect(held.length).toBe(Math.min(wanted.length, goal.replicationFactor));
              }
              expect(
                nodes.every((node) => goal.groups.some((group) => group.nodes.some((n) => n.node === node))),
              ).toBe(true);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("moves nothing between two nodes that both stay, unless a rebalance is asked for", () => {
    fc.assert(
      fc.property(indexes, change, (before, changed) => {
        const goal = goalOf({ ...changed, rebalance: false });
        const kept = new Set(goal.groups.flatMap(({ leaving }) => leaving));
        const filled = new Set(goal.groups.flatMap(({ fill }) => fill));
        for (const { moves } of planFleet(goal, before).indexes) {
          expect(moves.every(({ from, to }) => from === null || kept.has(from) || filled.has(to))).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("depends on nothing but its arguments' contents", () => {
    fc.assert(
      fc.property(indexes, change, (before, changed) => {
        const goal = goalOf(changed);
        const turned = {
          ...goal,
          groups: goal.groups.map((group) => ({ ...group, nodes: group.nodes.toReversed() })),
        };
        expect(planFleet(turned, before)).toEqual(planFleet(goal, before));
      }),
    );
  });

  const three = named(0, [0, 1, 2]);
  const steady = (
    nodes: readonly PlacementNode[],
    goal: Partial<FleetGoal> & Partial<GroupGoal> = {},
  ): FleetGoal => ({
    replicationFactor: goal.replicationFactor ?? 2,
    rebalance: false,
    groups: [{ group: 0, nodes, fill: goal.fill ?? [], leaving: goal.leaving ?? [] }],
  });

  it("grows a fleet of three by one with one share of the replicas", () => {
    const index = newIndex("films", 64, 2, [three]);
    const plan = planFleet(steady(named(0, [0, 1, 2, 3]), { fill: ["node-03"] }), [index]);
    expect(plan.problems).toEqual([]);
    expect(plan.indexes.map(({ moves }) => moves.length)).toEqual([32]);
    expect(plan.indexes[0]?.moves.every(({ to }) => to === "node-03")).toBe(true);
  });

  it("repairs what is behind and stays, and gives up what is behind first where copies are too many", () => {
    const index = newIndex("films", 8, 2, [three]);
    const behind = { ...index, inSync: new Set(["node-00", "node-01"]) };
    expect(
      planFleet(steady(three), [behind]).indexes.map(({ moves, repairs }) => ({ moves, repairs })),
    ).toEqual([{ moves: [], repairs: ["node-02"] }]);
    const [fewer] = planFleet(steady(three, { replicationFactor: 1 }), [behind]).indexes;
    expect(fewer?.repairs).toEqual([]);
    expect(fewer?.placement.flat()).not.toContain("node-02");
  });

  it("leaves shards alone that have no copy in sync, and says which", () => {
    const index = newIndex("films", 6, 1, [three]);
    const lost = index.placement.flatMap((nodes, shard) => (nodes.includes("node-02") ? [shard] : []));
    const plan = planFleet(steady(three.slice(0, 2), { leaving: ["node-02"], replicationFactor: 1 }), [
      { ...index, inSync: new Set(["node-00", "node-01"]) },
    ]);
    expect(lost.length).toBeGreaterThan(0);
    expect(plan).toEqual({ indexes: [], problems: [{ kind: "no-source", uid: "films", shards: lost }] });
  });

  it("names what stands against a goal", () => {
    expect(planFleet(steady(three.slice(0, 1)), []).problems).toEqual([
      { kind: "too-few-nodes", group: 0, nodes: 1, replicationFactor: 2 },
    ]);
    expect(planFleet(steady([], { leaving: ["node-00"] }), []).problems).toEqual([{ kind: "no-group" }]);
    const oneZone = three.map((node, i) => ({ ...node, zone: i < 2 ? "a" : "b" }));
    const index: IndexState = {
      uid: "films",
      instance: "films",
      placement: [
        ["node-00", "node-01"],
        ["node-00", "node-02"],
      ],
      inSync: new Set(["node-00", "node-01", "node-02"]),
    };
    expect(planFleet(steady(oneZone), [index])).toEqual({
      indexes: [],
      problems: [{ kind: "shared-zone", uid: "films", group: 0, shards: [0] }],
    });
    const [fixed] = planFleet({ ...steady(oneZone), rebalance: true }, [index]).indexes;
    expect(fixed?.moves).toEqual([{ shard: 0, from: "node-00", to: "node-02" }]);
  });
});

describe("batches of copies", () => {
  it("keep every node below its limit together with what is under way, one batch for an index", () => {
    fc.assert(
      fc.property(indexes, change, fc.integer({ min: 1, max: 6 }), (before, changed, shardsPerNode) => {
        const plan = planFleet(goalOf({ ...changed, rebalance: false }), before);
        const first = nextBatches(plan, [], { ...everything, shardsPerNode });
        const [under] = first;
        if (under === undefined) return;
        const second = nextBatches(plan, [under], { ...everything, shardsPerNode });
        expect(second.some(({ instance }) => instance === under.instance)).toBe(false);
        const all = [under, ...second];
        expect(new Set(all.map(({ instance }) => instance)).size).toBe(all.length);
        const load = new Map<NodeId, number>();
        for (const { moves, repairs } of all) {
          const ends = moves.flatMap(({ from, to }) => (from === null ? [to] : [from, to]));
          for (const node of ends) load.set(node, (load.get(node) ?? 0) + 1);
          for (const node of repairs) load.set(node, (load.get(node) ?? 0) + shardsPerNode);
        }
        expect(Math.max(0, ...load.values())).toBeLessThanOrEqual(shardsPerNode);
      }),
    );
  });

  it("cover the plan", () => {
    fc.assert(
      fc.property(indexes, change, (before, changed) => {
        const plan = planFleet(goalOf(changed), before);
        const batches = allBatches(plan, 4);
        for (const key of ["moves", "drops", "repairs"] as const) {
          const planned = plan.indexes.flatMap((index) => [...index[key]]);
          expect(new Set(batches.flatMap((batch) => [...batch[key]]))).toEqual(new Set(planned));
        }
      }),
    );
  });

  it("wait for targets that do not answer, not for sources", () => {
    const index = newIndex("films", 12, 2, [named(0, [0, 1, 2])]);
    const goal: FleetGoal = {
      replicationFactor: 2,
      rebalance: false,
      groups: [{ group: 0, nodes: named(0, [0, 1]), fill: [], leaving: ["node-02"] }],
    };
    const plan = planFleet(goal, [{ ...index, inSync: new Set(["node-00", "node-01"]) }]);
    const without = (node: NodeId) =>
      nextBatches(plan, [], { shardsPerNode: 2, unreachable: new Set([node]) });
    expect(without("node-02").flatMap(({ moves }) => moves).length).toBe(4);
    expect(
      without("node-00")
        .flatMap(({ moves }) => moves)
        .every(({ to }) => to === "node-01"),
    ).toBe(true);
  });
});
