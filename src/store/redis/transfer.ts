import { ConflictError } from "../errors.js";
import { leaseScope } from "../ids.js";
import { type StoreRowCounts, type StoreTransfer, type TransferRecord, transferTables } from "../transfer.js";
import { TransferChecker } from "../transfer-schema.js";
import { Commit, leaseKey, type RedisBackend } from "./commit.js";
import { RedisLeaseTable } from "./lease-table.js";
import { markImported, markImporting } from "./schema.js";
import { RedisTransferSources } from "./transfer-sources.js";
import { RedisTransferWriters } from "./transfer-writers.js";

/** Records, and about so many characters of them, that one commit writes at most. */
const batchRecords = 200;
const batchCharacters = 1_000_000;

/** An import's own lease: commits of tasks need one. It is gone when the import has finished. */
const scope = leaseScope("import");

/** Moves a store on Redis, which nothing else may use meanwhile. */
export class RedisTransfer implements StoreTransfer {
  readonly #backend: RedisBackend;
  readonly #sources: RedisTransferSources;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#sources = new RedisTransferSources(backend);
  }

  count(): Promise<StoreRowCounts> {
    return this.#sources.count();
  }

  async *export(): AsyncIterable<TransferRecord> {
    for (const table of transferTables) {
      for await (const row of this.#sources.rows(table)) yield { table, row };
    }
  }

  async import(
    records: AsyncIterable<TransferRecord>,
    onProgress?: (rows: number) => void,
  ): Promise<StoreRowCounts> {
    await this.#refuseUnlessEmpty();
    await markImporting(this.#backend);
    const { keys, connection } = this.#backend;
    const lease = await new RedisLeaseTable(this.#backend).acquire({
      scope,
      holder: "import",
      ttlMs: 24 * 3_600_000,
    });
    if (lease === undefined) throw new ConflictError(`Another import into ${connection.place} runs.`);
    const fence = { token: lease, leaseKey: leaseKey(keys, scope) };
    const checker = new TransferChecker();
    const writers = new RedisTransferWriters(keys, await this.#sources.now());
    let batch: TransferRecord[] = [];
    let characters = 0;
    let rows = 0;
    const flush = async (): Promise<void> => {
      const commit = new Commit(fence, "tasks-commit");
      writers.write(commit, batch);
      await commit.send(connection, "import into the store", "write");
      rows += batch.length;
      batch = [];
      characters = 0;
      onProgress?.(rows);
    };
    for await (const record of records) {
      checker.check(record);
      batch.push(record);
      characters += sizeOf(record);
      if (batch.length >= batchRecords || characters >= batchCharacters) await flush();
    }
    await flush();
    await new Commit(fence)
      .del(fence.leaseKey)
      .zrem(keys.index("leader_lease", "index"), scope)
      .send(connection, "finish an import", "durable");
    const counts = await this.#sources.count();
    await markImported(this.#backend);
    return counts;
  }

  async #refuseUnlessEmpty(): Promise<void> {
    const counts = await this.#sources.count();
    const table = transferTables.find((candidate) => counts[candidate] > 0);
    if (table === undefined) return;
    throw new ConflictError(
      `The store ${this.#backend.connection.place} is not empty: it has rows of ${table}. ` +
        "Import into a new one (another key_prefix will do); nothing was changed.",
    );
  }
}

/** About how many characters a record has, without printing it. */
function sizeOf(record: TransferRecord): number {
  let size = 100;
  for (const value of Object.values(record.row)) {
    if (typeof value === "string") size += value.length;
    else if (Array.isArray(value)) size += 200 * value.length;
  }
  return size;
}
