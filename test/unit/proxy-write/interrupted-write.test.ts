import { Readable } from "node:stream";
import { expect, it } from "vitest";
import { ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import { formatTaskMetadata } from "../../../src/meilisearch/task-metadata.js";
import { type NodeTransport, NodeUnavailableError } from "../../../src/meilisearch/transport.js";
import { sequenceCode, shardCode } from "../../../src/placement/injected-fields.js";
import { physicalName } from "../../../src/placement/physical-name.js";
import { SimulatedControl } from "../../simulation/simulated-control.js";
import { SimulatedNetwork } from "../../simulation/simulated-network.js";
import { SimulatedNode } from "../../simulation/simulated-node.js";
import { createVirtualWorld } from "../../simulation/virtual-world.js";
import { hasher, runToEnd, sessionOf, simulatedWriter } from "./simulated-writer.js";

const SHARDS = 2;

/** The first so many ids of a shard. */
function idsOf(shard: number, count: number): readonly number[] {
  const ids = Array.from({ length: 100 }, (_, id) => id);
  return ids.filter((id) => hasher.shardOf(String(id), SHARDS) === shard).slice(0, count);
}

/** Shard 0 is on node-0 and node-1, shard 1 on node-1 and node-2. */
function fleet() {
  const world = createVirtualWorld(1);
  const ids = ["node-0", "node-1", "node-2"];
  const nodes = new Map(ids.map((id) => [id, new SimulatedNode(id, world, 5)]));
  const control = new SimulatedControl(world, nodes, { shards: SHARDS, copies: 2, minInSync: 0 });
  const network = new SimulatedNetwork(world, nodes).transport();
  const away = new Set<string>();
  const transport: NodeTransport = {
    request: (address, request) =>
      away.has(address.id)
        ? Promise.reject(new NodeUnavailableError(address.id, "not-sent", "it cannot be reached"))
        : network.request(address, request),
    close: async () => undefined,
  };
  const finish = <T>(work: Promise<T>): Promise<T> => runToEnd(world, work);
  const index = () => {
    const found = control.index("movies");
    if (found === undefined) throw new Error("there is no index yet");
    return found;
  };
  return {
    away,
    index,
    /** A proxy, now the only one; gives what it answers to a write. */
    start(proxyId: string) {
      const proxies = [{ proxyId, session: sessionOf(proxyId), peerAddress: "", peerKey: "" }];
      const writers = () => ({ proxies, complete: true });
      const service = simulatedWriter({ world, control, transport, proxyId, writers });
      return async (id: number | undefined): Promise<number> => {
        const body = Readable.from([Buffer.from(JSON.stringify([{ id }]))]);
        const write = { kind: "replace", indexUid: "movies", contentType: "application/json", body } as const;
        return (await finish(service.submit(write, new AbortController().signal))).status;
      };
    },
    /** A write of a proxy that ended before it had sent it to another node. */
    async interrupted(nodeId: string, session: string, id: number | undefined, shard: number): Promise<void> {
      const name = physicalName(index().instance, index().generation);
      const metadata = formatTaskMetadata({ session, sequence: 99, previous: 0, taskUid: 77 });
      const document = { id, _miroir_shard: shardCode(shard), _miroir_seq: sequenceCode(9_000_000n) };
      const path = `/indexes/${name}/documents?primaryKey=id&customMetadata=${metadata}`;
      const request = { method: "POST", path, body: JSON.stringify(document) } as const;
      await finish(network.request({ id: nodeId, url: `http://${nodeId}`, key: "" }, request));
    },
    held: (nodeId: string) =>
      [...(nodes.get(nodeId)?.indexes.values() ?? [])].flatMap(({ documents }) => [...documents.keys()]),
    states: () => new Map(index().replicas.map(({ nodeId, state }) => [nodeId, state])),
  };
}

it("an interrupted write stays where the replica that has it could go, but one that lacks it could not: readers may have seen it", async () => {
  const { away, held, interrupted, start, states } = fleet();
  const [first, seen, next] = idsOf(0, 3);
  const write = start("a");
  expect(await write(first)).toBe(202);
  away.add("node-2");
  expect(await write(idsOf(1, 1)[0])).toBe(202);
  // Now node-1 has the last copy of shard 1, and node-0 none of a shard that nobody else has.
  expect(states().get("node-2")).toBe(ReplicaState.STALE);
  await interrupted("node-0", sessionOf("a"), seen, 0);

  expect(await start("b")(next)).toBe(202);

  expect(states().get("node-0")).toBe(ReplicaState.IN_SYNC);
  expect(states().get("node-1")).toBe(ReplicaState.IN_SYNC);
  for (const nodeId of ["node-0", "node-1"]) {
    expect(held(nodeId)).toEqual(expect.arrayContaining([first, seen, next].map(String)));
  }
});
