import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { format, machine, printReport, printSpread, progress } from "./output.js";
import type { Spread } from "./quantiles.js";
import { benchStartup } from "./startup.js";

interface StartupFlags {
  readonly repeats: number;
  readonly idleSeconds: number;
  readonly json?: boolean;
}

/** `bench startup`. */
export function addStartupCommand(program: Command): void {
  program
    .command("startup")
    .description("how long proxy and control plane take to start, as built, and what they hold when idle")
    .option("--repeats <count>", "starts of each", Number, 5)
    .option("--idle-seconds <count>", "how long each is left alone", Number, 5)
    .option("--json", "print one JSON document")
    .action(async (flags: StartupFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure({ idleSeconds, repeats }: StartupFlags) {
  return {
    kind: "startup",
    machine: machine(),
    settings: { repeats, idleSeconds },
    results: await benchStartup({ repeats, idleMs: idleSeconds * 1_000, progress }),
  };
}

function printed({ results }: Awaited<ReturnType<typeof measure>>): string {
  return table(
    ["PROCESS", "READY MS", "CPU MS", "IDLE MB", "IDLE CPU MS/S"],
    results.map((row) => [
      row.process,
      printSpread(row.readyMs),
      printSpread(row.cpuMs),
      megabytes(row.idleBytes),
      printSpread(row.idleCpuMs),
    ]),
  );
}

function megabytes({ high, low, median }: Spread): string {
  return `${format(median / 1e6)} (${format(low / 1e6)}–${format(high / 1e6)})`;
}
