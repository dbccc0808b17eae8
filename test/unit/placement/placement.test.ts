import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assignGroup } from "../../../src/placement/assign.js";
import { type GroupPlacement, TooFewNodesError } from "../../../src/placement/capped-load.js";
import { nodeShares, zoneOf } from "../../../src/placement/node-shares.js";
import { planGroup } from "../../../src/placement/plan.js";
import { createRendezvous, type PlacementNode, rankNodes } from "../../../src/placement/rendezvous.js";

const nodesNamed = (count: number, from = 0): PlacementNode[] =>
  Array.from({ length: count }, (_, i) => ({ node: `node-${i + from}` }));

const fleet = fc
  .record({
    instance: fc.string({ minLength: 1, maxLength: 8 }),
    shards: fc.integer({ min: 1, max: 70 }),
    count: fc.integer({ min: 1, max: 9 }),
    replicas: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ instance, shards, count, replicas }) => ({
    instance,
    shards,
    replicationFactor: Math.min(replicas, count),
    nodes: nodesNamed(count),
  }));

const weighted = fc
  .tuple(fleet, fc.array(fc.constantFrom(0.25, 1, 1, 2, 16), { minLength: 9, maxLength: 9 }))
  .map(([request, weights]) => ({
    ...request,
    nodes: request.nodes.map((node, i) => ({ ...node, weight: weights[i] ?? 1 })),
  }));

const zoned = fc
  .record({
    request: fleet,
    zones: fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 9, maxLength: 9 }),
    kinds: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ request, zones, kinds }) => ({
    ...request,
    nodes: request.nodes.map((node, i) => ({
      ...node,
      zone: ["a", "b", "c", "d"].slice(0, kinds).includes(zones[i] ?? "a") ? (zones[i] ?? "a") : "a",
    })),
  }));

const zonesOf = (nodes: readonly PlacementNode[]) => new Set(nodes.map(zoneOf));

/** By shard: how many zones its replicas stand in. */
function zonesUsed(
  placement: GroupPlacement,
  { nodes }: { readonly nodes: readonly PlacementNode[] },
): number[] {
  const zones = new Map(nodes.map((node) => [node.node, zoneOf(node)]));
  return [...placement.values()].map((holders) => new Set(holders.map((node) => zones.get(node))).size);
}

function loads(placement: GroupPlacement): Map<string, number> {
  const counts = new Map<string, number>();
  for (const nodes of placement.values()) {
    for (const node of nodes) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return counts;
}

function expectSound(placement: GroupPlacement, request: Parameters<typeof nodeShares>[0]): void {
  const names = new Set(request.nodes.map(({ node }) => node));
  const shares = nodeShares(request);
  expect([...placement.keys()]).toEqual(Array.from({ length: request.shards }, (_, shard) => shard));
  for (const nodes of placement.values()) {
    expect(new Set(nodes).size).toBe(request.replicationFactor);
    expect(nodes.length).toBe(request.replicationFactor);
    expect(nodes.every((node) => names.has(node))).toBe(true);
  }
  for (const [node, load] of loads(placement)) expect(load).toBeLessThanOrEqual(shares.get(node)?.cap ?? -1);
}

const plain = (placement: GroupPlacement) =>
  [...placement].map(([shard, nodes]) => [shard, [...nodes]] as const);

describe("rendezvous hashing", () => {
  it("keeps the order of the other nodes when one comes or goes", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.nat(5000),
        fc.integer({ min: 2, max: 12 }),
        fc.nat(11),
        (instance, shard, count, gone) => {
          const score = createRendezvous(instance);
          const all = rankNodes(score, shard, nodesNamed(count)).map(({ node }) => node);
          const absent = `node-${gone % count}`;
          const rest = nodesNamed(count).filter(({ node }) => node !== absent);
          expect(rankNodes(score, shard, rest).map(({ node }) => node)).toEqual(
            all.filter((node) => node !== absent),
          );
        },
      ),
    );
  });

  it("puts nodes first in proportion to their weights", () => {
    const nodes = [{ node: "a", weight: 1 }, { node: "b", weight: 2 }, { node: "c" }];
    const score = createRendezvous("instance");
    const firsts = { a: 0, b: 0, c: 0 } as Record<string, number>;
    for (let shard = 0; shard < 8000; shard++) {
      const first = rankNodes(score, shard, nodes)[0]?.node ?? "";
      firsts[first] = (firsts[first] ?? 0) + 1;
    }
    expect(firsts.a).toBeGreaterThan(1800);
    expect(firsts.a).toBeLessThan(2200);
    expect(firsts.b).toBeGreaterThan(3800);
    expect(firsts.b).toBeLessThan(4200);
  });

  it("refuses weights that make no sense", () => {
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => createRendezvous("i")(0, { node: "a", weight })).toThrow(RangeError);
    }
  });

  it("has fixed scores, since several processes must agree on them", () => {
    const order = rankNodes(createRendezvous("abcdefgh"), 7, nodesNamed(6)).map(({ node }) => node);
    expect(order).toMatchInlineSnapshot(`
      [
        "node-0",
        "node-5",
        "node-3",
        "node-4",
        "node-2",
        "node-1",
      ]
    `);
  });
});

