import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { summarize } from "./contender.js";
import { machine, printReport, printSpread, progress } from "./output.js";
import { AXES, type Axis, BASE, benchScale } from "./scale.js";

interface ScaleFlags {
  readonly axes: readonly Axis[];
  readonly clients: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

const ALL = Object.keys(AXES) as readonly Axis[];

/** `bench scale`. */
export function addScaleCommand(program: Command): void {
  program
    .command("scale")
    .description("what a search costs the proxy against nodes, hits, their size, shards and offset")
    .addOption(new Option("--axes <names...>", "what is varied").choices(ALL).default([...ALL], "all"))
    .option("--clients <count>", "clients of the closed loop", Number, 16)
    .option("--seconds <count>", "length of each measurement", Number, 2)
    .option("--repeats <count>", "measurements of each point", Number, 3)
    .option("--json", "print one JSON document")
    .action(async (flags: ScaleFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure(flags: ScaleFlags) {
  const results = await benchScale({ ...flags, durationMs: flags.seconds * 1_000, progress });
  return {
    kind: "scale",
    machine: machine(),
    settings: { ...flags, json: undefined, base: BASE },
    results: results.map(({ axis, point, turns }) => ({ axis, value: point[axis], ...summarize(turns) })),
  };
}

function printed({ results, settings }: Awaited<ReturnType<typeof measure>>): string {
  const base = Object.entries(BASE).map(([name, value]) => `${name} ${value}`);
  return [
    `one figure varied, the others ${base.join(", ")}`,
    ...settings.axes.map((axis) =>
      table(
        [axis.toUpperCase(), "PROXY'S CPU MS", "SEARCHES/S", "P50 MS", "GC MS/1000"],
        results
          .filter((row) => row.axis === axis)
          .map((row) => [
            String(row.value),
            printSpread(row.proxyCpuMs),
            printSpread(row.perSecond),
            printSpread(row.p50Ms),
            printSpread(row.gcMsPer1000),
          ]),
      ),
    ),
  ].join("\n\n");
}
