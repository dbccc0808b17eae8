import { create, equals } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { GrpcError } from "../../../src/client/grpc-adapter.js";
import { createMiroirClient } from "../../../src/client/index.js";
import { EpochSchema, ReplicaState, TopologySchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { contentHash } from "../../../src/topology/content-hash.js";
import { applyDelta } from "../../../src/topology/delta.js";
import { topologyOfParts } from "../../../src/topology/snapshot-parts.js";
import { largeTopology } from "../../bench/large-topology.js";
import { putIndex, sampleIndex, sampleTopology } from "../../support/topologies.js";
import { HandDrivenProxy, type Rig, startProxy, startRig, stopAll, until, world } from "./rig.js";

afterEach(stopAll);

/** What the public API says of a proxy. */
async function shown(rig: Rig, proxyId: string) {
  const { proxies } = await createMiroirClient({ baseUrl: `http://${rig.address}` }).cluster.listProxies({});
  return proxies.find((proxy) => proxy.proxyId === proxyId);
}

function add(rig: Rig, uid: string) {
  return rig.control.topology.change(`add ${uid}`, (draft) => putIndex(draft, sampleIndex(uid)));
}

async function codeOf(outcome: Promise<unknown>): Promise<string> {
  const error: unknown = await outcome.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof GrpcError ? (status[error.code] ?? "") : String(error);
}

describe("topology stream, as a server", () => {
  it("asks for hello first, and for one only", async () => {
    const rig = await startRig();
    const early = new HandDrivenProxy(rig.address);
    early.heartbeat(1n);
    expect(await codeOf(early.next())).toBe("INVALID_ARGUMENT");
    const twice = new HandDrivenProxy(rig.address);
    twice.hello("twice");
    await twice.snapshot();
    twice.hello("twice");
    expect(await codeOf(twice.next())).toBe("INVALID_ARGUMENT");
    const nameless = new HandDrivenProxy(rig.address);
    nameless.hello("");
    expect(await codeOf(nameless.next())).toBe("INVALID_ARGUMENT");
  });

  it("sends a snapshot, then deltas against exactly what was acknowledged, which give the snapshot", async () => {
    const rig = await startRig();
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const { topology, nonce } = await proxy.snapshot();
    proxy.ack(nonce, topology.epoch);
    let held = topology;
    for (const uid of ["books", "films", "atlas"]) {
      await add(rig, uid);
      const delta = await proxy.delta();
      expect(delta.changes?.indexes.map((index) => index.uid)).toEqual([uid]);
      held = applyDelta(held, delta);
      proxy.ack(delta.nonce, held.epoch);
    }
    await rig.control.topology.change("remove", (draft) => {
      draft.indexes = draft.indexes.filter(({ uid }) => uid !== "books");
    });
    const removal = await proxy.delta();
    expect(removal.removedIndexUids).toEqual(["books"]);
    held = applyDelta(held, removal);
    const late = new HandDrivenProxy(rig.address);
    late.hello("late");
    expect(equals(TopologySchema, held, (await late.snapshot()).topology)).toBe(true);
  });

  it("sends a large topology in parts to a proxy that takes them, whatever is published meanwhile, and whole to another one", async () => {
    const initial = largeTopology({ indexes: 700, shards: 64, nodes: 3 });
    const rig = await startRig({ initial });
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("parts", undefined, undefined, undefined, { takesParts: true });
    const parts: Uint8Array[] = [];
    let message = await proxy.next();
    for (; message?.case === "snapshotPart"; message = await proxy.next()) {
      if (parts.length === 0) await rig.control.topology.change("more", (draft) => draft.indexes.pop());
      expect(message.value.nonce).toBe(1n);
      parts.push(message.value.data);
    }
    expect(parts.length).toBeGreaterThan(1);
    if (message?.case !== "snapshot") throw new Error(`expected a snapshot, got ${message?.case}`);
    expect(message.value.topology).toBeUndefined();
    const topology = topologyOfParts(parts);
    expect(topology.indexes.length).toBe(700);
    expect(contentHash(topology)).toBe(topology.contentHash);
    proxy.ack(message.value.nonce, topology.epoch);
    expect((await proxy.delta()).removedIndexUids).toEqual(["index-000699"]);

    const older = new HandDrivenProxy(rig.address);
    older.hello("whole");
    expect((await older.snapshot()).topology.indexes.length).toBe(699);
    const client = startProxy([rig.address], "real");
    await until(() => client.topology()?.indexes.length === 699, "the topology has come in parts");
  });

  it("coalesces for a slow proxy: one send in flight, then the newest", async () => {
    const rig = await startRig();
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("slow");
    const { topology, nonce } = await proxy.snapshot();
    for (let change = 0; change < 50; change++) await add(rig, `index-${change}`);
    expect(await proxy.quiet(150)).toBe(true);
    proxy.ack(nonce, topology.epoch);
    const delta = await proxy.delta();
    expect(delta.changes?.epoch?.counter).toBe(51n);
    expect(delta.changes?.indexes).toHaveLength(50);
    proxy.ack(delta.nonce, delta.changes?.epoch);
    expect(await proxy.quiet(150)).toBe(true);
  });

  it("ignores stale nonces, and ends a stream whose ACK names another epoch", async () => {
    const rig = await startRig();
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const first = await proxy.snapshot();
    proxy.ack(first.nonce + 7n, first.topology.epoch);
    proxy.nack(first.nonce + 8n, "not for you");
    proxy.ack(first.nonce, first.topology.epoch);
    await until(async () => (await shown(rig, "p"))?.acked !== undefined, "the acknowledgement");
    await add(rig, "books");
    const delta = await proxy.delta();
    proxy.ack(first.nonce, first.topology.epoch);
    proxy.nack(first.nonce, "late");
    expect((await shown(rig, "p"))?.error).toBe("");
    expect((await shown(rig, "p"))?.acked?.counter).toBe(1n);
    proxy.ack(delta.nonce, create(EpochSchema, { clusterId: "test-cluster", term: 1n, counter: 99n }));
    expect(await codeOf(proxy.next())).toBe("INVALID_ARGUMENT");
  });

  it("shows a NACK, follows a refused delta by a snapshot, and a refused snapshot by nothing until the next change", async () => {
    const rig = await startRig();
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const first = await proxy.snapshot();
    proxy.ack(first.nonce, first.topology.epoch);
    await add(rig, "books");
    const delta = await proxy.delta();
    proxy.nack(delta.nonce, "cannot apply this");
    const whole = await proxy.snapshot();
    expect(whole.topology.indexes.map(({ uid }) => uid)).toEqual(["books"]);
    proxy.nack(whole.nonce, "nor that");
    await until(async () => (await shown(rig, "p"))?.error === "nor that", "the NACK");
    expect(await shown(rig, "p")).toMatchObject({ nacked: { counter: 2n }, acked: { counter: 1n } });
    proxy.heartbeat(1n);
    expect(await proxy.lease()).toMatchObject({
      durationMs: 0,
      refusal: expect.stringContaining("nor that"),
    });
    await add(rig, "films");
    const next = await proxy.delta();
    proxy.ack(next.nonce, next.changes?.epoch);
    await until(async () => (await shown(rig, "p"))?.acked?.counter === 3n, "the acknowledgement");
    expect((await shown(rig, "p"))?.error).toBe("");
  });

  it("goes on by delta after a reconnect with a known epoch, by snapshot with another hash", async () => {
    const rig = await startRig();
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const { topology, nonce } = await proxy.snapshot();
    proxy.ack(nonce, topology.epoch);
    proxy.stream.cancel();
    await add(rig, "books");
    const held = {
      ...(topology.epoch === undefined ? {} : { epoch: topology.epoch }),
      hash: topology.contentHash,
    };
    const again = new HandDrivenProxy(rig.address);
    again.hello("p", held, proxy.session);
    const delta = await again.delta();
    expect(applyDelta(topology, delta).indexes).toHaveLength(1);
    const other = new HandDrivenProxy(rig.address);
    other.hello("q", { ...held, hash: "00" });
    await other.snapshot();
  });

  it("begins a new term above an epoch that a proxy brings from a later past", async () => {
    const rig = await startRig();
    const bystander = startProxy([rig.address], "bystander");
    await until(() => bystander.current() !== undefined, "the first topology");
    const proxy = new HandDrivenProxy(rig.address);
    const epoch = create(EpochSchema, { clusterId: "test-cluster", term: 5n, counter: 40n });
    proxy.hello("p", { epoch, hash: "ab" });
    const { topology } = await proxy.snapshot();
    expect(topology.epoch).toMatchObject({ term: 6n, counter: 1n });
    await until(() => bystander.current()?.epoch.term === 6n, "the new term");
    expect(bystander.connection().kind).toBe("subscribed");
    const liar = new HandDrivenProxy(rig.address);
    liar.hello("liar", { epoch: { ...epoch, term: 2n ** 60n }, hash: "ab" });
    expect(await codeOf(liar.next())).toBe("INVALID_ARGUMENT");
  });

  it("replaces the stream of a proxy that opens another one, and bounds how many there are", async () => {
    const rig = await startRig({ maxProxies: 2 });
    const first = new HandDrivenProxy(rig.address);
    first.hello("p");
    await first.snapshot();
    const second = new HandDrivenProxy(rig.address);
    second.hello("p");
    await second.snapshot();
    expect(await codeOf(first.next())).toBe("ABORTED");
    expect((await shown(rig, "p"))?.session).toBe(second.session);
    const third = new HandDrivenProxy(rig.address);
    third.hello("q");
    await third.snapshot();
    const fourth = new HandDrivenProxy(rig.address);
    fourth.hello("r");
    expect(await codeOf(fourth.next())).toBe("RESOURCE_EXHAUSTED");
  });

  it("renews no lease of a proxy that stays behind longer than the grace", async () => {
    const rig = await startRig({ graceMs: 150 });
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const { topology, nonce } = await proxy.snapshot();
    proxy.heartbeat(1n);
    expect(await proxy.lease()).toMatchObject({
      durationMs: 0,
      refusal: expect.stringContaining("not acknowledged"),
    });
    proxy.ack(nonce, topology.epoch);
    await proxy.leaseWhere(
      ({ durationMs, writer }) => durationMs === 600 && writer?.session === proxy.session,
    );
    await add(rig, "books");
    const delta = await proxy.delta();
    const refused = await proxy.leaseWhere(({ durationMs }) => durationMs === 0);
    expect(refused.refusal).toContain("behind");
    proxy.ack(delta.nonce, delta.changes?.epoch);
    await proxy.leaseWhere(({ durationMs }) => durationMs === 600);
  });

  it("tells who waits for an acknowledgement that it came, was refused, or cannot come", async () => {
    const rig = await startRig({ leaseMs: 300 });
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const { topology, nonce } = await proxy.snapshot();
    if (topology.epoch === undefined) throw new Error("no epoch");
    const signal = AbortSignal.timeout(5_000);
    const { fleet } = rig.control;
    const acked = fleet.waitForAck(topology.epoch, proxy.session, signal);
    proxy.ack(nonce, topology.epoch);
    expect(await acked).toEqual({ kind: "acked" });
    await proxy.leaseWhere(({ writer }) => writer?.session === proxy.session);
    const { epoch } = await add(rig, "books");
    if (epoch === undefined) throw new Error("no epoch");
    const refused = fleet.waitForAck(epoch, proxy.session, signal);
    const delta = await proxy.delta();
    proxy.nack(delta.nonce, "no");
    const whole = await proxy.snapshot();
    proxy.nack(whole.nonce, "never");
    expect(await refused).toEqual({ kind: "refused", error: "never" });
    await add(rig, "films");
    const newest = rig.control.topology.current().epoch;
    if (newest === undefined) throw new Error("no epoch");
    const gone = fleet.waitForAck(newest, proxy.session, signal);
    proxy.stream.cancel();
    expect(await gone).toEqual({ kind: "gone" });
    expect(await fleet.waitForAck(newest, "nobody", signal)).toEqual({ kind: "gone" });
    await expect(fleet.waitForAck(newest, "nobody", AbortSignal.abort(new Error("enough")))).rejects.toThrow(
      "enough",
    );
  });

  it("sends keys of nodes on the stream only, and only those that changed", async () => {
    const rig = await startRig();
    rig.setCredentials([
      { nodeId: "node-0", writeKey: "w0", adminKey: "a0" },
      { nodeId: "node-1", writeKey: "w1", adminKey: "a1" },
    ]);
    const proxy = new HandDrivenProxy(rig.address);
    proxy.hello("p");
    const { topology, nonce, credentials } = await proxy.snapshot();
    expect(credentials).toHaveLength(2);
    proxy.ack(nonce, topology.epoch);
    rig.setCredentials([
      { nodeId: "node-0", writeKey: "w0", adminKey: "a0" },
      { nodeId: "node-1", writeKey: "w1b", adminKey: "a1" },
    ]);
    const delta = await proxy.delta();
    expect(delta.credentials.map(({ nodeId, writeKey }) => [nodeId, writeKey])).toEqual([["node-1", "w1b"]]);
    const client = createMiroirClient({ baseUrl: `http://${rig.address}` });
    const answer = await client.topology.getTopology({});
    expect(
      JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value)),
    ).not.toContain("w1b");
  });
});

