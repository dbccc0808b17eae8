import { create } from "@bufbuild/protobuf";
import { pino } from "pino";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { createControlMetrics } from "../../../../src/control/metrics.js";
import { OrphanCollection } from "../../../../src/control/nodes/orphan-collection.js";
import { orphansOn } from "../../../../src/control/nodes/orphaned-indexes.js";
import type { TopologyManager } from "../../../../src/control/topology/topology-manager.js";
import {
  NodeState,
  ReplicaState,
  ShardCopyStep,
  type Topology,
  TopologySchema,
} from "../../../../src/gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../../../src/meilisearch/node-client.js";
import { createManualWorld } from "../../../support/manual-world.js";

const HOUR = 3_600_000;

/** Books on both nodes, films on the first, poems stale on the second, songs being copied to the second. */
function fleet(): Topology {
  const index = (uid: string, instance: string, generation: bigint, states: readonly ReplicaState[]) => ({
    uid,
    instance,
    generation,
    shards: 1,
    placement: [{ shard: 0, nodeIds: ["node-0"] }],
    replicas: states.map((state, at) => ({ nodeId: `node-${at}`, state })),
  });
  const { IN_SYNC, STALE } = ReplicaState;
  return create(TopologySchema, {
    nodes: ["node-0", "node-1"].map((id) => ({ id, url: `http://${id}`, state: NodeState.ACTIVE })),
    indexes: [
      index("books", "bbbbbbbb", 5n, [IN_SYNC, IN_SYNC]),
      index("films", "ffffffff", 2n, [IN_SYNC]),
      index("poems", "pppppppp", 3n, [IN_SYNC, STALE]),
      {
        ...index("songs", "ssssssss", 4n, [IN_SYNC]),
        copy: { id: "c", step: ShardCopyStep.COPYING, moves: [{ shard: 0, toNodeId: "node-1" }] },
      },
    ],
  });
}

const orphans = (names: readonly string[], topology = fleet(), node = "node-1") =>
  orphansOn(topology, node, ["mbbbbbbbb_5", ...names]).map(({ name, reason }) => `${name}: ${reason}`);

describe("orphaned indexes", () => {
  it("are those of no index, of an index that is not the node's, and former names beside the present one", () => {
    expect(orphans(["mxxxxxxxx_7", "mffffffff_2", "mffffffff_1", "mbbbbbbbb_4"])).toEqual([
      "mxxxxxxxx_7: unknown instance",
      "mffffffff_2: no replica",
      "mffffffff_1: no replica",
      "mbbbbbbbb_4: former name",
    ]);
  });

  it("are never what is in use, on its way, stale, copied, or not Miroir's", () => {
    const others = [
      "mbbbbbbbb_6",
      "mffffffff_0",
      "mpppppppp_2",
      "mssssssss_4",
      "mssssssss_3",
      "books",
      "m_1",
    ];
    expect(orphans(others)).toEqual([]);
  });

  it("are none on a node that is not known to be the fleet's", () => {
    expect(orphansOn(fleet(), "node-1", ["mbbbbbbbb_4", "mxxxxxxxx_7"])).toEqual([]);
    expect(orphansOn(fleet(), "node-9", ["mbbbbbbbb_5", "mxxxxxxxx_7"])).toEqual([]);
    const away = fleet();
    for (const node of away.nodes) node.state = NodeState.SUSPECT;
    expect(orphans(["mxxxxxxxx_7"], away)).toEqual([]);
  });

  it("of a fleet without indexes are all that Miroir named", () => {
    const empty = fleet();
    empty.indexes = [];
    expect(orphansOn(empty, "node-0", ["mxxxxxxxx_7", "films"])).toEqual([
      { name: "mxxxxxxxx_7", reason: "unknown instance" },
    ]);
  });
});

describe("the collection of orphaned indexes", () => {
  function collect(graceMs: number) {
    const world = createManualWorld(1);
    const held = new Map([
      ["node-0", new Set(["mbbbbbbbb_5", "mffffffff_2"])],
      ["node-1", new Set(["mbbbbbbbb_5", "mxxxxxxxx_7", "mbbbbbbbb_4"])],
    ]);
    const client = (id: string) =>
      ({
        json: async () => ({ results: [...(held.get(id) ?? [])].map((uid) => ({ uid })) }),
        deleteIndex: async (name: string) => {
          held.get(id)?.delete(name);
          return { taskUid: 1 };
        },
      }) as unknown as NodeClient;
    const collection = new OrphanCollection({
      topology: { current: fleet } as unknown as TopologyManager,
      world,
      logger: pino({ level: "silent" }),
      metrics: createControlMetrics(new Registry()),
      admin: client,
      tuning: { intervalMs: HOUR / 2, graceMs, pauseMs: 10 },
    });
    collection.start();
    return { world, held, collection };
  }

  it("waits for the grace period, and takes nothing else", async () => {
    const { world, held, collection } = collect(2 * HOUR);
    await world.advance(2 * HOUR);
    expect(held.get("node-1")?.size).toBe(3);
    await world.advance(HOUR);
    expect([...(held.get("node-1") ?? [])]).toEqual(["mbbbbbbbb_5"]);
    expect(held.get("node-0")?.size).toBe(2);
    await collection.stop();
  });

  it("begins anew for an index that was needed meanwhile, and never deletes without a grace period", async () => {
    const { world, held, collection } = collect(2 * HOUR);
    await world.advance(1.5 * HOUR);
    held.get("node-1")?.delete("mxxxxxxxx_7");
    await world.advance(HOUR / 2);
    held.get("node-1")?.add("mxxxxxxxx_7");
    await world.advance(2 * HOUR);
    expect(held.get("node-1")?.has("mxxxxxxxx_7")).toBe(true);
    await collection.stop();
    const never = collect(0);
    await never.world.advance(100 * HOUR);
    expect(never.held.get("node-1")?.size).toBe(3);
    await never.collection.stop();
  });
});
