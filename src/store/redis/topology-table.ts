import type { FencingToken, TopologyEpoch, TopologyRow, TopologyTable } from "../task-store.js";
import { checkSuccession, checkTopology } from "../topology-succession.js";
import { type RedisBackend, transact } from "./commit.js";
import type { FlatRow } from "./row-fields.js";
import { RowFields } from "./row-fields.js";

/** The topology on Redis: one row, whose document is the bytes that were given. */
export class RedisTopologyTable implements TopologyTable {
  readonly #backend: RedisBackend;
  readonly #key: string;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#key = backend.keys.row("topology", 1);
  }

  async load(): Promise<TopologyRow | undefined> {
    const reply = await this.#backend.connection.runForBytes(
      "read-rows",
      [this.#key],
      [],
      "read",
      "load the topology",
    );
    const [row] = reply as [FlatRow];
    if (row.length === 0) return undefined;
    const fields = new RowFields(row, "the topology");
    return {
      clusterId: fields.text("cluster_id"),
      term: fields.integer("term"),
      counter: fields.integer("counter"),
      contentHash: fields.text("content_hash"),
      document: fields.bytes("document"),
    };
  }

  async save(expected: TopologyEpoch | undefined, next: TopologyRow, fence: FencingToken): Promise<void> {
    checkTopology(next, fence);
    await transact(this.#backend, "save the topology", { fence, durable: true }, async (commit) => {
      const stored = await this.#loadEpoch();
      checkSuccession(stored, expected, next);
      if (stored === undefined) {
        commit.expectAbsent(this.#key);
      } else {
        commit
          .expectField(this.#key, "cluster_id", stored.clusterId)
          .expectField(this.#key, "term", String(stored.term))
          .expectField(this.#key, "counter", String(stored.counter));
      }
      commit.hset(this.#key, {
        cluster_id: next.clusterId,
        term: next.term,
        counter: next.counter,
        content_hash: next.contentHash,
        document: Buffer.from(next.document.buffer, next.document.byteOffset, next.document.byteLength),
      });
    });
  }

  async #loadEpoch(): Promise<TopologyEpoch | undefined> {
    const names = ["cluster_id", "term", "counter"] as const;
    const values = await this.#backend.connection.read("load the topology's epoch", (client) =>
      client.hmget(this.#key, ...names),
    );
    if (values.every((value) => value === null)) return undefined;
    const flat = names.flatMap((name, index) => {
      const value = values[index];
      return typeof value === "string" ? [name, value] : [];
    });
    const fields = new RowFields(flat, "the topology");
    return {
      clusterId: fields.text("cluster_id"),
      term: fields.integer("term"),
      counter: fields.integer("counter"),
    };
  }
}
