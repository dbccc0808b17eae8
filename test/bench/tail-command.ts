import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { nodeBackend } from "../support/nodes.js";
import { seededRandom } from "../support/random.js";
import { COMMON_WORDS, madeUpDocuments } from "./documents.js";
import { format, machine, printSpread, progress } from "./output.js";
import { median, spreadOf } from "./quantiles.js";
import { benchTail, CONTENDERS, type FleetState, type TailContender, type TailTurn } from "./tail.js";

interface TailFlags {
  readonly nodes: number;
  readonly documents: number;
  readonly slowedBy: number;
  readonly rate: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

/** `bench tail`. */
export function addTailCommand(program: Command): void {
  program
    .command("tail")
    .description("one node of a fleet with two copies is slowed: with and without hedges and sparing it")
    .option("--nodes <count>", "nodes of the fleet", Number, 3)
    .option("--documents <count>", "documents of the index", Number, 2_000)
    .option("--slowed-by <ms>", "by how much one node's answers are late", Number, 200)
    .option("--rate <count>", "searches a second", Number, 50)
    .option("--seconds <count>", "length of each measurement", Number, 10)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 3)
    .option("--json", "print one JSON document")
    .action(async (flags: TailFlags) => {
      const report = await measure(flags);
      console.log(flags.json === true ? JSON.stringify(report, null, 2) : printed(report));
    });
}

const STATES: readonly FleetState[] = ["healthy", "just slowed", "slowed"];

async function measure(flags: TailFlags) {
  const turns = await benchTail({
    nodes: flags.nodes,
    documents: madeUpDocuments(flags.documents, 700, seededRandom(11)),
    requests: COMMON_WORDS.map((q) => ({
      method: "POST",
      path: "/indexes/films/search",
      body: JSON.stringify({ q }),
    })),
    slowedByMs: flags.slowedBy,
    perSecond: flags.rate,
    durationMs: flags.seconds * 1_000,
    repeats: flags.repeats,
    progress,
  });
  const of = (contender: TailContender, state: FleetState): TailTurn[] =>
    turns.filter((turn) => turn.contender === contender && turn.state === state);
  // Without hedges a search takes what it needs.
  const needed = median(of("off", "healthy").map(({ nodeRequests }) => nodeRequests));
  return {
    kind: "tail",
    machine: machine(),
    backend: nodeBackend.kind,
    settings: { ...flags, json: undefined },
    rows: CONTENDERS.flatMap((contender) =>
      STATES.map((state) => {
        const mine = of(contender, state);
        const healthy = of(contender, "healthy");
        const p99Ratios = mine.map(({ load }, at) => load.p99 / (healthy[at]?.load.p99 ?? Number.NaN));
        return {
          contender,
          state,
          p50Ms: spreadOf(mine.map(({ load }) => load.p50)),
          p99Ms: spreadOf(mine.map(({ load }) => load.p99)),
          p99OverHealthy: spreadOf(p99Ratios),
          extraPercent: spreadOf(mine.map(({ nodeRequests }) => 100 * (nodeRequests / needed - 1))),
        };
      }),
    ),
  };
}

function printed({ backend, rows, settings }: Awaited<ReturnType<typeof measure>>): string {
  const { nodes, rate, slowedBy } = settings;
  return [
    `${nodes} ${backend} nodes, two copies, ${format(rate)} searches a second; one node slowed by ${format(slowedBy)} ms`,
    table(
      ["HEDGES AND SPARING", "FLEET", "P50 MS", "P99 MS", "P99 / HEALTHY", "EXTRA REQUESTS %"],
      rows.map((row) => [
        row.contender,
        row.state,
        printSpread(row.p50Ms),
        printSpread(row.p99Ms),
        printSpread(row.p99OverHealthy),
        printSpread(row.extraPercent),
      ]),
    ),
  ].join("\n\n");
}
