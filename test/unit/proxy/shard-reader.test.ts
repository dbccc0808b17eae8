import { beforeEach, describe, expect, it } from "vitest";
import { NodeRefusedError } from "../../../src/proxy/read/shard-read.js";
import { expectWhole, HEDGE_MS, probe, type ReaderRig, setUpReader, TIMEOUT_MS } from "./reader-rig.js";
import type { Layout } from "./views.js";

const twoGroups: Layout = { groups: 2, nodesPerGroup: 2, replicationFactor: 1, shards: 8 };
const twoCopies: Layout = { groups: 1, nodesPerGroup: 3, replicationFactor: 2, shards: 12 };
const oneCopy: Layout = { groups: 1, nodesPerGroup: 3, replicationFactor: 1, shards: 6 };

describe("what is asked", () => {
  it("comes from one group, whole nodes without a filter, groups in turn", async () => {
    const { nodes, read } = setUpReader(twoGroups);
    const groups: string[] = [];
    for (let time = 0; time < 4; time++) {
      const result = await read();
      expectWhole(result, 8);
      expect(result.answers.every(({ ask }) => ask.filter === null)).toBe(true);
      groups.push(result.answers.map(({ ask }) => ask.node.group).join());
    }
    expect(new Set(groups)).toEqual(new Set(["0,0", "1,1"]));
    expect(nodes.seen).toHaveLength(8);
  });

  it("is as few nodes as cover everything, with a filter for what a node is not to serve", async () => {
    const { read } = setUpReader(twoCopies);
    const result = await read();
    expectWhole(result, 12);
    expect(result.answers).toHaveLength(2);
    expect(result.answers.filter(({ ask }) => ask.filter === null)).toHaveLength(1);
    const narrowed = result.answers.find(({ ask }) => ask.filter !== null);
    expect(narrowed?.ask.filter).toEqual(narrowed?.ask.shards);
  });

  it("is one part where one node holds everything", async () => {
    const { read } = setUpReader({ groups: 2, nodesPerGroup: 1, replicationFactor: 1, shards: 4 });
    const result = await read();
    expect(result.parts).toBe("one");
    expectWhole(result, 4);
  });
});

