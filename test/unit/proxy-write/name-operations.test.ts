import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../../src/placement/shard.js";
import { defaultWriteConfig, type WriteResult } from "../../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../../src/proxy/write/write-metrics.js";
import { createWriteService } from "../../../src/proxy/write/write-service.js";
import { SimulatedControl } from "../../simulation/simulated-control.js";
import { SimulatedNetwork } from "../../simulation/simulated-network.js";
import { SimulatedNode } from "../../simulation/simulated-node.js";
import { createVirtualWorld } from "../../simulation/virtual-world.js";

const hasher = await createShardHasher();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const signal = new AbortController().signal;

/** A proxy over one simulated node. */
function proxy() {
  const world = createVirtualWorld(1);
  const node = new SimulatedNode("node-0", world, 5);
  const nodes = new Map([["node-0", node]]);
  const control = new SimulatedControl(world, nodes, { shards: 2, copies: 1, minInSync: 0 });
  control.grant("s");
  const service = createWriteService({
    world,
    topology: control.source(),
    lease: control.lease("s"),
    control: control.transport(),
    transport: new SimulatedNetwork(world, nodes).transport(),
    config: { ...defaultWriteConfig("/nowhere"), nodeTimeoutMs: 2_000, controlTimeoutMs: 1_000 },
    logger: silent,
    metrics: noWriteMetrics,
    hasher,
  });
  const add = (indexUid: string, id: number): Promise<WriteResult> =>
    service.submit(
      {
        kind: "replace",
        indexUid,
        contentType: "application/json",
        body: Readable.from([Buffer.from(JSON.stringify([{ id }]))]),
      },
      signal,
    );
  const swap = (left: string, right: string) =>
    service.swapIndexes([{ indexes: [left, right], rename: false }], signal);
  const finish = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const watched = work.finally(() => {
      done = true;
    });
    watched.catch(() => undefined);
    await world.runUntil(() => done, 600_000);
    return watched;
  };
  /** Document ids that were sent to an instance. */
  const held = (instance: string | undefined): readonly string[] =>
    [...node.indexes]
      .filter(([name]) => name.startsWith(`m${instance}_`))
      .flatMap(([, index]) => [...index.documents.keys()])
      .sort();
  return { world, control, service, add, swap, finish, held };
}

describe("a swap", () => {
  it("answers at once, and keeps later writes back until the names have changed", async () => {
    const { world, control, add, swap, finish, held } = proxy();
    await finish(add("a", 1));
    await finish(add("b", 2));
    const [a, b] = [control.index("a")?.instance, control.index("b")?.instance];
    control.namesWait = true;
    const swapped = await finish(swap("a", "b"));
    expect(swapped).toMatchObject({ status: 202, body: { indexUid: null, type: "indexSwap" } });
    let written = false;
    const later = add("a", 3).finally(() => {
      written = true;
    });
    const elsewhere = await finish(add("c", 4));
    expect(elsewhere.status).toBe(202);
    await finish(world.timers.sleep(5_000));
    expect(written).toBe(false);
    control.namesWait = false;
    await finish(later);
    expect([control.index("a")?.instance, control.index("b")?.instance]).toEqual([b, a]);
    await finish(add("a", 5));
    await finish(world.timers.sleep(5_000));
    expect(held(a)).toEqual(["1"]);
    expect(held(b)).toEqual(["2", "3", "5"]);
  });

  it("of the same indexes the other way round does not wait for ever", async () => {
    const { control, add, swap, finish } = proxy();
    await finish(add("a", 1));
    await finish(add("b", 2));
    const a = control.index("a")?.instance;
    await finish(Promise.all([swap("a", "b"), swap("b", "a"), swap("a", "b")]));
    expect(control.index("b")?.instance).toBe(a);
  });

  it("lets writes go when the lease ends", async () => {
    const { control, add, swap, finish } = proxy();
    await finish(add("a", 1));
    await finish(add("b", 2));
    control.namesWait = true;
    await finish(swap("a", "b"));
    control.grant("another");
    await expect(finish(add("a", 3))).rejects.toMatchObject({ status: 503 });
  });
});

describe("a rename", () => {
  it("is where later writes find the index", async () => {
    const { world, control, service, add, finish, held } = proxy();
    await finish(add("a", 1));
    const a = control.index("a")?.instance;
    const renamed = await finish(service.updateIndex("a", { newUid: "z" }, signal));
    expect(renamed).toMatchObject({ status: 202, body: { indexUid: "a", type: "indexUpdate" } });
    await finish(add("z", 2));
    await finish(add("a", 3));
    await finish(world.timers.sleep(5_000));
    expect(control.index("z")?.instance).toBe(a);
    expect(held(a)).toEqual(["1", "2"]);
    expect(held(control.index("a")?.instance)).toEqual(["3"]);
  });
});
