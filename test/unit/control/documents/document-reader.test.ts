import * as fc from "fast-check";
import pino from "pino";
import { describe, expect, it } from "vitest";
import { DocumentReader } from "../../../../src/control/documents/document-reader.js";
import { ReplicaState, type Topology } from "../../../../src/gen/miroir/v1/topology_pb.js";
import { createNodeClient } from "../../../../src/meilisearch/node-client.js";
import {
  type NodeRequest,
  type NodeTransport,
  NodeUnavailableError,
} from "../../../../src/meilisearch/transport.js";
import { sequenceCode, shardCode } from "../../../../src/placement/injected-fields.js";
import { createSystemWorld } from "../../../../src/runtime/world.js";
import { putIndex, sampleIndex, sampleTopology } from "../../../support/topologies.js";

/** One index on nodes that answer alike: documents in the order of their sequences. */
class ListingNodes implements NodeTransport {
  readonly documents = new Map<string, { readonly sequence: number; readonly version: number }>();
  /** Called before each page of documents is given. */
  between: (node: string) => void = () => undefined;
  name = "";
  #sequence = 0;

  write(id: string): void {
    const version = (this.documents.get(id)?.version ?? 0) + 1;
    this.documents.delete(id);
    this.documents.set(id, { sequence: ++this.#sequence, version });
  }

  async request(node: { readonly id: string }, request: NodeRequest) {
    const answer = (status: number, body: unknown) => ({
      status,
      contentType: "application/json",
      body: Buffer.from(JSON.stringify(body)),
    });
    if (request.path.startsWith("/tasks?")) return answer(200, { results: [], total: 0, limit: 1 });
    this.between(node.id);
    if (!request.path.startsWith(`/indexes/${this.name}/`)) {
      const code = "index_not_found";
      return answer(404, { message: "Index not found.", code, type: "invalid_request", link: "" });
    }
    const query = JSON.parse(String(request.body)) as {
      readonly offset?: number;
      readonly limit: number;
      readonly ids?: readonly string[];
      readonly filter?: readonly string[] | string;
      readonly fields?: readonly string[];
    };
    const filter = String(query.filter ?? "");
    const matching = [...this.documents].filter(
      ([id]) =>
        (query.ids?.includes(id) ?? true) &&
        (filter === "" || filter.includes(`"${shardCode(Number(id) % 2)}"`)),
    );
    const { offset = 0, limit } = query;
    const results = matching.slice(offset, offset + limit).map(([id, { sequence, version }]) => ({
      id: Number(id),
      ...(query.fields === undefined ? { version, _vectors: {} } : {}),
      _miroir_shard: shardCode(Number(id) % 2),
      _miroir_seq: sequenceCode(sequence),
    }));
    return answer(200, { results, offset, limit, total: matching.length });
  }

  async close(): Promise<void> {}
}

function setUp() {
  const nodes = new ListingNodes();
  const topology: Topology = sampleTopology();
  const index = sampleIndex("films");
  index.primaryKey = "id";
  putIndex(topology, index);
  nodes.name = `m${index.instance}_1`;
  const read = async (patienceMs = 5_000): Promise<string[]> => {
    const reader = new DocumentReader({
      topology: { current: () => topology },
      transport: nodes,
      admin: (id) => createNodeClient(nodes, { id, url: "http://127.0.0.1" }),
      world: createSystemWorld(),
      logger: pino({ level: "silent" }),
      windowSize: 4,
      patienceMs,
    });
    const seen: string[] = [];
    const signal = new AbortController().signal;
    for await (const batch of reader.read({ instance: index.instance, signal })) {
      seen.push(...batch.map(String));
    }
    return seen;
  };
  return { nodes, read, index, current: () => topology };
}

describe("the reader of an index's documents", () => {
  it("gives every document once, in the order of insertion, as clients see it", async () => {
    const { nodes, read } = setUp();
    for (let id = 0; id < 21; id++) nodes.write(String(id));
    nodes.write("3");
    const order = [0, 1, 2, ...Array.from({ length: 17 }, (_, at) => at + 4), 3];
    expect(await read()).toEqual(order.map((id) => `{"id":${id},"version":${id === 3 ? 2 : 1}}`));
  });

  it("misses nothing that is there all the time, while other documents are written and deleted", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.tuple(fc.boolean(), fc.nat(39)), { maxLength: 6 }), { maxLength: 20 }),
        async (steps) => {
          const { nodes, read } = setUp();
          for (let id = 0; id < 40; id++) nodes.write(String(id));
          const deleted = new Set<string>();
          const left = [...steps];
          nodes.between = () => {
            for (const [isDelete, id] of left.shift() ?? []) {
              if (isDelete) {
                nodes.documents.delete(String(id));
                deleted.add(String(id));
              } else nodes.write(String(id));
            }
          };
          const seen = new Set((await read()).map((document) => String(JSON.parse(document).id)));
          for (let id = 0; id < 40; id++) {
            if (!deleted.has(String(id))) expect(seen).toContain(String(id));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("goes on with another replica where one does not answer, behind what was read", async () => {
    const { nodes, read } = setUp();
    for (let id = 0; id < 30; id++) nodes.write(String(id));
    let pages = 0;
    let first: string | undefined;
    nodes.between = (node) => {
      first ??= node;
      if (node === first && ++pages > 3) throw new NodeUnavailableError(node, "not-sent", "down");
    };
    const ids = (await read()).map((document) => Number(JSON.parse(document).id));
    expect(ids).toEqual(Array.from({ length: 30 }, (_, id) => id));
  });

  it("follows the index to its next generation", async () => {
    const { nodes, read, index, current } = setUp();
    for (let id = 0; id < 12; id++) nodes.write(String(id));
    let pages = 0;
    nodes.between = () => {
      if (++pages !== 3) return;
      nodes.name = `m${index.instance}_2`;
      setTimeout(() => {
        const [held] = current().indexes;
        if (held !== undefined) held.generation = 2n;
      }, 50);
    };
    expect(await read()).toHaveLength(12);
  });

  it("gives up where a shard has no replica for too long", async () => {
    const { nodes, read, index } = setUp();
    nodes.write("1");
    for (const replica of index.replicas) replica.state = ReplicaState.STALE;
    await expect(read(10)).rejects.toThrow("no replica");
  });
});
