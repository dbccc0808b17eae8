import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { benchFanOut } from "./fan-out.js";
import type { TopologySize } from "./large-topology.js";
import { format, machine, numbers, printSpread, progress } from "./output.js";
import { benchTopologyChanges } from "./topology-changes.js";

interface ControlFlags {
  readonly subscribers: readonly number[];
  readonly indexes: readonly number[];
  readonly streamedIndexes: number;
  readonly wholeSnapshots?: boolean;
  readonly shards: readonly number[];
  readonly nodes: number;
  readonly changes: number;
  readonly idleSeconds: number;
  readonly json?: boolean;
}

const SUBSCRIBERS: readonly number[] = [10, 300];
const INDEXES: readonly number[] = [100, 1_000, 10_000];
const SHARDS: readonly number[] = [64];

/** `bench control`. */
export function addControlCommand(program: Command): void {
  program
    .command("control")
    .description("the control plane: a change of one index among many, and its way to many proxies")
    .option(
      "--subscribers <counts...>",
      "proxies that subscribe over gRPC",
      numbers(SUBSCRIBERS),
      SUBSCRIBERS,
    )
    .option("--indexes <counts...>", "indexes of the topology", numbers(INDEXES), INDEXES)
    .option(
      "--whole-snapshots",
      "subscribers take snapshots in one message, as proxies did that know no parts",
    )
    .option("--streamed-indexes <count>", "indexes of the topology that is streamed to them", Number, 100)
    .option(
      "--shards <counts...>",
      "shards of each index; the first for the streams",
      numbers(SHARDS),
      SHARDS,
    )
    .option("--nodes <count>", "nodes of the fleet", Number, 12)
    .option("--changes <count>", "changes of each measurement", Number, 5)
    .option("--idle-seconds <count>", "how long the streams are left alone", Number, 5)
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(flags: ControlFlags): Promise<void> {
  const { nodes, changes, idleSeconds, wholeSnapshots = false } = flags;
  const sizes: TopologySize[] = flags.shards.flatMap((shards) =>
    flags.indexes.map((indexes) => ({ indexes, shards, nodes })),
  );
  const topologies = [];
  for (const size of sizes) {
    topologies.push(await benchTopologyChanges(size, changes));
    progress(`${size.indexes} indexes of ${size.shards} shards measured`);
  }
  const streams = [];
  for (const subscribers of flags.subscribers) {
    const size = { indexes: flags.streamedIndexes, shards: flags.shards[0] ?? 64, nodes };
    streams.push(await benchFanOut({ subscribers, size, wholeSnapshots, changes, idleSeconds }));
    progress(`${subscribers} subscribers measured`);
  }
  if (flags.json === true) {
    const settings = { ...flags, json: undefined };
    console.log(
      JSON.stringify({ kind: "control", machine: machine(), settings, topologies, streams }, null, 2),
    );
    return;
  }
  console.log(
    table(
      ["INDEXES", "SHARDS", "SNAPSHOT MB", "DELTA BYTES", "CHANGE", "DELTA", "PROXY: FIRST", "NEXT (CPU MS)"],
      topologies.map((row) => [
        String(row.size.indexes),
        String(row.size.shards),
        format(row.snapshotBytes / 1e6),
        String(row.deltaBytes),
        printSpread(row.change),
        printSpread(row.diff),
        format(row.firstView),
        printSpread(row.nextView),
      ]),
    ),
  );
  console.log(
    table(
      [
        ...[
          "PROXIES",
          "INDEXES",
          "CONNECT MS",
          "CPU MS",
          "BROKEN",
          "MEMORY MB",
          "MOST MB",
          "LAST RECEIPT MS",
        ],
        ...["CHANGE CPU MS", "IDLE CPU MS/S", "IDLE KB/S"],
      ],
      streams.map((row) => [
        String(row.subscribers),
        String(row.size.indexes),
        format(row.connectMs),
        format(row.connectCpuMs),
        String(row.broken),
        format(row.memoryBefore / 1e6),
        format(row.memoryMost / 1e6),
        printSpread(row.lastReceiptMs),
        printSpread(row.changeCpuMs),
        format(row.idleCpuMsPerSecond),
        format(row.idleBytesPerSecond / 1e3),
      ]),
    ),
  );
}
