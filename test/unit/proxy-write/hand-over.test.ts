import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { rankWriters } from "../../../src/placement/writer.js";
import type { WritingProxies, WritingProxy } from "../../../src/proxy/topology/topology-view.js";
import type { WriteService } from "../../../src/proxy/write/write-service.js";
import { SimulatedControl } from "../../simulation/simulated-control.js";
import { SimulatedNetwork } from "../../simulation/simulated-network.js";
import { SimulatedNode } from "../../simulation/simulated-node.js";
import { createVirtualWorld } from "../../simulation/virtual-world.js";
import { runToEnd, sessionOf, simulatedWriter } from "./simulated-writer.js";

const signal = new AbortController().signal;
const NAMES: readonly WritingProxy[] = ["a", "b"].map((id) => ({
  proxyId: id,
  session: sessionOf(id),
  peerAddress: `${id}:1`,
  peerKey: id,
}));
const UIDS = Array.from({ length: 12 }, (_, at) => `index-${at}`);

/** Two proxies over one simulated node; only those in `known` hold leases. */
function fleet() {
  const world = createVirtualWorld(1);
  const node = new SimulatedNode("node-0", world, 5);
  const nodes = new Map([["node-0", node]]);
  const control = new SimulatedControl(world, nodes, { shards: 2, copies: 1, minInSync: 0 });
  let known: WritingProxies = { proxies: NAMES.slice(0, 1), complete: true };
  const services = new Map<string, WriteService>();
  for (const { proxyId } of NAMES) {
    const service = simulatedWriter({
      world,
      control,
      transport: new SimulatedNetwork(world, nodes).transport(),
      proxyId,
      writers: () => known,
      peers: {
        handOver: async ({ proxyId: id }, { instance, writer, waitMs }) => {
          const outcome = await serviceOf(id).handOver(instance, writer, waitMs);
          return { $typeName: "miroir.v1.HandOverResponse", reason: "", ...outcome };
        },
      },
    });
    services.set(proxyId, service);
  }
  const serviceOf = (id: string): WriteService => {
    const service = services.get(id);
    if (service === undefined) throw new Error(`no proxy ${id}`);
    return service;
  };
  const finish = <T>(work: Promise<T>): Promise<T> => runToEnd(world, work);
  const add = (id: string, indexUid: string, document: number) =>
    finish(
      serviceOf(id).submit(
        {
          kind: "replace",
          indexUid,
          contentType: "application/json",
          body: Readable.from([Buffer.from(JSON.stringify([{ id: document }]))]),
        },
        signal,
      ),
    );
  return {
    world,
    control,
    add,
    finish,
    serviceOf,
    writers: () => new Map(UIDS.map((uid) => [uid, control.index(uid)?.writer?.proxyId])),
    join: () => {
      known = { proxies: NAMES, complete: true };
    },
    held: (uid: string) =>
      [...node.indexes]
        .filter(([name]) => name.startsWith(`m${control.index(uid)?.instance}_`))
        .flatMap(([, index]) => [...index.documents.keys()])
        .sort(),
  };
}

/** A name of which the proxy is the first in order. */
function nameFor(id: string): string {
  const uid = UIDS.find((candidate) => rankWriters(candidate, NAMES)[0]?.proxyId === id);
  if (uid === undefined) throw new Error(`no name falls to ${id}`);
  return uid;
}

describe("an index", () => {
  it("passes to a proxy that has joined and comes first for it, one after another, once that has been there for a while", async () => {
    const { world, writers, add, join } = fleet();
    for (const uid of UIDS) await add("a", uid, 1);
    const first = (uid: string) => rankWriters(uid, NAMES)[0]?.proxyId;
    expect(new Set(writers().values())).toEqual(new Set(["a"]));
    join();
    const since = world.clock.monotonic();
    await world.runUntil(() => [...writers().values()].includes("b"), 60_000);
    expect(world.clock.monotonic() - since).toBeGreaterThan(9_000);
    await world.runUntil(() => UIDS.every((uid) => writers().get(uid) === first(uid)), 120_000);
    for (const uid of UIDS) expect(writers().get(uid)).toBe(first(uid));
  });

  it("is written on by the next proxy under the next generation, without a take-over", async () => {
    const { control, add, finish, serviceOf, held, join } = fleet();
    const uid = nameFor("a");
    await add("a", uid, 1);
    join();
    const index = control.index(uid);
    const [, b] = NAMES;
    if (index === undefined || b === undefined) throw new Error("no index");
    const outcome = await finish(serviceOf("a").handOver(index.instance, b, 1_000));
    expect(outcome).toHaveProperty("epoch");
    expect(control.index(uid)).toMatchObject({ generation: index.generation + 1n, writer: { proxyId: "b" } });
    await expect(add("a", uid, 2)).rejects.toMatchObject({ body: { code: "miroir_no_write_lease" } });
    await add("b", uid, 3);
    expect(control.index(uid)?.generation).toBe(index.generation + 1n);
    expect(held(uid)).toEqual(["1", "3"]);
  });

  it("is not handed over by whom it does not belong to", async () => {
    const { control, add, finish, serviceOf, join } = fleet();
    const uid = nameFor("a");
    await add("a", uid, 1);
    join();
    const instance = control.index(uid)?.instance ?? "";
    const [a] = NAMES;
    if (a === undefined) throw new Error("no proxy");
    expect(await finish(serviceOf("b").handOver(instance, a, 1_000))).toHaveProperty("reason");
    expect(control.index(uid)?.writer?.proxyId).toBe("a");
  });

  it("comes to the proxy that swaps it with one of its own", async () => {
    const { control, add, finish, serviceOf, join } = fleet();
    const [mine, theirs] = [nameFor("a"), nameFor("b")];
    join();
    await add("a", mine, 1);
    await add("b", theirs, 2);
    const [one, other] = [control.index(mine)?.instance, control.index(theirs)?.instance];
    await finish(serviceOf("a").swapIndexes([{ indexes: [mine, theirs], rename: false }], signal));
    expect(control.index(mine)?.instance).toBe(other);
    expect(control.index(theirs)?.instance).toBe(one);
    for (const uid of [mine, theirs]) expect(control.index(uid)?.writer?.proxyId).toBe("a");
    await add("a", theirs, 3);
  });

  it("keeps a proxy that stops no longer than a few seconds where the control plane does not answer", async () => {
    const { world, control, writers, add, finish, serviceOf, join } = fleet();
    for (const uid of UIDS) await add("a", uid, 1);
    join();
    control.faults = { unavailable: 1, loseAnswer: 0 };
    const since = world.clock.monotonic();
    await finish(serviceOf("a").drain(new AbortController().signal));
    expect(world.clock.monotonic() - since).toBeLessThan(10_000);
    expect(new Set(writers().values())).toEqual(new Set(["a"]));
  });

  it("goes to another proxy when its own stops", async () => {
    const { writers, add, finish, serviceOf, join } = fleet();
    for (const uid of UIDS) await add("a", uid, 1);
    join();
    await finish(serviceOf("a").drain(AbortSignal.timeout(60_000)));
    expect(new Set(writers().values())).toEqual(new Set(["b"]));
    for (const uid of UIDS) await add("b", uid, 2);
  });
});
