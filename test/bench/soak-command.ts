import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { seededRandom } from "../support/random.js";
import { madeUpDocuments } from "./documents.js";
import { slopeOf } from "./line-fit.js";
import { format, machine, printReport, progress } from "./output.js";
import { benchSoak, type SoakResult, type SoakSample, WATCHED, type Watched } from "./soak.js";

interface SoakFlags {
  readonly minutes: number;
  readonly searches: number;
  readonly writes: number;
  readonly batch: number;
  readonly indexSeconds: number;
  readonly sampleSeconds: number;
  readonly collectMinutes: number;
  readonly nodes: "fixed" | "real";
  readonly snapshots?: string;
  readonly json?: boolean;
}

/** `bench soak`. */
export function addSoakCommand(program: Command): void {
  program
    .command("soak")
    .description("a long load at a constant rate: whether the memory of proxy and control plane stays flat")
    .option("--minutes <count>", "length", Number, 60)
    .option("--searches <count>", "searches a second", Number, 100)
    .option("--writes <count>", "additions of documents a second, the same ones again and again", Number, 2)
    .option("--batch <count>", "documents of one addition", Number, 50)
    .option("--index-seconds <count>", "time between two indexes that come and go", Number, 60)
    .option("--sample-seconds <count>", "time between two samples", Number, 10)
    .option("--collect-minutes <count>", "time between two looks at what a collection leaves", Number, 5)
    .addOption(
      new Option("--nodes <kind>", "embedded nodes that answer searches from memory, or real ones")
        .choices(["fixed", "real"])
        .default("fixed"),
    )
    .option(
      "--snapshots <folder>",
      "where heap snapshots of the middle and the end go; each halts its process for a moment",
    )
    .option("--json", "print one JSON document")
    .action(async (flags: SoakFlags) => {
      const report = await measure(flags);
      printReport(report, flags.json, printed);
      if (!report.isFlat || report.faults.length > 0) process.exitCode = 1;
    });
}

const DOCUMENTS = 1_000;
const DOCUMENT_BYTES = 700;
/** What may be gained in an hour, in MB: more than the error of the fit, and less than a leak that anybody would notice. */
const FLAT_LIVE_MB = 5;
const FLAT_RSS_MB = 20;

async function measure(flags: SoakFlags) {
  const result = await benchSoak({
    documents: madeUpDocuments(DOCUMENTS, DOCUMENT_BYTES, seededRandom(11)),
    minutes: flags.minutes,
    perSecond: flags.searches,
    writes: { perSecond: flags.writes, batch: flags.batch, indexEveryMs: flags.indexSeconds * 1_000 },
    nodes: flags.nodes,
    sampleMs: flags.sampleSeconds * 1_000,
    collectEvery: Math.max(1, Math.round((flags.collectMinutes * 60) / flags.sampleSeconds)),
    snapshotFolder: flags.snapshots,
    progress,
  });
  const slopes = WATCHED.map((name) => ({ name, ...slopesOf(result.samples, name) }));
  return {
    kind: "soak",
    machine: machine(),
    settings: { ...flags, snapshots: undefined, json: undefined },
    ...totals(result),
    slopes,
    isFlat: slopes.every(({ live, rss }) => !(live > FLAT_LIVE_MB) && rss <= FLAT_RSS_MB),
    minutes: minutesOf(result.samples),
  };
}

function totals({ additions, faults, passingIndexes, samples }: SoakResult) {
  const sum = (figure: (sample: SoakSample) => number): number =>
    samples.reduce((total, sample) => total + figure(sample), 0);
  const [failed, wrong] = [sum(({ load }) => load.failures), sum(({ load }) => load.wrong)];
  return {
    searches: sum(({ load }) => load.requests),
    additions,
    passingIndexes,
    faults: [
      ...(failed > 0 ? [`${failed} searches failed`] : []),
      ...(wrong > 0 ? [`${wrong} searches were answered wrongly`] : []),
      ...faults,
    ],
    nodesCpuPercent: sum(({ nodesCpuPercent }) => nodesCpuPercent) / samples.length,
    generatorCpuPercent: sum(({ generatorCpuPercent }) => generatorCpuPercent) / samples.length,
  };
}