describe("assignShards", () => {
  it("places every shard on distinct nodes under the cap, whatever the order of nodes", () => {
    fc.assert(
      fc.property(fc.oneof(fleet, weighted), fc.infiniteStream(fc.nat()), (request, random) => {
        const placement = assignGroup(request);
        expectSound(placement, request);
        const order = new Map(request.nodes.map((node) => [node, random.next().value]));
        const shuffled = [...request.nodes].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
        expect(plain(assignGroup({ ...request, nodes: shuffled }))).toEqual(plain(placement));
      }),
    );
  });

  it("caps a node among n equals at ceil(shards × RF / n) + 1", () => {
    fc.assert(
      fc.property(fleet, (request) => {
        const { shards, replicationFactor, nodes } = request;
        const cap = Math.ceil((shards * replicationFactor) / nodes.length) + 1;
        expect(Math.max(...loads(assignGroup(request)).values())).toBeLessThanOrEqual(cap);
      }),
    );
  });

  it("follows the preference of the hash where no cap stands against it", () => {
    const request = { instance: "abcdefgh", shards: 64, replicationFactor: 2, nodes: nodesNamed(5) };
    const score = createRendezvous(request.instance);
    const placement = assignGroup(request);
    const preferred = [...placement].filter(([shard, nodes]) => {
      const first = rankNodes(score, shard, request.nodes).slice(0, 2);
      return first.every(({ node }) => nodes.includes(node));
    });
    expect(preferred.length).toBeGreaterThan(40);
  });

  it("refuses requests that make no sense", () => {
    const request = { instance: "abcdefgh", shards: 8, replicationFactor: 3, nodes: nodesNamed(2) };
    expect(() => assignGroup(request)).toThrow(TooFewNodesError);
    expect(() => assignGroup(request)).toThrow(/the group has 2 nodes/);
    expect(() => assignGroup({ ...request, nodes: [{ node: "a" }, { node: "a" }] })).toThrow(RangeError);
    expect(() => assignGroup({ ...request, replicationFactor: 0 })).toThrow(RangeError);
  });

  it("keeps the replicas of every shard in different zones, and nodes below what their zone must take", () => {
    fc.assert(
      fc.property(zoned, (request) => {
        const placement = assignGroup(request);
        expectSound(placement, request);
        expect(zonesUsed(placement, request)).toEqual(
          [...placement].map(() => Math.min(request.replicationFactor, zonesOf(request.nodes).size)),
        );
      }),
      { numRuns: 300 },
    );
  });

  it("gives every zone what the others cannot take", () => {
    const nodes = [...nodesNamed(3).map((node) => ({ ...node, zone: "a" })), { node: "node-9", zone: "b" }];
    const shares = nodeShares({ instance: "abcdefgh", shards: 60, replicationFactor: 2, nodes });
    expect([...shares.values()].map(({ share }) => share)).toEqual([20, 20, 20, 60]);
  });

  it("avoids zones in which other groups hold the shard, where it makes no other difference", () => {
    const nodes = [
      { node: "node-0", zone: "a" },
      { node: "node-1", zone: "b" },
    ];
    const elsewhere = new Map(
      Array.from({ length: 16 }, (_, shard) => [shard, [shard % 2 ? "zone a" : "zone b"]]),
    );
    const request = { instance: "abcdefgh", shards: 16, replicationFactor: 1, nodes, elsewhere };
    expect([...assignGroup(request)]).toEqual(
      Array.from({ length: 16 }, (_, shard) => [shard, [shard % 2 ? "node-1" : "node-0"]]),
    );
  });
});

