import { describe, expect, it } from "vitest";
import { seededRandom } from "../../support/random.js";
import { HEDGE_MS, probe, type ReaderRig, setUpReader } from "./reader-rig.js";
import type { Layout } from "./views.js";

const twoWholeNodes: Layout = { groups: 1, nodesPerGroup: 2, replicationFactor: 2, shards: 4 };
const fourNodes: Layout = { groups: 1, nodesPerGroup: 4, replicationFactor: 2, shards: 24 };
const USUAL_MS = 4;
const SLOWED_BY_MS = 200;

/** What some time of reads at a constant rate came to. */
interface Stretch {
  readonly p50: number;
  readonly p99: number;
  /** Requests a read, by node. */
  readonly perRead: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly reads: number;
}

/** Clients who do not wait for each other, over nodes that take a few milliseconds, now and then thrice as many. */
class ModelFleet {
  readonly rig: ReaderRig;
  readonly slowedBy = new Map<string, number>();
  private readonly random = seededRandom(11);

  constructor(layout: Layout, hedgePercent?: number) {
    this.rig = setUpReader(layout, hedgePercent);
  }

  async readFor(seconds: number, everyMs = 10): Promise<Stretch> {
    const { world, reader, nodes } = this.rig;
    const before = nodes.seen.length;
    const took: number[] = [];
    const open: Promise<void>[] = [];
    for (let passed = 0; passed < seconds * 1_000; passed += everyMs) {
      // Every request to a node that starts in this step takes as long: what differs is the nodes, not the requests.
      for (const { id } of this.rig.topology.current()?.nodes.values() ?? []) {
        const delayMs =
          USUAL_MS * (0.75 + this.random.next() / 2) * (this.random.chance(0.03) ? 3 : 1) +
          (this.slowedBy.get(id) ?? 0);
        nodes.behave(id, { kind: "answers", delayMs });
      }
      const startedAt = world.clock.monotonic();
      open.push(
        reader.read("books", probe, new AbortController().signal).then(() => {
          took.push(world.clock.monotonic() - startedAt);
        }),
      );
      await world.advance(everyMs);
    }
    await world.advance(2 * HEDGE_MS);
    await Promise.all(open);
    took.sort((a, b) => a - b);
    const seen = nodes.seen.slice(before).filter(({ path }) => path === "/probe");
    const perRead: Record<string, number> = {};
    for (const { node } of seen) perRead[node] = (perRead[node] ?? 0) + 1 / took.length;
    const at = (share: number): number => took[Math.floor(took.length * share)] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99), perRead, requests: seen.length, reads: took.length };
  }
}

describe.each([
  ["two nodes that hold everything", twoWholeNodes, 1],
  ["four nodes", fourNodes, 2],
])("a fleet of %s", (_name, layout, asks) => {
  it("hardly feels one that becomes slow, and gives it its share back by degrees and for good", async () => {
    const fleet = new ModelFleet(layout);
    const { latencies, tries, topology } = fleet.rig;
    const even = asks / Number(topology.current()?.nodes.size);
    await fleet.readFor(2);
    const healthy = await fleet.readFor(5);
    for (const share of Object.values(healthy.perRead)) {
      expect(share / even).toBeGreaterThan(0.8);
      expect(share / even).toBeLessThan(1.25);
    }
    expect(healthy.requests / (healthy.reads * asks)).toBeLessThan(1.06);
    expect(latencies.slow()).toBe(0);

    fleet.slowedBy.set("node-1", SLOWED_BY_MS);
    expect((await fleet.readFor(2)).p50).toBeLessThan(1.5 * healthy.p50);
    const slowed = await fleet.readFor(5);
    // What is left is the tail of the fast copy, which there is no other fast one to cut off.
    expect(slowed.p99).toBeLessThan(3 * 1.25 * USUAL_MS);
    expect(slowed.p99).toBeLessThan(1.5 * healthy.p99);
    // Next to nothing but samples.
    expect(slowed.perRead["node-1"]).toBeLessThan(0.04);
    expect(slowed.requests / (slowed.reads * asks)).toBeLessThan(1.06);
    expect(tries).not.toContain("overdue");

    fleet.slowedBy.clear();
    await fleet.readFor(2);
    const shares: number[] = [];
    for (let stretch = 0; stretch < 4; stretch++) {
      shares.push((await fleet.readFor(3)).perRead["node-1"] ?? 0);
    }
    expect(shares[0]).toBeLessThan(0.8 * even);
    for (const [at, share] of shares.entries()) {
      expect(share).toBeGreaterThan((shares[at - 1] ?? 0) - 0.15 * even);
      expect(share).toBeLessThan(1.25 * even);
    }
    expect(shares.at(-1)).toBeGreaterThan(0.8 * even);
    expect(latencies.slow()).toBe(0);
  });
});

describe("a fleet whose nodes all become slow", () => {
  it("is not asked for more than the budget of hedges allows", async () => {
    const fleet = new ModelFleet(twoWholeNodes);
    await fleet.readFor(3);
    for (const node of ["node-0", "node-1"]) fleet.slowedBy.set(node, 20);
    const { requests, reads } = await fleet.readFor(3);
    expect(requests / reads).toBeLessThan(1.05 + 10 / reads);
    expect(fleet.rig.tries).toContain("denied");
  });
});

describe("a fleet that has too much to do", () => {
  it("is not asked for everything twice because it takes longer than a node that works would", async () => {
    const fleet = new ModelFleet(twoWholeNodes);
    for (const node of ["node-0", "node-1"]) fleet.slowedBy.set(node, HEDGE_MS + 100);
    await fleet.readFor(2, 20);
    const { health, tries } = fleet.rig;
    tries.length = 0;
    await fleet.readFor(2, 20);
    expect(tries).not.toContain("overdue");
    expect(health.avoided()).toEqual([]);
  });
});

describe("a fleet without a budget", () => {
  it("waits for slow nodes until they are overdue", async () => {
    const fleet = new ModelFleet(twoWholeNodes, 0);
    await fleet.readFor(1);
    fleet.rig.nodes.behave("node-0", { kind: "hangs" });
    await fleet.rig.read({ ms: HEDGE_MS + 100 });
    await fleet.rig.read({ ms: HEDGE_MS + 100 });
    expect(fleet.rig.tries.filter((reason) => reason !== "denied")).toEqual(["overdue"]);
  });
});
