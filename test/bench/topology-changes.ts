import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { pino } from "pino";
import { createTopologyManager } from "../../src/control/topology/topology-manager.js";
import { type Delta, DeltaSchema, TopologySchema } from "../../src/gen/miroir/v1/topology_pb.js";
import { buildView } from "../../src/proxy/topology/build-view.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../src/store/sqlite/sqlite-task-store.js";
import { leaseScope } from "../../src/store/task-store.js";
import { judgeTopology } from "../../src/topology/acceptance.js";
import { decodeTopology } from "../../src/topology/decode-topology.js";
import { applyDelta, diffTopologies } from "../../src/topology/delta.js";
import { largeTopology, type TopologySize } from "./large-topology.js";
import { type Spread, spreadOf } from "./quantiles.js";

/** What topologies of one size cost. Times are milliseconds of CPU. */
export interface TopologyCosts {
  readonly size: TopologySize;
  readonly snapshotBytes: number;
  readonly deltaBytes: number;
  /** One index is changed: drafted, checked, hashed, stored in SQLite in memory, and published. */
  readonly change: Spread;
  /** What the proxies are to be told is found. */
  readonly diff: Spread;
  /** A new proxy decodes, judges and indexes the snapshot. */
  readonly firstView: number;
  /** A proxy applies, judges and indexes the delta. */
  readonly nextView: Spread;
}

/** Measures `repeats` changes of one index each. */
export async function benchTopologyChanges(size: TopologySize, repeats: number): Promise<TopologyCosts> {
  const { clock } = createSystemWorld();
  const store = await openSqliteTaskStore({ path: ":memory:", clock });
  const fence = await store.lease.acquire({ scope: leaseScope("leader"), holder: "bench", ttlMs: 3_600_000 });
  if (fence === undefined) throw new Error("somebody else leads");
  const manager = createTopologyManager({
    table: store.topology,
    logger: pino({ level: "silent" }),
    initial: largeTopology(size),
  });
  const snapshot = toBinary(TopologySchema, await manager.beginTerm(fence));
  const { result: first, ms: firstView } = await cpuOf(() => {
    const topology = decodeTopology(snapshot);
    if (judgeTopology(undefined, topology).kind !== "accept") throw new Error("the snapshot was refused");
    buildView(topology, new Map());
    return topology;
  });
  let held = first;
  let deltaBytes = 0;
  const change: number[] = [];
  const diff: number[] = [];
  const nextView: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const base = manager.current();
    const changed = await cpuOf(() =>
      manager.change("measured", (draft) => {
        const index = draft.indexes[(repeat * 7_919) % size.indexes];
        if (index !== undefined) index.generation += 1n;
      }),
    );
    const found = await cpuOf(() => diffTopologies(base, changed.result));
    const wire = toBinary(DeltaSchema, found.result);
    const taken = await cpuOf(() => {
      const delta: Delta = fromBinary(DeltaSchema, wire);
      const topology = applyDelta(held, delta);
      if (judgeTopology(held, topology).kind !== "accept") throw new Error("the delta was refused");
      buildView(topology, new Map());
      return topology;
    });
    held = taken.result;
    deltaBytes = wire.length;
    change.push(changed.ms);
    diff.push(found.ms);
    nextView.push(taken.ms);
  }
  await store.close();
  return {
    size,
    snapshotBytes: snapshot.length,
    deltaBytes,
    change: spreadOf(change),
    diff: spreadOf(diff),
    firstView,
    nextView: spreadOf(nextView),
  };
}

async function cpuOf<T>(work: () => T | Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, ms: (user + system) / 1_000 };
}