describe("planGroup", () => {
  it("changes nothing where nothing changed", () => {
    fc.assert(
      fc.property(fc.oneof(fleet, weighted, zoned), (request) => {
        const current = assignGroup(request);
        expect(planGroup({ ...request, current })).toEqual({ placement: current, moves: [], drops: [] });
      }),
    );
  });

  it("moves a share of the shards onto added nodes and nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fleet, zoned), fc.integer({ min: 1, max: 3 }), (request, count) => {
        const current = assignGroup(request);
        const added = nodesNamed(count, request.nodes.length);
        const nodes = [...request.nodes, ...added];
        const fill = added.map(({ node }) => node);
        const plan = planGroup({ ...request, nodes, current, fill });
        expect(plan.drops).toEqual([]);
        expect(plan.moves.every(({ from, to }) => from !== null && fill.includes(to))).toBe(true);
        const shares = nodeShares({ ...request, nodes });
        for (const node of fill) {
          const onto = plan.moves.filter(({ to }) => to === node).length;
          expect(onto).toBeLessThanOrEqual(shares.get(node)?.cap ?? 0);
        }
        if (zonesOf(nodes).size < nodes.length) return;
        const bound = Math.ceil((request.shards * request.replicationFactor) / nodes.length) + 1;
        expect(plan.moves.length).toBeLessThanOrEqual(count * bound);
      }),
      { numRuns: 300 },
    );
  });

  it("fills an added node up to its share", () => {
    fc.assert(
      fc.property(fleet, (request) => {
        const current = assignGroup(request);
        const nodes = nodesNamed(request.nodes.length + 1);
        const added = `node-${request.nodes.length}`;
        const plan = planGroup({ ...request, nodes, current, fill: [added] });
        const share = (request.shards * request.replicationFactor) / nodes.length;
        expect(loads(plan.placement).get(added) ?? 0).toBeGreaterThanOrEqual(Math.floor(share));
      }),
      { numRuns: 300 },
    );
  });

  it("moves exactly a removed node's shards", () => {
    fc.assert(
      fc.property(fleet, fc.nat(8), (request, which) => {
        if (request.nodes.length <= request.replicationFactor) return;
        const current = assignGroup(request);
        const gone = `node-${which % request.nodes.length}`;
        const nodes = request.nodes.filter(({ node }) => node !== gone);
        const plan = planGroup({ ...request, nodes, current });
        expectSound(plan.placement, { ...request, nodes });
        const held = [...current].filter(([, holders]) => holders.includes(gone)).map(([shard]) => shard);
        expect(plan.moves.map(({ shard }) => shard)).toEqual(held);
        expect(plan.moves.every(({ from }) => from === gone)).toBe(true);
        expect(plan.drops).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("gives a replacement what the replaced node held", () => {
    const request = { instance: "abcdefgh", shards: 64, replicationFactor: 2, nodes: nodesNamed(4) };
    const current = assignGroup(request);
    const nodes = [...nodesNamed(3), { node: "node-9" }];
    const { moves } = planGroup({ ...request, nodes, current, fill: ["node-9"] });
    expect(moves.every(({ from, to }) => from === "node-3" || to === "node-9")).toBe(true);
    expect(moves.filter(({ to }) => to === "node-9").length).toBe(32);
  });

  it("follows a changed replication factor", () => {
    const request = { instance: "abcdefgh", shards: 32, replicationFactor: 2, nodes: nodesNamed(5) };
    const current = assignGroup(request);
    const more = planGroup({ ...request, replicationFactor: 3, current });
    expectSound(more.placement, { ...request, replicationFactor: 3 });
    expect(more.moves.length).toBe(32);
    expect(more.moves.every(({ from }) => from === null)).toBe(true);
    const fewer = planGroup({ ...request, replicationFactor: 1, current });
    expectSound(fewer.placement, { ...request, replicationFactor: 1 });
    expect(fewer.drops.length).toBe(32);
    expect(fewer.moves).toEqual([]);
  });

  it("stays sound over any history of nodes, and its moves lead from one placement to the next", () => {
    const step = fc.record({
      add: fc.integer({ min: 0, max: 2 }),
      remove: fc.array(fc.nat(10), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fleet, fc.array(step, { maxLength: 6 }), (request, steps) => {
        let { nodes } = request;
        let current = assignGroup(request);
        let next = nodes.length;
        for (const { add, remove } of steps) {
          nodes = [...nodes, ...nodesNamed(add, next)];
          next += add;
          for (const which of remove) {
            if (nodes.length > request.replicationFactor)
              nodes = nodes.filter((_, i) => i !== which % nodes.length);
          }
          const plan = planGroup({ ...request, nodes, current, rebalance: true });
          expectSound(plan.placement, { ...request, nodes });
          const replayed = new Map(
            [...current].map(([shard, holders]) => [shard as number, new Set(holders)]),
          );
          for (const { shard, from, to } of plan.moves) {
            expect(replayed.get(shard)?.has(to)).toBe(false);
            replayed.get(shard)?.add(to);
            if (from !== null) expect(replayed.get(shard)?.delete(from)).toBe(true);
          }
          for (const { shard, from } of plan.drops) expect(replayed.get(shard)?.delete(from)).toBe(true);
          for (const [shard, holders] of plan.placement)
            expect(replayed.get(shard)).toEqual(new Set(holders));
          current = plan.placement;
        }
      }),
    );
  });

  it("goes on filling a node that an earlier plan began with, if told so", () => {
    const request = { instance: "abcdefgh", shards: 30, replicationFactor: 1, nodes: nodesNamed(2) };
    const nodes = nodesNamed(3);
    const current = new Map(
      [...assignGroup(request)].map(([shard, holders]) => [shard as number, [...holders]]),
    );
    current.set(0, ["node-2"]);
    expect(planGroup({ ...request, nodes, current }).moves).toEqual([]);
    const filled = planGroup({ ...request, nodes, current, fill: ["node-2"] });
    expect(loads(filled.placement).get("node-2")).toBe(10);
    expect(filled.moves.length).toBe(9);
  });

  it("levels a lopsided placement where a rebalance is asked for, and only there", () => {
    const request = { instance: "abcdefgh", shards: 20, replicationFactor: 1, nodes: nodesNamed(4) };
    const lopsided = new Map(
      Array.from({ length: 20 }, (_, shard) => [shard, [`node-${Math.max(0, shard - 16)}`]]),
    );
    expect(planGroup({ ...request, current: lopsided }).moves).toEqual([]);
    const plan = planGroup({ ...request, current: lopsided, rebalance: true });
    expectSound(plan.placement, request);
    expect(plan.moves.every(({ from }) => from === "node-0")).toBe(true);
    expect(plan.moves.length).toBe(12);
  });

  it("rebalances so that nothing is left to rebalance: caps are kept, and zones are as well told apart as they can be", () => {
    fc.assert(
      fc.property(fc.oneof(zoned, weighted), fc.infiniteStream(fc.nat()), (request, random) => {
        const { nodes, replicationFactor, shards } = request;
        const current = new Map(
          Array.from({ length: shards }, (_, shard) => {
            const order = nodes
              .map(({ node }) => [random.next().value, node] as const)
              .sort((a, b) => a[0] - b[0]);
            return [shard, order.slice(0, replicationFactor).map(([, node]) => node)];
          }),
        );
        const plan = planGroup({ ...request, current, rebalance: true });
        expectSound(plan.placement, request);
        expect(zonesUsed(plan.placement, request)).toEqual(
          Array.from({ length: shards }, () => Math.min(replicationFactor, zonesOf(nodes).size)),
        );
        const again = planGroup({ ...request, current: plan.placement, rebalance: true });
        expect(again.moves).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("plans a large index quickly", () => {
    const request = { instance: "abcdefgh", shards: 4096, replicationFactor: 2, nodes: nodesNamed(20) };
    const current = assignGroup(request);
    const nodes = nodesNamed(21);
    const plan = planGroup({ ...request, nodes, current, fill: ["node-20"] });
    expectSound(plan.placement, { ...request, nodes });
    expect(plan.moves.length).toBe(Math.floor((4096 * 2) / 21));
  });
});
