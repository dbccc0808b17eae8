import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { NodeAddress, NodeTransport } from "../../../src/meilisearch/transport.js";
import { NodeUnavailableError } from "../../../src/meilisearch/transport.js";
import type { NodeView, TopologySource, WritingProxies } from "../../../src/proxy/topology/topology-view.js";
import { SimulatedControl } from "../../simulation/simulated-control.js";
import { SimulatedNetwork } from "../../simulation/simulated-network.js";
import { refusal, SimulatedNode } from "../../simulation/simulated-node.js";
import { createVirtualWorld } from "../../simulation/virtual-world.js";
import { sessionOf, simulatedWriter } from "./simulated-writer.js";

const signal = new AbortController().signal;

/** A node that asks for other keys than before, some time before the topology has them. */
function fleet() {
  const world = createVirtualWorld(1);
  const nodes = new Map([["node-0", new SimulatedNode("node-0", world, 5)]]);
  const control = new SimulatedControl(world, nodes, { shards: 2, copies: 1, minInSync: 0 });
  const network = new SimulatedNetwork(world, nodes).transport();
  let asked = 1;
  let known = 1;
  let losesNextWrite = false;
  let writers: WritingProxies = { proxies: [], complete: true };
  const changeKeys = () => {
    asked++;
    world.timers.after(3_000, () => {
      known = asked;
    });
  };
  const transport: NodeTransport = {
    request: async (address, request) => {
      const [key = "", version] = address.key?.split(" ") ?? [];
      if (version !== String(asked)) return refusal(403, "invalid_api_key", "The key is invalid.");
      const answer = await network.request({ ...address, key }, request);
      if (!losesNextWrite || !request.path.includes("/documents?")) return answer;
      losesNextWrite = false;
      changeKeys();
      throw new NodeUnavailableError(address.id, "unknown", "the connection broke");
    },
    close: async () => undefined,
  };
  const start = (proxyId: string) => {
    writers = {
      proxies: [{ proxyId, session: sessionOf(proxyId), peerAddress: "", peerKey: "" }],
      complete: true,
    };
    const topology = withKeys(control.source(), () => known);
    const service = simulatedWriter({ world, control, transport, proxyId, topology, writers: () => writers });
    return async (document: number): Promise<number> => {
      let status = 0;
      const body = Readable.from([Buffer.from(JSON.stringify([{ id: document }]))]);
      service
        .submit({ kind: "replace", indexUid: "movies", contentType: "application/json", body }, signal)
        .then(
          (answer) => {
            status = answer.status;
          },
          (error) => {
            status = error.status;
          },
        );
      await world.runUntil(() => status !== 0, 600_000);
      return status;
    };
  };
  return {
    start,
    changeKeys,
    loseNextWrite: () => {
      losesNextWrite = true;
    },
    generation: () => control.index("movies")?.generation,
  };
}

/** The topology, with nodes' keys of that version. */
function withKeys(source: TopologySource, version: () => number): TopologySource {
  const keyed = (address: NodeAddress) => ({ ...address, key: `${address.key} ${version()}` });
  const rekeyed = (node: NodeView): NodeView => ({
    ...node,
    writeAddress: keyed(node.writeAddress),
    adminAddress: keyed(node.adminAddress),
  });
  return {
    ...source,
    current: () => {
      const view = source.current();
      if (view === undefined) return undefined;
      return { ...view, nodes: new Map([...view.nodes].map(([id, node]) => [id, rekeyed(node)])) };
    },
  };
}

describe("a node that asks for other keys", () => {
  it("takes part in a take-over that has begun before the topology had them", async () => {
    const { start, changeKeys, generation } = fleet();
    expect(await start("a")(1)).toBe(202);
    changeKeys();
    expect(await start("b")(2)).toBe(202);
    expect(generation()).toBe(2n);
  });

  it("is asked with them about a write to which it gave no answer", async () => {
    const { start, loseNextWrite, generation } = fleet();
    const write = start("a");
    expect(await write(1)).toBe(202);
    loseNextWrite();
    expect(await write(2)).toBe(202);
    expect(generation()).toBe(2n);
  });
});