describe("a node that does not answer", () => {
  it("is replaced at once when it refuses connections, and only for its own shards", async () => {
    const { nodes, read, tries } = setUpReader(twoCopies);
    nodes.behave("node-0", { kind: "refuses" });
    for (let time = 0; time < 3; time++) {
      const result = await read({ ms: 100 });
      expectWhole(result, 12);
      expect(result.answers.map(({ ask }) => ask.node.id)).not.toContain("node-0");
    }
    expect(tries.every((reason) => reason === "retry")).toBe(true);
  });

  it("is not waited for longer than the hedge delay when it hangs", async () => {
    const { nodes, read, tries } = setUpReader(twoGroups);
    nodes.behave("node-0", { kind: "hangs" });
    nodes.behave("node-2", { kind: "hangs" });
    const result = await read({ ms: HEDGE_MS + 200 }).catch((error: unknown) => error);
    // Both copies of half of the shards hang: nothing can be done before they time out.
    expect(result).toBeInstanceOf(Error);
    nodes.behave("node-2", { kind: "answers" });
    expectWhole(await read({ ms: HEDGE_MS + 100 }), 8);
    expect(tries).toContain("overdue");
  });

  it("is avoided after three failures, and read again once a trial in the background succeeded", async () => {
    const { nodes, read, health, world } = setUpReader(twoGroups);
    nodes.behave("node-0", { kind: "hangs" });
    for (let time = 0; time < 8; time++) expectWhole(await read({ ms: HEDGE_MS + 100 }), 8);
    expect(health.avoided()).toEqual(["node-0"]);
    const before = nodes.seen.filter(({ node, path }) => node === "node-0" && path === "/probe").length;
    for (let time = 0; time < 6; time++) expectWhole(await read({ ms: 50 }), 8);
    expect(nodes.seen.filter(({ node, path }) => node === "node-0" && path === "/probe")).toHaveLength(
      before,
    );

    nodes.behave("node-0", { kind: "answers" });
    await world.advance(20_000);
    expect(health.avoided()).toEqual([]);
    for (let time = 0; time < 4; time++) await read({ ms: 50 });
    expect(
      nodes.seen.filter(({ node, path }) => node === "node-0" && path === "/probe").length,
    ).toBeGreaterThan(before);
  });

  it("is asked all the same when it holds the only copy", async () => {
    const { nodes, read, health } = setUpReader(oneCopy);
    nodes.behave("node-1", { kind: "refuses" });
    for (let time = 0; time < 3; time++) expectWhole(await read(), 6, [1, 4]);
    expect(health.avoided()).toEqual(["node-1"]);
    nodes.behave("node-1", { kind: "answers" });
    expectWhole(await read(), 6);
  });

  it("is tried again where a connection broke and there is no other copy", async () => {
    const { nodes, read, world } = setUpReader(oneCopy);
    nodes.behave("node-1", { kind: "refuses" });
    world.timers.after(30, () => nodes.behave("node-1", { kind: "answers" }));
    expectWhole(await read({ ms: 400 }), 6);
  });

  it("leaves its shards missing when time is over", async () => {
    const { nodes, read } = setUpReader(oneCopy);
    nodes.behave("node-2", { kind: "hangs" });
    expectWhole(await read({ ms: TIMEOUT_MS + 200 }), 6, [2, 5]);
  });

  it("counts as broken when it answers 5xx or does not take the key", async () => {
    for (const status of [500, 503, 401, 403]) {
      const { nodes, read } = setUpReader(twoGroups);
      nodes.behave("node-3", { kind: "fails", status });
      for (let time = 0; time < 2; time++) expectWhole(await read({ ms: 200 }), 8);
    }
  });

  it("does not lose the answer that comes while another replica is being tried", async () => {
    const { nodes, read, tries } = setUpReader(twoGroups);
    for (const node of ["node-0", "node-1", "node-2", "node-3"]) {
      nodes.behave(node, { kind: "answers", delayMs: HEDGE_MS + 100 });
    }
    expectWhole(await read({ ms: HEDGE_MS + 150 }), 8);
    expect(tries).toEqual(["overdue", "overdue"]);
  });
});

describe("replicas that are not in sync", () => {
  it("are never read when stale or joining", async () => {
    const { topology, nodes, read } = setUpReader(twoGroups);
    topology.change("books", {
      replicas: new Map([
        ["node-0", "stale"],
        ["node-1", "in_sync"],
        ["node-2", "joining"],
        ["node-3", "in_sync"],
      ]),
    });
    const result = await read();
    expectWhole(result, 8, [0, 2, 4, 6]);
    expect(new Set(nodes.seen.map(({ node }) => node)).has("node-0")).toBe(false);
  });

  it("are read when suspect only where there is no other, and not merely because another is slow", async () => {
    const { topology, nodes, read } = setUpReader(twoGroups);
    const replicas = new Map([
      ["node-0", "suspect" as const],
      ["node-1", "in_sync" as const],
      ["node-2", "in_sync" as const],
      ["node-3", "in_sync" as const],
    ]);
    topology.change("books", { replicas });
    for (let time = 0; time < 4; time++) await read();
    expect(nodes.seen.map(({ node }) => node)).not.toContain("node-0");
    nodes.behave("node-2", { kind: "answers", delayMs: HEDGE_MS * 2 });
    expectWhole(await read(), 8);
    expect(nodes.seen.map(({ node }) => node)).not.toContain("node-0");
    nodes.behave("node-2", { kind: "refuses" });
    expectWhole(await read(), 8);
    expect(nodes.seen.map(({ node }) => node)).toContain("node-0");
  });
});

