import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { seededRandom } from "../support/random.js";
import { ratio, summarize } from "./contender.js";
import { madeUpDocuments } from "./documents.js";
import { commonSearches } from "./fixed-fleet.js";
import { machine, printReport, printSpread, progress } from "./output.js";
import { benchProxy, CONTENDERS, type ContenderName, type HalfRate, type ProxyBenchResult } from "./proxy.js";
import { spreadOf } from "./quantiles.js";

interface ProxyFlags {
  readonly seconds: number;
  readonly repeats: number;
  readonly clients: number;
  readonly hits: number;
  readonly hitBytes: number;
  readonly only: readonly ContenderName[];
  readonly profile?: string;
  readonly json?: boolean;
}

/** `bench proxy`. */
export function addProxyCommand(program: Command): void {
  program
    .command("proxy")
    .description("the proxy alone, over nodes that answer from memory, beside relays and a naive proxy")
    .option("--seconds <count>", "length of each measurement", Number, 2)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 5)
    .option("--clients <count>", "clients of the closed loop", Number, 16)
    .option("--hits <count>", "hits of a page", Number, 20)
    .option("--hit-bytes <count>", "size of a hit", Number, 700)
    .addOption(
      new Option("--only <names...>", "what is measured").choices(CONTENDERS).default([...CONTENDERS], "all"),
    )
    .option(
      "--profile <folder>",
      "where CPU profiles of Miroir's proxies under full load go (miroir-3.cpuprofile, …)",
    )
    .option("--json", "print one JSON document")
    .action(async (flags: ProxyFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

const DOCUMENTS = 6_000;

async function measure(flags: ProxyFlags) {
  const result = await benchProxy({
    documents: madeUpDocuments(DOCUMENTS, flags.hitBytes, seededRandom(11)),
    requests: commonSearches({ limit: flags.hits }),
    clients: flags.clients,
    durationMs: flags.seconds * 1_000,
    repeats: flags.repeats,
    only: flags.only,
    profileFolder: flags.profile,
    progress,
  });
  return {
    kind: "proxy",
    machine: machine(),
    settings: { ...flags, json: undefined, documents: DOCUMENTS },
    contenders: [...result.closed].map(([name, turns]) => ({ name, ...summarize(turns) })),
    arePreferred: result.arePreferred,
    halfRates: [...result.half].map(([of, half]) => ({ of, ...halfRate(half) })),
    ratios: ratios(result),
  };
}

function halfRate({ perSecond, turns }: HalfRate) {
  const direct = turns.get("direct") ?? [];
  const contenders = [...turns].map(([name, mine]) => {
    const added = (figure: "p50" | "p99") =>
      spreadOf(mine.map(({ load }, at) => load[figure] - (direct[at]?.load[figure] ?? Number.NaN)));
    return { name, ...summarize(mine), p50AddedMs: added("p50"), p99AddedMs: added("p99") };
  });
  return { rate: perSecond, contenders };
}

const RATIOS: readonly (readonly [ContenderName, ContenderName])[] = [
  ["miroir-3", "naive-3"],
  ["miroir-3", "relay"],
  ["miroir-1", "relay"],
  ["miroir-1", "haproxy"],
];

/** What one contender gets done beside another, repeat by repeat: with a second of its processor, and in a second. */
function ratios({ closed }: ProxyBenchResult) {
  return RATIOS.flatMap(([name, beside]) => {
    const [mine, other] = [closed.get(name), closed.get(beside)];
    if (mine === undefined || other === undefined) return [];
    return [
      {
        name: `${name} / ${beside}`,
        requestsPerCpuSecond: ratio(mine, other, ({ proxyCpuMs }) => 1 / (proxyCpuMs ?? Number.NaN)),
        requestsPerSecond: ratio(mine, other, ({ load }) => load.perSecond),
      },
    ];
  });
}

function printed(report: Awaited<ReturnType<typeof measure>>): string {
  return [
    table(
      ["PROXY", "REQUESTS/S", "CPU MS", "NODES' CPU MS", "P50 MS", "P99 MS", "GC MS/1000", "SCAVENGES/1000"],
      report.contenders.map((row) => [
        row.name,
        printSpread(row.perSecond),
        printSpread(row.proxyCpuMs),
        printSpread(row.nodesCpuMs),
        printSpread(row.p50Ms),
        printSpread(row.p99Ms),
        printSpread(row.gcMsPer1000),
        printSpread(row.scavengesPer1000),
      ]),
    ),
    table(
      [
        "AT HALF THE RATE OF",
        "REQUESTS/S",
        "",
        "P50 MS",
        "P99 MS",
        "P50 ADDED",
        "P99 ADDED",
        "SENT LATE P99",
        "LOOP DELAY P99",
      ],
      report.halfRates.flatMap(({ of, rate, contenders }) =>
        contenders.map((row) => [
          of,
          String(rate),
          row.name,
          printSpread(row.p50Ms),
          printSpread(row.p99Ms),
          printSpread(row.p50AddedMs),
          printSpread(row.p99AddedMs),
          printSpread(row.lateP99Ms),
          printSpread(row.loopDelayP99Ms),
        ]),
      ),
    ),
    report.arePreferred
      ? "at these rates the scheduler preferred the load generator and the nodes"
      : "at these rates the load generator and the nodes waited like everybody else: not allowed to go first",
    table(
      ["RATIO", "PER CPU SECOND", "PER SECOND"],
      report.ratios.map((row) => [
        row.name,
        printSpread(row.requestsPerCpuSecond),
        printSpread(row.requestsPerSecond),
      ]),
    ),
  ].join("\n\n");
}
