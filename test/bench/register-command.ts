import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { machine, numbers, printReport, printSpread, progress } from "./output.js";
import { benchRegister } from "./register.js";

interface RegisterFlags {
  readonly atOnce: readonly number[];
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

const AT_ONCE: readonly number[] = [1, 16, 64];

/** `bench register`. */
export function addRegisterCommand(program: Command): void {
  program
    .command("register")
    .description("proxies' registrations of tasks over gRPC, with three node tasks each, into each store")
    .option("--at-once <counts...>", "calls under way at once", numbers(AT_ONCE), AT_ONCE)
    .option("--seconds <count>", "length of each measurement", Number, 2)
    .option("--repeats <count>", "measurements of each kind", Number, 3)
    .option("--json", "print one JSON document")
    .action(async (flags: RegisterFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure({ atOnce, repeats, seconds }: RegisterFlags) {
  return {
    kind: "register",
    machine: machine(),
    settings: { atOnce, repeats, seconds },
    results: await benchRegister({ atOnce, repeats, durationMs: seconds * 1_000, progress }),
  };
}

function printed({ results }: Awaited<ReturnType<typeof measure>>): string {
  return table(
    ["STORE", "AT ONCE", "TASKS/S", "P50 MS", "P99 MS", "CONTROL PLANE'S CPU MS"],
    results.map((row) => [
      row.store,
      String(row.atOnce),
      ...[row.tasksPerSecond, row.p50Ms, row.p99Ms, row.cpuMs].map(printSpread),
    ]),
  );
}
