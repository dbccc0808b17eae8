import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import type { TopologySize } from "./large-topology.js";
import { machine, printReport, printSpread, progress } from "./output.js";
import { benchPlacement, benchPlans } from "./plan.js";

interface PlanFlags {
  readonly repeats: number;
  readonly json?: boolean;
}

/** The largest fleet with an index over all of it, and many indexes on a small one and on a large one. */
const SIZES: readonly TopologySize[] = [
  { nodes: 1_000, indexes: 1, shards: 1_024 },
  { nodes: 12, indexes: 1_000, shards: 64 },
  { nodes: 1_000, indexes: 100, shards: 64 },
];

/** `bench plan`. */
export function addPlanCommand(program: Command): void {
  program
    .command("plan")
    .description("planning changes of large fleets, two replicas of each shard, in this process")
    .option("--repeats <count>", "plans of each change", Number, 3)
    .option("--json", "print one JSON document")
    .action((flags: PlanFlags) => {
      printReport(measure(flags), flags.json, printed);
    });
}

function measure({ repeats }: PlanFlags) {
  return {
    kind: "plan",
    machine: machine(),
    settings: { repeats },
    placements: SIZES.map((size) => ({ size, ms: benchPlacement(size, repeats) })),
    plans: SIZES.flatMap((size) => benchPlans(size, repeats, progress)),
  };
}

function printed({ placements, plans }: ReturnType<typeof measure>): string {
  return [
    table(
      ["NODES", "INDEXES", "SHARDS", "CHANGE", "REPLICAS", "PLAN MS", "TOLD MS", "NEXT BATCHES MS"],
      plans.map(({ size, ...row }) => [
        ...[size.nodes, size.indexes, size.shards].map(String),
        row.change,
        String(row.replicas),
        ...[row.plan, row.described, row.next].map(printSpread),
      ]),
    ),
    table(
      ["NODES", "SHARDS", "A NEW INDEX IS PLACED, MS"],
      placements.map(({ ms, size }) => [String(size.nodes), String(size.shards), printSpread(ms)]),
    ),
  ].join("\n\n");
}
