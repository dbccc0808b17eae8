import type { FencingToken, TopologyEpoch, TopologyRow, TopologyTable } from "../task-store.js";
import { checkSuccession, checkTopology } from "../topology-succession.js";
import type { Connection } from "./connection.js";

interface TopologyRecord {
  cluster_id: string;
  term: number;
  counter: number;
  content_hash: string;
  document: Buffer;
}

type EpochRecord = Pick<TopologyRecord, "cluster_id" | "term" | "counter">;

/** The topology on SQLite. `durable` commits through to the disk. */
export class SqliteTopologyTable implements TopologyTable {
  readonly #durable: Connection;
  readonly #select;
  readonly #selectEpoch;
  readonly #upsert;

  constructor(durable: Connection) {
    this.#durable = durable;
    this.#select = durable.prepare<[], TopologyRecord>(
      "SELECT cluster_id, term, counter, content_hash, document FROM topology WHERE id = 1",
    );
    this.#selectEpoch = durable.prepare<[], EpochRecord>(
      "SELECT cluster_id, term, counter FROM topology WHERE id = 1",
    );
    this.#upsert = durable.prepare<[TopologyRecord]>(
      `INSERT INTO topology (id, cluster_id, term, counter, content_hash, document)
       VALUES (1, :cluster_id, :term, :counter, :content_hash, :document)
       ON CONFLICT (id) DO UPDATE SET cluster_id = excluded.cluster_id, term = excluded.term,
         counter = excluded.counter, content_hash = excluded.content_hash, document = excluded.document`,
    );
  }

  async load(): Promise<TopologyRow | undefined> {
    const record = this.#durable.read("load the topology", () => this.#select.get());
    if (record === undefined) return undefined;
    return {
      ...decodeEpoch(record),
      contentHash: record.content_hash,
      document: new Uint8Array(record.document),
    };
  }

  async save(expected: TopologyEpoch | undefined, next: TopologyRow, fence: FencingToken): Promise<void> {
    checkTopology(next, fence);
    this.#durable.fencedWrite("save the topology", fence, () => {
      const stored = this.#selectEpoch.get();
      checkSuccession(stored === undefined ? undefined : decodeEpoch(stored), expected, next);
      this.#upsert.run({
        cluster_id: next.clusterId,
        term: next.term,
        counter: next.counter,
        content_hash: next.contentHash,
        document: Buffer.from(next.document.buffer, next.document.byteOffset, next.document.byteLength),
      });
    });
  }
}

function decodeEpoch(record: EpochRecord): TopologyEpoch {
  return { clusterId: record.cluster_id, term: record.term, counter: record.counter };
}
