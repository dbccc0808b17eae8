import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { referenceLoad } from "../unit/store/fill-store.js";
import { format, numbers, progress } from "./output.js";
import { benchStore } from "./store.js";
import { measureMemory } from "./store-memory.js";

interface StoreFlags {
  readonly tasks: number;
  readonly fewTasks: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly clients: readonly number[];
  readonly json?: boolean;
}

const CLIENTS: readonly number[] = [1, 16];

/** `bench store` and `bench store-memory`. */
export function addStoreCommands(program: Command): void {
  program
    .command("store")
    .description("the task store: operations a second, and lists of a long history beside a short one")
    .option("--tasks <count>", "tasks of the long history", Number, 1_000_000)
    .option("--few-tasks <count>", "tasks of the short one", Number, 10_000)
    .option("--seconds <count>", "length of each measurement at most", Number, 2)
    .option("--repeats <count>", "measurements of each kind", Number, 3)
    .addOption(
      new Option("--clients <counts...>", "calls under way at once")
        .argParser(numbers(CLIENTS))
        .default(CLIENTS),
    )
    .option("--json", "print one JSON document")
    .action(runStore);
  program
    .command("store-memory")
    .description("what the reference load costs a Redis server, by kind of row")
    .option("--json", "print one JSON document")
    .action(runStoreMemory);
}

async function runStore(options: StoreFlags): Promise<void> {
  const result = await benchStore({
    tasks: options.tasks,
    fewTasks: options.fewTasks,
    durationMs: options.seconds * 1_000,
    repeats: options.repeats,
    clients: options.clients,
    progress,
  });
  if (options.json === true) {
    const { json: _json, ...settings } = options;
    console.log(JSON.stringify({ kind: "store", settings, ...result }, null, 2));
    return;
  }
  console.log(`store: ${options.tasks} tasks with 3 node tasks each, median of ${options.repeats}`);
  console.log(
    table(
      ["BACKEND", "OPERATION", "AT ONCE", "PER SECOND", "P50 MS", "P99 MS"],
      result.operations.map((row) => [
        row.backend,
        row.operation,
        String(row.clients),
        format(row.perSecond),
        format(row.p50Ms),
        format(row.p99Ms),
      ]),
    ),
  );
  console.log(
    table(
      [
        "BACKEND",
        "LIST",
        "LIMIT",
        "MATCHING",
        "ROWS",
        `MS OF ${options.fewTasks}`,
        `MS OF ${options.tasks}`,
        "RATIO",
      ],
      result.lists.map((row) => [
        row.backend,
        row.filter,
        String(row.limit),
        String(row.matching),
        row.fewRows === row.manyRows ? String(row.manyRows) : `${row.fewRows}, ${row.manyRows}`,
        format(row.fewMs),
        format(row.manyMs),
        format(row.ratio),
      ]),
    ),
  );
}

async function runStoreMemory(options: Pick<StoreFlags, "json">): Promise<void> {
  const report = await measureMemory(referenceLoad);
  if (options.json === true) {
    console.log(JSON.stringify({ kind: "store-memory", ...report }, null, 2));
    return;
  }
  console.log(
    `store-memory: server ${report.version}, ${format(report.totalBytes / 1024 / 1024)} MiB in all`,
  );
  console.log(
    table(
      ["KIND", "ROWS", "KIB", "BYTES A ROW"],
      report.rows.map((row) => [
        row.kind,
        String(row.rows),
        format(row.bytes / 1024),
        row.bytesPerRow.toFixed(0),
      ]),
    ),
  );
}
