import { Readable } from "node:stream";
import { beforeEach, describe, expect, it } from "vitest";
import type { NodeTransport } from "../../src/meilisearch/transport.js";
import { createShardHasher } from "../../src/placement/shard.js";
import { defaultWriteConfig, type WriteResult } from "../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../src/proxy/write/write-metrics.js";
import { createWriteService } from "../../src/proxy/write/write-service.js";
import { SimulatedControl } from "./simulated-control.js";
import { SimulatedNetwork } from "./simulated-network.js";
import { SimulatedNode } from "./simulated-node.js";
import { createVirtualWorld, type VirtualWorld } from "./virtual-world.js";

const hasher = await createShardHasher();

let world: VirtualWorld;
let control: SimulatedControl;
let network: SimulatedNetwork;

beforeEach(() => {
  world = createVirtualWorld(1);
  const nodes = new Map(["node-0", "node-1"].map((id) => [id, new SimulatedNode(id, world, 2)]));
  control = new SimulatedControl(world, nodes, { shards: 2, copies: 2, minInSync: 0 });
  network = new SimulatedNetwork(world, nodes);
});

/** A proxy that has the lease, and no other one. */
function startProxy(session: string) {
  control.grant(session);
  const topology = control.source();
  const inner = network.transport();
  let beforeAnswer: () => void = () => undefined;
  const transport: NodeTransport = {
    close: () => inner.close(),
    request: async (node, request) => {
      const answer = await inner.request(node, request);
      if (request.path.includes("/documents")) beforeAnswer();
      return answer;
    },
  };
  const service = createWriteService({
    world,
    topology,
    lease: control.lease(session),
    control: control.transport(),
    transport,
    config: defaultWriteConfig("/nowhere"),
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    metrics: noWriteMetrics,
    hasher,
  });
  return {
    /** Runs `work` when a node has taken a write, before its proxy hears of it. */
    onTaken: (work: () => void) => {
      beforeAnswer = work;
    },
    giveBack: () => control.giveBack(session, topology),
    write: (id: string): Promise<WriteResult> =>
      service.submit(
        {
          kind: "replace",
          indexUid: "films",
          contentType: "application/json",
          body: Readable.from([Buffer.from(JSON.stringify([{ id }]))]),
          primaryKey: "id",
        },
        new AbortController().signal,
      ),
  };
}

function nothing(): void {}

/** How a write was answered: its status, or the code of its error. */
async function answered(write: Promise<WriteResult>): Promise<unknown> {
  let answer: unknown;
  write.then(
    ({ status }) => {
      answer = status;
    },
    (error: { readonly body?: { readonly code?: string } }) => {
      answer = error.body?.code ?? error;
    },
  );
  await world.runUntil(() => answer !== undefined, 60_000);
  return answer;
}

const UNKNOWN = "miroir_write_outcome_unknown";

describe("a write during which the lease runs out", () => {
  it("is acknowledged once the same proxy has the lease again and nobody else had the index", async () => {
    const proxy = startProxy("one");
    expect(await answered(proxy.write("a"))).toBe(202);
    proxy.onTaken(() => {
      control.endLease("one");
      world.timers.after(700, () => proxy.giveBack());
    });
    expect(await answered(proxy.write("b"))).toBe(202);
    proxy.onTaken(nothing);
    expect(await answered(proxy.write("c"))).toBe(202);
  });

  it("has no certain outcome where another proxy had the index meanwhile", async () => {
    const proxy = startProxy("one");
    expect(await answered(proxy.write("a"))).toBe(202);
    let taken = false;
    proxy.onTaken(() => {
      taken = true;
      control.endLease("one");
    });
    const late = proxy.write("b");
    late.catch(nothing);
    await world.runUntil(() => taken, 60_000);
    expect(await answered(startProxy("two").write("c"))).toBe(202);
    control.endLease("two");
    proxy.giveBack();
    expect(await answered(late)).toBe(UNKNOWN);
  });

  it("has no certain outcome where the lease stays away for longer than a client waits", async () => {
    const proxy = startProxy("one");
    expect(await answered(proxy.write("a"))).toBe(202);
    proxy.onTaken(() => control.endLease("one"));
    expect(await answered(proxy.write("b"))).toBe(UNKNOWN);
    // It is settled all the same when the lease comes back, and the index takes writes again.
    proxy.onTaken(nothing);
    proxy.giveBack();
    await world.runUntil(() => control.tasks.size === 2, 60_000);
    expect(await answered(proxy.write("c"))).toBe(202);
  });
});
