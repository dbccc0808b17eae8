import fc from "fast-check";
import { expect, it } from "vitest";
import { assignGroup } from "../../../src/placement/assign.js";
import { planGroup } from "../../../src/placement/plan.js";
import { NaivePlacement } from "./naive-placement.js";

const ZONES = ["a", "b", "c"];

/** A node's weight and zone; most have neither. */
const traits = fc.record({
  weight: fc.option(fc.constantFrom(0.25, 2, 16), { nil: 1, freq: 3 }),
  zone: fc.constantFrom(...ZONES),
});

/** A group of nodes with indexes on it as chance would have it, and what it shall become. */
const change = fc
  .record({
    instance: fc.string({ minLength: 1, maxLength: 8 }),
    shards: fc.integer({ min: 1, max: 24 }),
    zoned: fc.boolean(),
    nodes: fc.array(traits, { minLength: 1, maxLength: 12 }),
    leaving: fc.integer({ min: 0, max: 3 }),
    joining: fc.integer({ min: 0, max: 3 }),
    replicas: fc.integer({ min: 1, max: 4 }),
    lopsided: fc.boolean(),
    rebalance: fc.boolean(),
    random: fc.infiniteStream(fc.nat(1_000)),
  })
  .map(({ joining, leaving, lopsided, nodes, random, replicas, zoned, ...rest }) => {
    const any = (count: number) => random.next().value % count;
    const wanted = nodes.map(({ weight, zone }, i) => ({
      node: `node-${i}`,
      weight,
      ...(zoned ? { zone } : {}),
    }));
    const names = [
      ...wanted.map(({ node }) => node),
      ...Array.from({ length: leaving }, (_, i) => `gone-${i}`),
    ];
    const holders = () =>
      Array.from(
        { length: any(5) },
        () => names[any(lopsided ? Math.min(3, names.length) : names.length)] ?? "",
      );
    const shards = Array.from({ length: rest.shards }, (_, shard) => shard);
    return {
      ...rest,
      nodes: wanted,
      replicationFactor: Math.min(replicas, wanted.length),
      current: new Map(shards.map((shard) => [shard, [...new Set(holders())]])),
      elsewhere: new Map(
        shards.map((shard) => [shard, ZONES.slice(any(3), any(4)).map((zone) => `zone ${zone}`)]),
      ),
      fill: wanted.slice(Math.max(0, wanted.length - joining)).map(({ node }) => node),
      behind: new Set(names.filter(() => any(4) === 0)),
    };
  });

it("places a new index as the rules say in the plainest words", () => {
  fc.assert(
    fc.property(change, (request) => {
      expect(assignGroup(request)).toEqual(new NaivePlacement(request).assign().placement);
    }),
    { numRuns: 200 },
  );
});

it("plans changes as the rules say in the plainest words", () => {
  fc.assert(
    fc.property(change, (request) => {
      expect(planGroup(request).placement).toEqual(new NaivePlacement(request).plan(request).placement);
    }),
    { numRuns: 400 },
  );
});