/** MB an hour, over the second half: before, caches fill and code is compiled. */
function slopesOf(samples: readonly SoakSample[], name: Watched) {
  const second = samples.slice(Math.floor(samples.length / 2));
  const slope = (figure: (sample: SoakSample) => number | undefined): number =>
    slopeOf(
      second.flatMap((sample) => {
        const bytes = figure(sample);
        return bytes === undefined ? [] : [{ at: sample.minute / 60, value: bytes / 1e6 }];
      }),
    );
  return {
    rss: slope(({ processes }) => processes[name].rss),
    heapUsed: slope(({ processes }) => processes[name].heapUsed),
    external: slope(({ processes }) => processes[name].external),
    live: slope(({ live }) => live?.[name]),
  };
}

/** A line for each minute: the means of its samples, and the last of its looks after a collection. */
function minutesOf(samples: readonly SoakSample[]) {
  const minutes = new Set(samples.map(({ minute }) => Math.ceil(minute)));
  return [...minutes].map((minute) => {
    const some = samples.filter((sample) => Math.ceil(sample.minute) === minute);
    const mean = (figure: (sample: SoakSample) => number): number =>
      some.reduce((sum, sample) => sum + figure(sample), 0) / some.length;
    const of = (name: Watched) => ({
      rssMb: mean(({ processes }) => processes[name].rss / 1e6),
      heapUsedMb: mean(({ processes }) => processes[name].heapUsed / 1e6),
      externalMb: mean(({ processes }) => processes[name].external / 1e6),
      liveMb: some.flatMap(({ live }) => (live === undefined ? [] : live[name] / 1e6)).at(-1) ?? null,
      resources: mean(({ processes }) => processes[name].resources),
      loopDelayP99Ms: mean(({ processes }) => processes[name].loopDelayP99Ms),
      cpuPercent: mean(({ processes }) => processes[name].cpuPercent),
    });
    return {
      minute,
      p50Ms: mean(({ load }) => load.p50),
      p99Ms: mean(({ load }) => load.p99),
      metricsKb: mean(({ metricsBytes }) => metricsBytes / 1e3),
      proxy: of("proxy"),
      control: of("control plane"),
    };
  });
}

const PRINTED_LINES = 12;

function printed(report: Awaited<ReturnType<typeof measure>>): string {
  const { minutes, settings, slopes } = report;
  const every = Math.ceil(minutes.length / PRINTED_LINES);
  const shown = minutes.filter(({ minute }) => minute % every === 0);
  return [
    `${report.searches} searches, ${report.additions} additions of ${settings.batch} documents, ${report.passingIndexes} indexes created and deleted; ${settings.nodes} nodes`,
    ...(["proxy", "control"] as const).map((process) =>
      table(
        [
          process.toUpperCase(),
          "RSS MB",
          "HEAP MB",
          "LIVE MB",
          "EXTERNAL MB",
          "RESOURCES",
          "LOOP P99 MS",
          "CPU %",
        ],
        shown.map(({ minute, [process]: row }) => [
          `minute ${minute}`,
          ...[row.rssMb, row.heapUsedMb, row.liveMb ?? Number.NaN, row.externalMb].map(format),
          ...[row.resources, row.loopDelayP99Ms, row.cpuPercent].map(format),
        ]),
      ),
    ),
    table(
      ["MB AN HOUR, SECOND HALF", "RSS", "HEAP", "EXTERNAL", "LIVE AFTER A COLLECTION"],
      slopes.map(({ external, heapUsed, live, name, rss }) => [
        name,
        ...[rss, heapUsed, external, live].map((slope) => slope.toFixed(2)),
      ]),
    ),
    report.isFlat
      ? `flat: at most ${FLAT_LIVE_MB} MB an hour live, ${FLAT_RSS_MB} MB an hour resident`
      : `NOT FLAT: more than ${FLAT_LIVE_MB} MB an hour live, or ${FLAT_RSS_MB} MB an hour resident`,
    ...report.faults.map((fault) => `FAULT: ${fault}`),
  ].join("\n\n");
}