describe("topology stream, as a proxy", () => {
  it("keeps its view, with the keys of nodes, across deltas", async () => {
    const rig = await startRig();
    rig.setCredentials([{ nodeId: "node-0", writeKey: "w0", adminKey: "a0" }]);
    const proxy = startProxy([rig.address], "p");
    await proxy.waitFor(() => true, AbortSignal.timeout(5_000));
    await add(rig, "books");
    const view = await proxy.waitFor((next) => next.indexes.has("books"), AbortSignal.timeout(5_000));
    expect(view.nodes.get("node-0")).toMatchObject({
      writeAddress: { id: "node-0", url: "http://127.0.0.1:9000", key: "w0" },
      adminAddress: { key: "a0" },
    });
    expect(view.nodes.get("node-1")?.writeAddress).not.toHaveProperty("key");
    const books = view.indexes.get("books");
    expect(books?.physicalName).toBe(`m${books?.instance}_1`);
    expect(books?.createdAt).toBe("2023-11-14T22:13:20.123456Z");
    expect(books?.shardsByNode.get("node-1")).toEqual([0, 1]);
    await add(rig, "films");
    const later = await proxy.waitFor((next) => next.indexes.has("films"), AbortSignal.timeout(5_000));
    expect(later.indexes.get("books")).toBe(books);
    expect(later.nodes.get("node-0")?.writeAddress.key).toBe("w0");
    rig.setCredentials([{ nodeId: "node-0", writeKey: "w0b", adminKey: "a0" }]);
    const rekeyed = await proxy.waitFor(
      (next) => next.nodes.get("node-0")?.writeAddress.key === "w0b",
      AbortSignal.timeout(5_000),
    );
    expect(rekeyed.epoch).toEqual(later.epoch);
    expect(proxy.refused()).toBe(0);
  });

  it("keeps the keys of a node that a new leader has not reached yet", async () => {
    const rig = await startRig();
    rig.setCredentials([{ nodeId: "node-0", writeKey: "w0", adminKey: "a0" }]);
    const proxy = startProxy([rig.address], "p");
    await proxy.waitFor(() => true, AbortSignal.timeout(5_000));
    await rig.stop();
    const next = await startRig({ store: rig.store, port: rig.port });
    await add(next, "books");
    const view = await proxy.waitFor(({ indexes }) => indexes.has("books"), AbortSignal.timeout(10_000));
    expect(view.nodes.get("node-0")).toMatchObject({
      writeAddress: { key: "w0" },
      adminAddress: { key: "a0" },
    });
  });

  it("refuses a foreign cluster, says so, and keeps what it has", async () => {
    const rig = await startRig();
    const { port } = rig;
    const proxy = startProxy([rig.address], "p");
    await proxy.waitFor(() => true, AbortSignal.timeout(5_000));
    await rig.close();
    const foreign = await startRig({ port, initial: sampleTopology("another-cluster") });
    await until(async () => (await shown(foreign, "p"))?.error !== "" && proxy.refused() > 0, "the NACK");
    expect(await shown(foreign, "p")).toMatchObject({
      error: expect.stringContaining("foreign cluster"),
      nacked: { clusterId: "another-cluster" },
    });
    expect((await shown(foreign, "p"))?.acked).toBeUndefined();
    expect(proxy.current()?.epoch.clusterId).toBe("test-cluster");
    await until(() => proxy.state().kind === "none", "the end of the lease");
  });

  it("is brought above what it holds when the store comes back older", async () => {
    const rig = await startRig();
    const { port } = rig;
    const proxy = startProxy([rig.address], "p");
    for (const uid of ["a", "b", "c"]) await add(rig, uid);
    await proxy.waitFor((view) => view.indexes.size === 3, AbortSignal.timeout(5_000));
    await rig.close();
    // A fresh store of the same cluster: what a backup from before the three changes would be.
    await startRig({ port });
    const view = await proxy.waitFor((next) => next.epoch.term === 2n, AbortSignal.timeout(5_000));
    expect(view.indexes.size).toBe(0);
    expect(proxy.refused()).toBe(0);
  });

  it("follows a restart of the control plane to a higher term, by the same store", async () => {
    const store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
    const rig = await startRig({ store, leaseMs: 3_000 });
    const proxy = startProxy([rig.address], "p");
    await add(rig, "books");
    await proxy.waitFor((view) => view.indexes.has("books"), AbortSignal.timeout(5_000));
    await until(() => proxy.state().kind === "held", "the lease");
    await rig.stop();
    await startRig({ store, port: rig.port, leaseMs: 3_000 });
    const view = await proxy.waitFor((next) => next.epoch.term === 2n, AbortSignal.timeout(5_000));
    expect(view.indexes.has("books")).toBe(true);
    expect(proxy.state().kind).toBe("held");
  });

  it("loses its lease, never its view, while the control plane is away", async () => {
    const rig = await startRig();
    const proxy = startProxy([rig.address], "p");
    await until(() => proxy.state().kind === "held", "the lease");
    await rig.stop();
    expect(proxy.state().kind).toBe("held");
    await until(() => proxy.state().kind === "none", "the end of the lease");
    expect(proxy.current()).toBeDefined();
    expect(proxy.connection().kind).not.toBe("subscribed");
  });

  it("gives its lease back at once by its goodbye, and the others are told", async () => {
    const rig = await startRig({ leaseMs: 3_000 });
    const first = startProxy([rig.address], "a", { heartbeatMs: 1_000 });
    await until(() => first.state().kind === "held", "the lease");
    const second = startProxy([rig.address], "b", { heartbeatMs: 1_000 });
    await until(() => second.state().kind === "held", "the other's lease");
    const holders = () => second.writers().proxies.map(({ proxyId }) => proxyId);
    await until(() => holders().length === 2 && second.writers().complete, "both leases");
    expect(holders()).toEqual(["a", "b"]);
    const from = world.clock.monotonic();
    await first.close();
    expect(first.state().kind).toBe("none");
    await until(() => holders().length === 1, "the end of the lease");
    expect(world.clock.monotonic() - from).toBeLessThan(800);
    expect(await shown(rig, "b")).toMatchObject({ writer: true });
    expect(await shown(rig, "a")).toBeUndefined();
  });

  it("finds another control plane when the first one ends", async () => {
    const store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock });
    const one = await startRig({ store });
    const other = await startRig({ store });
    expect(other.control.leadership.state().kind).toBe("follower");
    const proxy = startProxy([one.address, other.address], "p");
    await until(() => proxy.state().kind === "held", "the lease");
    await one.stop();
    await other.control.whenLeading(AbortSignal.timeout(5_000));
    await proxy.waitFor((view) => view.epoch.term === 2n, AbortSignal.timeout(10_000));
    await until(() => proxy.state().kind === "held", "the lease");
  });

  it("refuses what cannot be used, and lives on", async () => {
    const rig = await startRig();
    const proxy = startProxy([rig.address], "p");
    await proxy.waitFor(() => true, AbortSignal.timeout(5_000));
    // A state that a later version might add, which this one cannot route by.
    await rig.control.topology.change("add", (draft) => {
      const index = sampleIndex("books");
      for (const replica of index.replicas) replica.state = ReplicaState.IN_SYNC;
      index.replicas.push({ ...index.replicas[0], nodeId: "node-1", state: 77 } as never);
      index.replicas.splice(1, 1);
      putIndex(draft, index);
    });
    await until(async () => (await shown(rig, "p"))?.error.includes("does not know") === true, "the NACK");
    expect(proxy.current()?.indexes.size).toBe(0);
    await rig.control.topology.change("remove", (draft) => {
      draft.indexes = [];
    });
    await until(async () => (await shown(rig, "p"))?.error === "", "the acknowledgement");
    expect(proxy.topology()?.contentHash).toBe(contentHash(rig.control.topology.current()));
  });
});