describe("generations", () => {
  const layout: Layout = { groups: 1, nodesPerGroup: 2, replicationFactor: 1, shards: 4 };
  let setup: ReaderRig;
  let name: string;
  let next: string;

  beforeEach(() => {
    setup = setUpReader(layout);
    name = setup.topology.current()?.indexes.get("books")?.physicalName ?? "";
    next = name.replace(/_1$/, "_2");
  });

  it("finds an index that was renamed before the topology said so", async () => {
    setup.nodes.hold("node-0", next);
    setup.nodes.hold("node-1", name);
    expectWhole(await setup.read(), 4);
    const asked = setup.nodes.seen.length;
    expectWhole(await setup.read(), 4);
    // The name is remembered: no second look under the old one.
    expect(setup.nodes.seen).toHaveLength(asked + 2);
  });

  it("finds an index whose rename waits behind the node's queue", async () => {
    setup.topology.change("books", { generation: 2n, physicalName: next });
    setup.nodes.hold("node-0", name);
    setup.nodes.hold("node-1", next);
    expectWhole(await setup.read(), 4);
  });

  it("finds an index whose rename runs between two looks", async () => {
    setup.topology.change("books", { generation: 2n, physicalName: next });
    setup.nodes.hold("node-0", name);
    setup.nodes.hold("node-1", next);
    // The looks end after 10, 20 and 30 ms: under the new name, the one above it, and the old one.
    setup.nodes.behave("node-0", { kind: "answers", delayMs: 10 });
    setup.world.timers.after(25, () => setup.nodes.hold("node-0", next));
    expectWhole(await setup.read({ ms: 1_000 }), 4);
  });

  it("starts again under a newer topology", async () => {
    setup.nodes.hold("node-0", "another");
    setup.nodes.hold("node-1", "another");
    setup.world.timers.after(100, () => setup.topology.change("books", { physicalName: "another" }));
    const result = await setup.read({ ms: 1_000 });
    expectWhole(result, 4);
    expect(result.index.physicalName).toBe("another");
  });

  it("gives up after a while where no topology explains it", async () => {
    setup.nodes.hold("node-0", name);
    setup.nodes.hold("node-1", "another");
    expectWhole(await setup.read({ ms: 2_000 }), 4, [1, 3]);
  });

  it("says index_not_found once the index has left the catalogue", async () => {
    setup.nodes.hold("node-0");
    setup.nodes.hold("node-1");
    setup.world.timers.after(50, () => {
      const view = setup.topology.current();
      if (view !== undefined) setup.topology.set({ ...view, indexes: new Map() });
    });
    await expect(setup.read({ ms: 1_000 })).rejects.toMatchObject({
      status: 404,
      body: { code: "index_not_found", message: "Index `books` not found." },
    });
  });
});

describe("requests that nodes refuse", () => {
  it("are not tried elsewhere", async () => {
    const { nodes, read } = setUpReader(twoCopies);
    nodes.behave("node-0", { kind: "fails", status: 400, code: "invalid_search_filter" });
    nodes.behave("node-1", { kind: "fails", status: 400, code: "invalid_search_filter" });
    nodes.behave("node-2", { kind: "fails", status: 400, code: "invalid_search_filter" });
    await expect(read()).rejects.toBeInstanceOf(NodeRefusedError);
    expect(nodes.seen.length).toBeLessThanOrEqual(2);
  });

  it("pass where the read can do without", async () => {
    const { nodes, read } = setUpReader(oneCopy);
    nodes.behave("node-0", { kind: "fails", status: 400 });
    const result = await read({ read: { ...probe, toleratesRefusal: () => true } });
    expectWhole(result, 6);
    expect(result.answers.map(({ responses }) => responses[0]?.status)).toContain(400);
  });
});

describe("a client that goes away", () => {
  it("takes its requests to nodes along, and says nothing about the nodes", async () => {
    const { nodes, read, health, world } = setUpReader(oneCopy);
    nodes.behave("node-0", { kind: "hangs" });
    for (let time = 0; time < 5; time++) {
      const client = new AbortController();
      world.timers.after(20, () => client.abort(new Error("gone")));
      await expect(read({ signal: client.signal, ms: 100 })).rejects.toThrow("gone");
    }
    expect(health.avoided()).toEqual([]);
    expect(health.inFlight("node-0")).toBe(0);
  });
});
