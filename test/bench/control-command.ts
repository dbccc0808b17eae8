import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { benchFanOut } from "./fan-out.js";
import type { TopologySize } from "./large-topology.js";
import { format, machine, numbers, printSpread, progress } from "./output.js";
import { benchTopologyChanges } from "./topology-changes.js";

interface ControlFlags {
  readonly subscribers: readonly number[];
  readonly indexes: readonly number[];
  readonly shards: number;
  readonly nodes: number;
  readonly changes: number;
  readonly idleSeconds: number;
  readonly json?: boolean;
}

const SUBSCRIBERS: readonly number[] = [10, 300];
const INDEXES: readonly number[] = [100, 1_000, 10_000];
/** Indexes of the topology that is streamed: what is measured there goes by subscribers. */
const STREAMED_INDEXES = 100;

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
    .option("--shards <count>", "shards of each index", Number, 64)
    .option("--nodes <count>", "nodes of the fleet", Number, 12)
    .option("--changes <count>", "changes of each measurement", Number, 5)
    .option("--idle-seconds <count>", "how long the streams are left alone", Number, 5)
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(flags: ControlFlags): Promise<void> {
  const { shards, nodes, changes } = flags;
  const sizes: TopologySize[] = flags.indexes.map((indexes) => ({ indexes, shards, nodes }));
  const topologies = [];
  for (const size of sizes) {
    topologies.push(await benchTopologyChanges(size, changes));
    progress(`${size.indexes} indexes of ${shards} shards measured`);
  }
  const streams = [];
  for (const subscribers of flags.subscribers) {
    const size = { indexes: STREAMED_INDEXES, shards, nodes };
    streams.push(await benchFanOut({ subscribers, size, changes, idleSeconds: flags.idleSeconds }));
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
      ["INDEXES", "SNAPSHOT MB", "DELTA BYTES", "CHANGE", "DELTA", "PROXY: FIRST", "NEXT (CPU MS)"],
      topologies.map((row) => [
        String(row.size.indexes),
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
      ["PROXIES", "CONNECT CPU MS", "LAST RECEIPT MS", "CHANGE CPU MS", "IDLE CPU MS/S", "IDLE KB/S"],
      streams.map((row) => [
        String(row.subscribers),
        format(row.connectCpuMs),
        printSpread(row.lastReceiptMs),
        printSpread(row.changeCpuMs),
        format(row.idleCpuMsPerSecond),
        format(row.idleBytesPerSecond / 1e3),
      ]),
    ),
  );
}
