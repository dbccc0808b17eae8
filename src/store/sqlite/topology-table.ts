import { ConflictError, InvalidArgumentError } from "../errors.js";
import { checkInteger } from "../limits.js";
import type { FencingToken, TopologyEpoch, TopologyRow, TopologyTable } from "../task-store.js";
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
      clusterId: record.cluster_id,
      term: record.term,
      counter: record.counter,
      contentHash: record.content_hash,
      document: new Uint8Array(record.document),
    };
  }

  async save(expected: TopologyEpoch | undefined, next: TopologyRow, fence: FencingToken): Promise<void> {
    checkInteger(next.counter, 0, Number.MAX_SAFE_INTEGER, "A topology's counter");
    if (next.term !== fence.term) {
      throw new InvalidArgumentError(
        `A topology of term ${next.term} cannot be saved under term ${fence.term}: a leader publishes under its own term.`,
      );
    }
    this.#durable.fencedWrite("save the topology", fence, () => {
      const stored = this.#selectEpoch.get();
      if (!isAt(stored, expected)) {
        throw new ConflictError(
          `The stored topology is at ${describe(stored)}, not at ${expected === undefined ? "no epoch" : `${expected.clusterId} ${expected.term}.${expected.counter}`}. Load it and decide again.`,
        );
      }
      if (stored !== undefined && !grows(stored, next)) {
        throw new ConflictError(
          `A topology at ${next.clusterId} ${next.term}.${next.counter} does not follow ${describe(stored)}: epochs of one cluster only grow.`,
        );
      }
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

function isAt(stored: EpochRecord | undefined, expected: TopologyEpoch | undefined): boolean {
  if (stored === undefined || expected === undefined) return stored === expected;
  return (
    stored.cluster_id === expected.clusterId &&
    stored.term === expected.term &&
    stored.counter === expected.counter
  );
}

function grows(stored: EpochRecord, next: TopologyEpoch): boolean {
  if (stored.cluster_id !== next.clusterId) return false;
  return next.term > stored.term || (next.term === stored.term && next.counter > stored.counter);
}

function describe(stored: EpochRecord | undefined): string {
  return stored === undefined ? "no epoch" : `${stored.cluster_id} ${stored.term}.${stored.counter}`;
}
