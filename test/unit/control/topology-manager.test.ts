import { clone } from "@bufbuild/protobuf";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TopologyInconsistentError, topologyFaults } from "../../../src/control/topology/consistency.js";
import {
  ClusterLostError,
  createTopologyManager,
  TopologyConflictError,
  TopologyUnavailableError,
} from "../../../src/control/topology/topology-manager.js";
import { ReplicaState, type Topology, TopologySchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import {
  FencedError,
  type FencingToken,
  leaseScope,
  StoreUnavailableError,
  type TaskStore,
  type TopologyTable,
} from "../../../src/store/task-store.js";
import { createManualWorld } from "../../support/manual-world.js";
import { putIndex, sampleIndex, sampleTopology } from "../../support/topologies.js";

const logger = pino({ level: "silent" });
const world = createManualWorld();
let store: TaskStore;

beforeEach(async () => {
  store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
});
afterEach(() => store.close());

async function lead(holder: string, aboveTerm = 0): Promise<FencingToken> {
  const scope = leaseScope("leader");
  const current = await store.lease.current(scope);
  if (current !== undefined) await store.lease.release(current);
  const lease = await store.lease.acquire({ scope, holder, ttlMs: 1_000_000, aboveTerm });
  if (lease === undefined) throw new Error("the lease is taken");
  return { scope, holder, term: lease.term };
}

function managerOf(table: TopologyTable = store.topology) {
  return createTopologyManager({ table, logger, initial: sampleTopology() });
}

describe("topology manager", () => {
  it("publishes what it has stored, one epoch a change, in the order asked for", async () => {
    const manager = managerOf();
    await manager.beginTerm(await lead("a"));
    const seen: string[] = [];
    manager.onChange(({ topology, reason }) => seen.push(`${topology.epoch?.counter} ${reason}`));
    const uids = Array.from({ length: 20 }, (_, position) => `index-${position}`);
    const results = await Promise.all(
      uids.map((uid) => manager.change(`add ${uid}`, (draft) => putIndex(draft, sampleIndex(uid)))),
    );
    expect(seen).toEqual(uids.map((uid, position) => `${position + 2} add ${uid}`));
    expect(results.map((topology) => topology.indexes.length)).toEqual(
      uids.map((_, position) => position + 1),
    );
    const row = await store.topology.load();
    expect(row).toMatchObject({ term: 1, counter: 21, contentHash: manager.current().contentHash });
  });

  it("publishes nothing for a change that changes nothing, nor for one that gives up", async () => {
    const manager = managerOf();
    await manager.beginTerm(await lead("a"));
    const before = manager.current();
    expect(await manager.change("nothing", () => undefined)).toBe(before);
    await expect(
      manager.change("gives up", (draft) => {
        draft.defaultShards = 9;
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(manager.current()).toBe(before);
  });

  it("refuses a topology that fails its check, and stores none of it", async () => {
    const manager = managerOf();
    await manager.beginTerm(await lead("a"));
    const broken = manager.change("break it", (draft) => {
      const index = sampleIndex("books");
      index.placement.pop();
      putIndex(draft, index);
    });
    await expect(broken).rejects.toBeInstanceOf(TopologyInconsistentError);
    await expect(broken).rejects.toThrow("1 of 2 shards are placed");
    expect((await store.topology.load())?.counter).toBe(1);
    expect(await manager.change("mend", (draft) => putIndex(draft, sampleIndex("books")))).toBe(
      manager.current(),
    );
  });

  it("begins every term above what is stored, with the same content", async () => {
    const first = managerOf();
    await first.beginTerm(await lead("a"));
    await first.change("add", (draft) => putIndex(draft, sampleIndex("books")));
    const second = managerOf();
    await second.beginTerm(await lead("b"));
    expect(second.current().epoch).toMatchObject({ term: 2n, counter: 1n, clusterId: "test-cluster" });
    expect(second.current().contentHash).toBe(first.current().contentHash);
  });

  it("is stopped by the store once another leader has taken over", async () => {
    const former = managerOf();
    await former.beginTerm(await lead("a"));
    const latter = managerOf();
    await latter.beginTerm(await lead("b"));
    const late = former.change("late", (draft) => putIndex(draft, sampleIndex("late")));
    await expect(late).rejects.toBeInstanceOf(FencedError);
    await expect(former.change("later", () => undefined)).rejects.toBeInstanceOf(TopologyUnavailableError);
    expect((await store.topology.load())?.contentHash).toBe(latter.current().contentHash);
  });

  it("reads again where somebody has changed the stored topology under the same lease", async () => {
    const fence = await lead("a");
    const one = managerOf();
    await one.beginTerm(fence);
    const other = managerOf();
    await other.beginTerm(fence);
    await other.change("add", (draft) => putIndex(draft, sampleIndex("books")));
    const conflicting = one.change("add too", (draft) => putIndex(draft, sampleIndex("films")));
    await expect(conflicting).rejects.toBeInstanceOf(TopologyConflictError);
    await one.change("again", (draft) => putIndex(draft, sampleIndex("films")));
    expect(one.current().indexes.map(({ uid }) => uid)).toEqual(["books", "films"]);
  });

  it("settles a write of unknown outcome before the next change, so that no epoch has two contents", async () => {
    for (const executed of [true, false]) {
      await store.close();
      store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
      const { topology: table } = store;
      let failures = 0;
      const manager = managerOf({
        load: () => table.load(),
        async save(expected, next, fence) {
          if (failures === 0) return await table.save(expected, next, fence);
          failures -= 1;
          if (executed) await table.save(expected, next, fence);
          throw new StoreUnavailableError("the answer was lost", "maybe-executed");
        },
      });
      await manager.beginTerm(await lead("a"));
      failures = 1;
      const published: Topology[] = [];
      manager.onChange(({ topology }) => published.push(topology));
      await expect(
        manager.change("add", (draft) => putIndex(draft, sampleIndex("books"))),
      ).rejects.toBeInstanceOf(StoreUnavailableError);
      await manager.change("add another", (draft) => putIndex(draft, sampleIndex("films")));
      expect(manager.current().indexes.map(({ uid }) => uid)).toEqual(
        executed ? ["books", "films"] : ["films"],
      );
      expect(manager.current().epoch?.counter).toBe(executed ? 3n : 2n);
      expect(published.map(({ epoch }) => epoch?.counter)).toEqual(executed ? [2n, 3n] : [2n]);
    }
  });

  it("makes no topology from a store that was emptied or exchanged, whoever has seen the cluster", async () => {
    const known = sampleTopology().epoch?.clusterId ?? "";
    const newcomer = (clusterId: string) =>
      createTopologyManager({ table: store.topology, logger, initial: sampleTopology(), clusterId });
    await expect(newcomer(known).beginTerm(await lead("a"))).rejects.toThrow(
      `cluster ${known}: it was emptied`,
    );
    expect(await store.topology.load()).toBeUndefined();

    const manager = managerOf();
    await manager.beginTerm(await lead("a"));
    await expect(newcomer("another").beginTerm(await lead("b"))).rejects.toThrow(
      `holds cluster ${known} now`,
    );
    await newcomer(known).beginTerm(await lead("c"));

    const emptied = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
    const table: TopologyTable = {
      load: () => emptied.topology.load(),
      save: (...args) => store.topology.save(...args),
    };
    let gone = false;
    const led = managerOf({ ...table, load: () => (gone ? emptied : store).topology.load() });
    await led.beginTerm(await lead("d"));
    gone = true;
    await expect(led.beginTerm(await lead("e"))).rejects.toBeInstanceOf(ClusterLostError);
    await emptied.close();
  });

  it("refuses everything before its term", async () => {
    const manager = managerOf();
    expect(() => manager.current()).toThrow(TopologyUnavailableError);
    await expect(manager.change("early", () => undefined)).rejects.toBeInstanceOf(TopologyUnavailableError);
  });
});

describe("consistency", () => {
  const base = () => {
    const topology = sampleTopology();
    putIndex(topology, sampleIndex("books"));
    return topology;
  };
  const faultsOf = (mutate: (draft: Topology) => void) => {
    const next = clone(TopologySchema, base());
    mutate(next);
    return topologyFaults(base(), next).join("; ");
  };
  const books = (draft: Topology) => {
    const [index] = draft.indexes;
    if (index === undefined) throw new Error("no index");
    return index;
  };
  const replica = (draft: Topology, position: number) => {
    const found = books(draft).replicas[position];
    if (found === undefined) throw new Error("no replica");
    return found;
  };

  it("passes a sound topology", () => {
    expect(faultsOf(() => undefined)).toBe("");
  });

  const cases: readonly [string, (draft: Topology) => void, RegExp][] = [
    ["an unknown node", (draft) => draft.nodes.pop(), /node-1, which is no node/],
    [
      "a shard without any copy in sync",
      (draft) => {
        books(draft).generation = 2n;
        for (const each of books(draft).replicas) each.state = ReplicaState.STALE;
      },
      /shard 0 would have no copy in sync/,
    ],
    [
      "a generation that goes back",
      (draft) => {
        books(draft).generation = 0n;
      },
      /would go back from 1 to 0/,
    ],
    [
      "a stale replica under the old name",
      (draft) => {
        replica(draft, 1).state = ReplicaState.STALE;
      },
      /would leave the in-sync set without a new generation/,
    ],
    [
      "another number of shards",
      (draft) => {
        books(draft).shards = 1;
        books(draft).placement.pop();
      },
      /from 2 to 1 shards/,
    ],
    ["indexes out of order", (draft) => draft.indexes.push(sampleIndex("atlas")), /not in ascending order/],
    [
      "a uid twice",
      (draft) => draft.indexes.push(sampleIndex("books", "zzzzzzzz")),
      /not in ascending order/,
    ],
    [
      "an instance twice",
      (draft) => putIndex(draft, sampleIndex("films", books(draft).instance)),
      /occurs twice/,
    ],
    [
      "settings that are no object",
      (draft) => {
        books(draft).settingsJson = "[]";
      },
      /settings are not a JSON object/,
    ],
    [
      "an extra replica",
      (draft) => {
        for (const each of books(draft).placement) each.nodeIds = ["node-0"];
      },
      /replica on node-1 holds no shard/,
    ],
    ["a node in no group", (draft) => draft.groups.pop(), /node-0 is in no group/],
  ];
  for (const [name, mutate, expected] of cases) {
    it(`refuses ${name}`, () => expect(faultsOf(mutate)).toMatch(expected));
  }

  it("takes suspicion for a hint, and a stale replica with a new generation", () => {
    expect(
      faultsOf((draft) => {
        replica(draft, 1).state = ReplicaState.SUSPECT;
      }),
    ).toBe("");
    expect(
      faultsOf((draft) => {
        replica(draft, 1).state = ReplicaState.STALE;
        books(draft).generation = 2n;
      }),
    ).toBe("");
  });
});
