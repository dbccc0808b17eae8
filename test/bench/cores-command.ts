import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { benchCores } from "./cores.js";
import { machine, numbers, printReport, printSpread, progress } from "./output.js";

interface CoresFlags {
  readonly proxies: readonly number[];
  readonly clients: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

const PROXIES: readonly number[] = [1, 2];

/** `bench cores`. */
export function addCoresCommand(program: Command): void {
  program
    .command("cores")
    .description("searches through several proxies beside each other, over fixed-answer nodes")
    .option("--proxies <counts...>", "proxies that share the clients", numbers(PROXIES), PROXIES)
    .option("--clients <count>", "clients of the closed loop", Number, 16)
    .option("--seconds <count>", "length of each measurement", Number, 2)
    .option("--repeats <count>", "measurements of each", Number, 5)
    .option("--json", "print one JSON document")
    .action(async (flags: CoresFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure({ seconds, ...flags }: CoresFlags) {
  return {
    kind: "cores",
    machine: machine(),
    settings: { ...flags, seconds, json: undefined },
    results: await benchCores({ ...flags, durationMs: seconds * 1_000, progress }),
  };
}

function printed({ results }: Awaited<ReturnType<typeof measure>>): string {
  return table(
    ["PROXIES", "SEARCHES/S", "BESIDE ONE", "PROXIES' CPU MS", "NODES' CPU MS", "P50 MS"],
    results.map((row) => [
      String(row.proxies),
      ...[row.perSecond, row.beside, row.proxyCpuMs, row.nodesCpuMs, row.p50Ms].map(printSpread),
    ]),
  );
}
