import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { seededRandom } from "../support/random.js";
import { COMMON_WORDS, madeUpDocuments } from "./documents.js";
import type { LoadRequest } from "./load.js";
import { machine, printSpread, progress } from "./output.js";
import { benchProxy, CONTENDERS, type ContenderName, type ContenderResult, type ProxyTurn } from "./proxy.js";
import { type Spread, spreadOf } from "./quantiles.js";

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
    .option("--profile <folder>", "where Miroir's proxies leave CPU profiles (*.cpuprofile) when they end")
    .option("--json", "print one JSON document")
    .action(run);
}

const DOCUMENTS = 6_000;

async function run(flags: ProxyFlags): Promise<void> {
  const results = await benchProxy({
    documents: madeUpDocuments(DOCUMENTS, flags.hitBytes, seededRandom(11)),
    requests: searches(flags.hits),
    clients: flags.clients,
    durationMs: flags.seconds * 1_000,
    repeats: flags.repeats,
    only: flags.only,
    ...(flags.profile === undefined ? {} : { profileFolder: flags.profile }),
    progress,
  });
  const report = {
    kind: "proxy",
    machine: machine(),
    settings: { ...flags, json: undefined, documents: DOCUMENTS },
    contenders: results.filter(({ closed }) => closed.length > 0).map(summary),
    ratios: ratios(results),
  };
  console.log(flags.json === true ? JSON.stringify(report, null, 2) : printed(report));
}

/** Searches of one and of two common words, no two of them the same. */
export function searches(hits: number): LoadRequest[] {
  const pairs = COMMON_WORDS.map((word, at) => `${word} ${COMMON_WORDS[(at * 5 + 1) % COMMON_WORDS.length]}`);
  return [...COMMON_WORDS, ...pairs].map((q) => ({
    method: "POST",
    path: "/search",
    body: JSON.stringify({ q, limit: hits }),
  }));
}

function summary({ name, closed, open }: ContenderResult) {
  const over = (
    turns: readonly ProxyTurn[],
    figure: (turn: ProxyTurn) => number | undefined,
  ): Spread | null => {
    const values = turns.flatMap((turn) => figure(turn) ?? []);
    return values.length === 0 ? null : spreadOf(values);
  };
  const turns = open.map(({ turn }) => turn);
  const per1000 = (turn: ProxyTurn, value: number | undefined) =>
    value === undefined ? undefined : (value * 1_000) / turn.load.requests;
  return {
    name,
    requests: closed.reduce((sum, { load }) => sum + load.requests, 0),
    perSecond: over(closed, ({ load }) => load.perSecond),
    proxyCpuMs: over(closed, ({ proxyCpuMs }) => proxyCpuMs),
    nodesCpuMs: over(closed, ({ nodesCpuMs }) => nodesCpuMs),
    p50Ms: over(closed, ({ load }) => load.p50),
    p99Ms: over(closed, ({ load }) => load.p99),
    gcMsPer1000: over(closed, (turn) => per1000(turn, turn.runtime?.gcMs)),
    scavengesPer1000: over(closed, (turn) => per1000(turn, turn.runtime?.scavenges)),
    halfRate:
      open.length === 0
        ? null
        : {
            perSecond: open[0]?.perSecond,
            p50Ms: over(turns, ({ load }) => load.p50),
            p99Ms: over(turns, ({ load }) => load.p99),
            p50AddedMs: spreadOf(open.map(({ turn, direct }) => turn.load.p50 - direct.load.p50)),
            p99AddedMs: spreadOf(open.map(({ turn, direct }) => turn.load.p99 - direct.load.p99)),
            loopDelayP99Ms: over(turns, ({ runtime }) => runtime?.loopDelayP99Ms),
          },
  };
}

const RATIOS: readonly (readonly [ContenderName, ContenderName])[] = [
  ["miroir-3", "naive-3"],
  ["miroir-3", "relay"],
  ["miroir-1", "relay"],
  ["miroir-1", "haproxy"],
];

/** What one contender gets done with a second of its processor beside another, repeat by repeat, and how many requests in a second. */
function ratios(results: readonly ContenderResult[]) {
  return RATIOS.flatMap(([name, beside]) => {
    const [mine, other] = [name, beside].map(
      (of) => results.find((result) => result.name === of)?.closed ?? [],
    );
    if (mine === undefined || other === undefined || mine.length === 0 || other.length === 0) return [];
    const pairs = mine.flatMap((turn, at) => {
      const against = other[at];
      return against === undefined ? [] : [{ turn, against }];
    });
    return [
      {
        name: `${name} / ${beside}`,
        requestsPerCpuSecond: spreadOf(
          pairs.map(({ turn, against }) => (against.proxyCpuMs ?? 0) / (turn.proxyCpuMs ?? Number.NaN)),
        ),
        requestsPerSecond: spreadOf(
          pairs.map(({ turn, against }) => turn.load.perSecond / against.load.perSecond),
        ),
      },
    ];
  });
}

function printed(report: {
  readonly settings: object;
  readonly contenders: readonly ReturnType<typeof summary>[];
  readonly ratios: ReturnType<typeof ratios>;
}): string {
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
      ["AT HALF THE RATE", "REQUESTS/S", "P50 MS", "P99 MS", "P50 ADDED", "P99 ADDED", "LOOP DELAY P99 MS"],
      report.contenders.flatMap(({ name, halfRate }) =>
        halfRate === null
          ? []
          : [
              [
                name,
                String(halfRate.perSecond),
                printSpread(halfRate.p50Ms),
                printSpread(halfRate.p99Ms),
                printSpread(halfRate.p50AddedMs),
                printSpread(halfRate.p99AddedMs),
                printSpread(halfRate.loopDelayP99Ms),
              ],
            ],
      ),
    ),
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
