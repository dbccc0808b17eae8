import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ConflictError,
  InvalidArgumentError,
  type StoreRowCounts,
  type TaskStore,
  type TransferRecord,
  transferTables,
} from "../../../../src/store/task-store.js";
import { fillFleet, fillStore, smallLoad } from "../fill-store.js";
import { lead, type StoreFactory, type StoreHarness, scope, task } from "../harness.js";

/** A store comes out of `export` as it went in through `import`. */
export function describeTransfer(factory: StoreFactory): void {
  describe("transfer", () => {
    let source: StoreHarness;
    let target: StoreHarness;

    beforeEach(async () => {
      source = await factory();
      target = await factory();
    });
    afterEach(async () => {
      await source.dispose();
      await target.dispose();
    });

    const filled = async (): Promise<TaskStore> => {
      const store = await source.open();
      const fence = await lead(store);
      await fillStore(store, fence, smallLoad);
      await fillFleet(store, fence);
      return store;
    };

    it("exports every table, and an import of it exports the same", async () => {
      const from = await filled();
      const exported = await collect(from);
      const counts = await from.transfer.count();
      expect(countOf(exported)).toEqual(counts);
      expect(Object.entries(counts).filter(([, rows]) => rows === 0)).toEqual([]);

      const to = await target.open();
      const steps: number[] = [];
      const imported = await to.transfer.import(replay(exported), (rows) => steps.push(rows));
      expect(imported).toEqual(counts);
      expect(steps.at(-1)).toBe(exported.length);
      expect(await collect(to)).toEqual(exported);
    });

    it("brings a store that goes on where the other stood", async () => {
      const from = await filled();
      const to = await target.open();
      await to.transfer.import(from.transfer.export());

      expect(await to.topology.load()).toEqual(await from.topology.load());
      const page = { limit: 1_000 };
      expect(await to.tasks.list({}, page)).toEqual(await from.tasks.list({}, page));
      for (const filter of [
        { statuses: ["succeeded" as const] },
        { indexUids: ["index-3"] },
        { afterFinishedAt: 1_700_000_000_710 },
      ]) {
        expect(await to.tasks.list(filter, page)).toEqual(await from.tasks.list(filter, page));
      }
      expect(await to.jobs.list()).toEqual(await from.jobs.list());
      expect(await to.jobs.countByState()).toEqual(await from.jobs.countByState());
      expect(await to.aliases.list()).toEqual(await from.aliases.list());
      expect(await to.adminSessions.list()).toEqual(await from.adminSessions.list());
      expect(await to.sessions.count()).toBe(await from.sessions.count());
      // A number that was given is never given again.
      const former = await to.lease.current(scope);
      source.clock.advance(60_000);
      target.clock.advance(60_000);
      const fence = await lead(to, "control-2");
      expect(fence.term).toBeGreaterThan(former?.term ?? Number.POSITIVE_INFINITY);
      const [uid] = [await to.tasks.allocateUids(1, fence)];
      expect(uid).toBeGreaterThanOrEqual(smallLoad.tasks);
      expect(await to.tasks.get(uid)).toBeUndefined();
    });

    it("moves an empty store", async () => {
      const from = await source.open();
      const exported = await collect(from);
      expect(exported).toEqual([]);
      const to = await target.open();
      await to.transfer.import(replay(exported));
      expect(await collect(to)).toEqual([]);
    });

    it("leaves behind what has ended", async () => {
      const from = await filled();
      source.clock.advance(30 * 24 * 3_600_000);
      const tables = new Set((await collect(from)).map((record) => record.table));
      expect(tables.has("sessions")).toBe(false);
      expect(tables.has("idempotency_cache")).toBe(false);
      expect(tables.has("admin_sessions")).toBe(false);
      const counts = await from.transfer.count();
      expect(counts.sessions + counts.idempotency_cache + counts.admin_sessions).toBe(0);
    });

    it("refuses a store that holds anything, and leaves it as it was", async () => {
      const from = await filled();
      const to = await target.open();
      const fence = await lead(to);
      await to.tasks.upsert([task(7)], fence);
      const before = await collect(to);
      await expect(to.transfer.import(from.transfer.export())).rejects.toBeInstanceOf(ConflictError);
      expect(await collect(to)).toEqual(before);
    });

    it.each<[string, TransferRecord]>([
      ["an unknown table", { table: "nothing" as "tasks", row: {} }],
      ["a missing column", { table: "workflows", row: { id: "w" } }],
      [
        "an unknown column",
        { table: "cdc_cursors", row: { sink: "s", index_uid: "i", last_event_seq: 1, updated_at: 1, x: 1 } },
      ],
      [
        "a value of another type",
        { table: "cdc_cursors", row: { sink: "s", index_uid: "i", last_event_seq: "1", updated_at: 1 } },
      ],
    ])("refuses %s", async (_, record) => {
      const to = await target.open();
      await expect(to.transfer.import(replay([record]))).rejects.toBeInstanceOf(InvalidArgumentError);
    });
  });
}

async function collect(store: TaskStore): Promise<TransferRecord[]> {
  const records: TransferRecord[] = [];
  for await (const record of store.transfer.export()) records.push(record);
  return records;
}

async function* replay(records: readonly TransferRecord[]): AsyncIterable<TransferRecord> {
  yield* records;
}

function countOf(records: readonly TransferRecord[]): StoreRowCounts {
  const counts = Object.fromEntries(transferTables.map((table) => [table, 0])) as Record<string, number>;
  for (const { table } of records) counts[table] = (counts[table] ?? 0) + 1;
  return counts as StoreRowCounts;
}
