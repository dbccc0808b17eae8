import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../../src/placement/shard.js";
import {
  type DocumentWriteRequest,
  defaultWriteConfig,
  type WriteConfig,
} from "../../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../../src/proxy/write/write-metrics.js";
import { createWriteService } from "../../../src/proxy/write/write-service.js";
import { SimulatedControl } from "../../simulation/simulated-control.js";
import { SimulatedNetwork } from "../../simulation/simulated-network.js";
import { SimulatedNode } from "../../simulation/simulated-node.js";
import { createVirtualWorld } from "../../simulation/virtual-world.js";

const hasher = await createShardHasher();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A proxy over simulated nodes without faults of their own. */
function cluster(nodeCount: number, copies: number, config: Partial<WriteConfig> = {}) {
  const world = createVirtualWorld(1);
  const nodes = new Map(
    Array.from({ length: nodeCount }, (_, i) => [`node-${i}`, new SimulatedNode(`node-${i}`, world, 5)]),
  );
  const control = new SimulatedControl(world, nodes, { shards: 4, copies, minInSync: 0 });
  const network = new SimulatedNetwork(world, nodes);
  control.grant("s");
  const service = createWriteService({
    world,
    topology: control.source(),
    lease: control.lease("s"),
    control: control.transport(),
    transport: network.transport(),
    config: { ...defaultWriteConfig("/nowhere"), nodeTimeoutMs: 2_000, controlTimeoutMs: 1_000, ...config },
    logger: silent,
    metrics: noWriteMetrics,
    hasher,
  });
  const submit = (body: string, rest: Partial<DocumentWriteRequest> = {}) =>
    service.submit(
      {
        kind: "replace",
        indexUid: "movies",
        contentType: "application/json",
        body: Readable.from([Buffer.from(body)]),
        ...rest,
      },
      new AbortController().signal,
    );
  const finish = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const watched = work.finally(() => {
      done = true;
    });
    watched.catch(() => undefined);
    await world.runUntil(() => done, 600_000);
    return watched;
  };
  const taskOf = (uid: number) => control.tasks.get(BigInt(uid));
  return { world, nodes, control, network, service, submit, finish, taskOf };
}

describe("a write service", () => {
  it("reads documents again under the key that another write has decided meanwhile", async () => {
    const { submit, finish, taskOf, control, nodes } = cluster(2, 1);
    await finish(submit("[]"));
    const first = submit('[{"id":1}]');
    // By themselves these have two candidates; under the key that counts they are good.
    const second = submit('[{"id":2,"other_id":3},{"id":4,"other_id":5}]');
    const [one, two] = await finish(Promise.all([first, second]));
    expect(control.index("movies")?.primaryKey).toBe("id");
    expect(taskOf(one.body.taskUid)?.error).toBeUndefined();
    expect(taskOf(two.body.taskUid)?.error).toBeUndefined();
    await finish(submit("[]"));
    const stored = [...nodes.values()].flatMap((node) =>
      [...node.indexes.values()].flatMap((index) => [...index.documents.keys()]),
    );
    expect(stored.sort()).toEqual(["1", "2", "4"]);
  });

  it("fails the task of a write that names another key than the one recorded meanwhile", async () => {
    const { submit, finish, taskOf } = cluster(2, 1);
    const [one, two] = await finish(
      Promise.all([submit('[{"id":1}]'), submit('[{"id":1,"sku":2}]', { primaryKey: "sku" })]),
    );
    const errors = [one, two].map(({ body }) => taskOf(body.taskUid)?.error?.code);
    expect(errors.sort()).toEqual(["index_primary_key_already_exists", undefined]);
  });

  it("turns writes away without a lease, and while it stops; what is under way is finished", async () => {
    const { submit, finish, service } = cluster(1, 1);
    await finish(submit('[{"id":1}]'));
    const last = submit('[{"id":2}]');
    const drained = service.drain(new AbortController().signal);
    await expect(finish(submit('[{"id":3}]'))).rejects.toMatchObject({
      status: 503,
      body: { code: "miroir_stopping" },
    });
    expect((await finish(last)).status).toBe(202);
    await finish(drained);
    const other = cluster(1, 1);
    other.control.grant("nobody");
    await expect(other.finish(other.submit('[{"id":1}]'))).rejects.toMatchObject({
      status: 503,
      retryAfterSeconds: 1,
      body: { code: "miroir_no_write_lease" },
    });
  });

  it("answers at once and registers later while the control plane is away, as long as the lease holds", async () => {
    const { submit, finish, control, service, taskOf } = cluster(2, 2);
    await finish(submit('[{"id":1}]'));
    control.faults = { unavailable: 1, loseAnswer: 0 };
    const { body } = await finish(submit('[{"id":2}]'));
    expect(taskOf(body.taskUid)).toBeUndefined();
    expect(service.stats().pendingRegistrations).toBe(1);
    control.faults = { unavailable: 0, loseAnswer: 0 };
    await finish(submit('[{"id":3}]'));
    await finish(service.drain(new AbortController().signal));
    expect(taskOf(body.taskUid)?.nodeTasks.length).toBe(2);
  });

  it("says that an outcome is unknown, blocks the index, and registers the task once the node is back", async () => {
    const { submit, finish, network, service, taskOf, world } = cluster(2, 1);
    const documents = JSON.stringify(Array.from({ length: 20 }, (_, id) => ({ id })));
    await finish(submit(documents));
    network.stop("node-1");
    const error = await finish(
      submit(documents).then(
        () => undefined,
        (refused: unknown) => refused,
      ),
    );
    expect(error).toMatchObject({ status: 504, body: { code: "miroir_write_outcome_unknown" } });
    expect(service.stats().blockedIndexes).toEqual(["movies"]);
    await expect(finish(submit('[{"id":1}]'))).rejects.toMatchObject({
      status: 503,
      body: { code: "miroir_index_blocked" },
    });
    network.resume("node-1");
    await world.runUntil(() => service.stats().blockedIndexes.length === 0, 600_000);
    const uid = Number(/task (\d+)/.exec(String(error))?.[1]);
    await world.runUntil(() => taskOf(uid) !== undefined, 600_000);
    expect(taskOf(uid)?.nodeTasks.length).toBe(2);
    expect((await finish(submit('[{"id":1}]'))).status).toBe(202);
  });

  it("sends nothing of a body that has more for one shard than a node takes", async () => {
    const { submit, finish, nodes } = cluster(1, 1, { maxNodeBodyBytes: 120 });
    const documents = JSON.stringify(Array.from({ length: 20 }, (_, id) => ({ id })));
    await expect(finish(submit(documents))).rejects.toMatchObject({
      status: 413,
      body: { code: "payload_too_large" },
    });
    expect(nodes.get("node-0")?.tasks).toEqual([]);
  });

  it("sends a body that has more for a node than it takes at once in several requests, as one task", async () => {
    const { submit, finish, nodes, taskOf } = cluster(1, 1, { maxNodeBodyBytes: 900 });
    const documents = JSON.stringify(Array.from({ length: 20 }, (_, id) => ({ id })));
    const { body } = await finish(submit(documents));
    const parts = taskOf(body.taskUid)?.nodeTasks ?? [];
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.flatMap(({ shards }) => shards ?? [])).toEqual([0, 1, 2, 3]);
    expect(nodes.get("node-0")?.tasks).toHaveLength(parts.length);
  });
});
