import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  ExportFaultError,
  type ExportPart,
  readExport,
  recordsOf,
  totalRows,
  writeExport,
} from "../../../src/store/export-file.js";
import { type TransferRecord, transferTables } from "../../../src/store/task-store.js";

const folder = mkdtempSync(join(tmpdir(), "miroir-dump-"));
const file = join(folder, "dump.jsonl");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const header = {
  createdAt: "2026-01-01T00:00:00.000Z",
  backend: "sqlite",
  schemaVersion: 3,
  rows: { tasks: 2 },
} as const;

async function dump(records: readonly TransferRecord[]): Promise<string> {
  let text = "";
  for await (const chunk of writeExport(header, each(records))) text += chunk;
  return text;
}

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

async function read(text: string | Buffer): Promise<ExportPart[]> {
  writeFileSync(file, text);
  const parts: ExportPart[] = [];
  for await (const part of readExport(file)) parts.push(part);
  return parts;
}

const record = fc.record({
  table: fc.constantFrom(...transferTables),
  row: fc.dictionary(
    fc.constantFrom("uid", "name", "document", "x"),
    fc.oneof(fc.string({ unit: "binary" }), fc.maxSafeInteger(), fc.constant(null)),
    { noNullPrototype: true },
  ),
});

describe("an export", () => {
  it("gives back what was written, in its order, between header and counts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 30 }), async (records) => {
        const parts = await read(await dump(records));
        expect(parts[0]).toMatchObject({ kind: "header", header: { ...header, version: 1 } });
        expect(parts.slice(1, -1)).toEqual(records.map((one) => ({ kind: "record", record: one })));
        const last = parts.at(-1);
        expect(last?.kind === "footer" && totalRows(last.footer.rows)).toBe(records.length);
        const again: TransferRecord[] = [];
        for await (const one of recordsOf(file)) again.push(one);
        expect(again).toEqual(records);
      }),
      { numRuns: 50 },
    );
  });

  it("is known to be cut wherever it was cut", async () => {
    const whole = Buffer.from(await dump([{ table: "tasks", row: { uid: 1, name: "ä" } }]));
    // Every length near the ends of lines, and some between.
    const ends = [...whole.entries()].filter(([, byte]) => byte === 10).map(([at]) => at);
    const isNear = (length: number): boolean => ends.some((end) => Math.abs(end - length) < 4);
    for (let length = 0; length < whole.length; length++) {
      if (!isNear(length) && length % 29 !== 0) continue;
      await expect(read(whole.subarray(0, length)), `${length} bytes`).rejects.toBeInstanceOf(
        ExportFaultError,
      );
    }
    await expect(read(whole)).resolves.toHaveLength(3);
  });

  it("is known to be damaged when any byte of its rows is another", async () => {
    const records: TransferRecord[] = [
      { table: "tasks", row: { uid: 1, name: "a" } },
      { table: "jobs", row: { id: "b" } },
    ];
    const whole = Buffer.from(await dump(records));
    const from = whole.indexOf(10) + 1;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: whole.length - from - 2 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, by) => {
          const damaged = Buffer.from(whole);
          damaged.writeUInt8((damaged.readUInt8(from + at) + by) % 256, from + at);
          await expect(read(damaged)).rejects.toBeInstanceOf(ExportFaultError);
        },
      ),
    );
  });

  it.each([
    ["", "it is empty"],
    ['{"format":"other"}\n', "not an export of a store"],
    ["PK\u0003\u0004\n", "line 1 is not JSON"],
    [`${JSON.stringify({ format: "miroir-store", version: 2, ...header })}\n`, "version 2 of the format"],
    [`${JSON.stringify({ format: "miroir-store", version: 1 })}\n`, "line 1: createdAt"],
  ])("of another kind is refused: %j", async (text, why) => {
    await expect(read(text)).rejects.toThrow(why);
  });

  it("with lines after its last one, rows of unknown tables or missing rows is refused", async () => {
    const text = await dump([{ table: "tasks", row: { uid: 1 } }]);
    await expect(read(`${text}{}\n`)).rejects.toThrow("line 4 comes after the last line");
    await expect(read(text.replace('"table":"tasks"', '"table":"tusks"'))).rejects.toThrow("line 2: table");
    const [first, , last] = text.split("\n");
    await expect(read(`${first}\n${last}\n`)).rejects.toThrow("0 rows of tasks, its last line says 1");
  });

  it("reads lines longer than one read of the file", async () => {
    const long = { table: "tasks", row: { uid: 1, details_json: "x".repeat(3_000_000) } } as const;
    expect(await read(await dump([long, long]))).toHaveLength(4);
  });
});
