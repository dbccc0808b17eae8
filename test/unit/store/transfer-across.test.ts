import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TaskStore, TransferRecord } from "../../../src/store/task-store.js";
import { nodeTaskColumns, transferColumns } from "../../../src/store/transfer-schema.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { fillFleet, fillStore, smallLoad } from "./fill-store.js";
import { lead, ManualClock } from "./harness.js";
import { openBackend } from "./open-backend.js";

let directory: string;
const clock = new ManualClock();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "miroir-transfer-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const sqlite = (name: string): Promise<TaskStore> =>
  openBackend({ url: `sqlite://${join(directory, name)}` }, clock);

async function collect(store: TaskStore): Promise<TransferRecord[]> {
  const records: TransferRecord[] = [];
  for await (const record of store.transfer.export()) records.push(record);
  return records;
}

describe("columns that travel", () => {
  it("are all that there are", async () => {
    await (await sqlite("schema.db")).close();
    const db = new Database(join(directory, "schema.db"), { readonly: true });
    const columnsOf = (table: string): string[] =>
      db
        .prepare<[string], { name: string }>("SELECT name FROM pragma_table_info(?)")
        .all(table)
        .map(({ name }) => name)
        // The key of tables with one row, and of node tasks inside their task.
        .filter(
          (name) => !(["topology", "task_uids"].includes(table) && name === "id") && name !== "task_uid",
        )
        .sort();
    for (const [table, columns] of Object.entries(transferColumns)) {
      const expected = Object.keys(columns)
        .filter((name) => name !== "task_uid")
        .sort();
      expect(columnsOf(table === "lease" ? "leader_lease" : table), table).toEqual(expected);
    }
    expect(columnsOf("node_tasks")).toEqual(Object.keys(nodeTaskColumns).sort());
    db.close();
  });
});

describeWithRedis("a store that moves", () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await startRedis();
  });
  afterEach(() => server.stop());

  it("is the same on the other backend and back", async () => {
    const first = await sqlite("first.db");
    const fence = await lead(first);
    await fillStore(first, fence, smallLoad);
    await fillFleet(first, fence);
    const exported = await collect(first);

    const redis = await openBackend({ url: server.freshUrl() }, clock);
    await redis.transfer.import(first.transfer.export());
    expect(await collect(redis)).toEqual(exported);

    const last = await sqlite("last.db");
    await last.transfer.import(redis.transfer.export());
    expect(await collect(last)).toEqual(exported);
    for (const store of [first, redis, last]) await store.close();
  });

  it("cannot be opened while an import is half done", async () => {
    const url = server.freshUrl();
    const redis = await openBackend({ url }, clock);
    async function* broken(): AsyncIterable<TransferRecord> {
      yield { table: "task_uids", row: { next_uid: 7 } };
      throw new Error("the file ends here");
    }
    await expect(redis.transfer.import(broken())).rejects.toThrow("the file ends here");
    await redis.close();
    await expect(openBackend({ url }, clock)).rejects.toMatchObject({ code: "half_imported" });
  });
});
