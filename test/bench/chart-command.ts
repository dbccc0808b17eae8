import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type Bar, drawChart, type Panel } from "./chart.js";
import type { Spread } from "./quantiles.js";

interface NamedFigures {
  readonly name: string;
  readonly proxyCpuMs: Spread | null;
  readonly perSecond: Spread | null;
}

interface ProxyReport {
  readonly contenders: readonly NamedFigures[];
}

interface SoakReport {
  readonly minutes: readonly { readonly minute: number; readonly proxy: { readonly rssMb: number } }[];
}

interface SearchReport {
  readonly results: readonly { readonly clients: number; readonly contenders: readonly NamedFigures[] }[];
}

interface ScaleReport {
  readonly results: readonly (Omit<NamedFigures, "name"> & {
    readonly axis: string;
    readonly value: number;
  })[];
}

/** `bench chart`. */
export function addChartCommand(program: Command): void {
  program
    .command("chart")
    .description(
      "draws chart.svg from proxy.json, search.json, scale.json and soak.json, as --json printed them",
    )
    .argument("[folder]", "where they are, and the chart goes", "docs/benchmarks")
    .action((folder: string) => {
      const file = join(folder, "chart.svg");
      writeFileSync(file, drawChart(panels(folder)));
      console.log(file);
    });
}

const SOAK_STEP_MINUTES = 10;

function panels(folder: string): Panel[] {
  const proxy = report<ProxyReport>(folder, "proxy");
  const search = report<SearchReport>(folder, "search");
  const scale = report<ScaleReport>(folder, "scale");
  const soak = report<SoakReport>(folder, "soak");
  const all: Panel[] = [
    ...(proxy === undefined
      ? []
      : [
          {
            title: "Processor time of the proxy for one search, ms (fixed-answer nodes)",
            bars: bars(proxy.contenders, ({ proxyCpuMs }) => proxyCpuMs),
          },
        ]),
    ...(search?.results ?? []).map(({ clients, contenders }) => ({
      title: `Searches a second, ${clients} ${clients === 1 ? "client" : "clients"} (real nodes, everything on one machine)`,
      bars: bars(contenders, ({ perSecond }) => perSecond),
    })),
    ...[...new Set((scale?.results ?? []).map(({ axis }) => axis))].map((axis) => ({
      title: `Processor time of the proxy for one search against ${axis}, ms`,
      bars: bars(
        (scale?.results ?? [])
          .filter((row) => row.axis === axis)
          .map((row) => ({ ...row, name: String(row.value) })),
        ({ proxyCpuMs }) => proxyCpuMs,
      ),
    })),
    {
      title: "Resident memory of the proxy over an hour of load, MB",
      bars: (soak?.minutes ?? [])
        .filter(({ minute }) => minute % SOAK_STEP_MINUTES === 0)
        .map(({ minute, proxy: { rssMb } }) => ({
          label: `minute ${minute}`,
          value: { median: rssMb, low: rssMb, high: rssMb },
        })),
    },
  ];
  return all.filter((panel) => panel.bars.length > 0);
}

function report<T>(folder: string, kind: string): T | undefined {
  const file = join(folder, `${kind}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as T) : undefined;
}

function bars(rows: readonly NamedFigures[], figure: (row: NamedFigures) => Spread | null): Bar[] {
  return rows.flatMap((row) => {
    const value = figure(row);
    return value === null ? [] : [{ label: row.name, value }];
  });
}
