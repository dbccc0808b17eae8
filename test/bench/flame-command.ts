import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { type CpuProfile, frameTree, type Share, shares } from "./cpu-profile.js";
import { drawFlameGraph } from "./flame-graph.js";
import { type BundleFiles, bundleFiles, frameSource } from "./frame-sources.js";
import { printReport } from "./output.js";

interface FlameFlags {
  readonly out: string;
  readonly title: string;
  readonly least: number;
  readonly json?: boolean;
}

/** `bench flame`. */
export function addFlameCommand(program: Command): void {
  program
    .command("flame")
    .description("draws a flame graph of a CPU profile, and tells whose code took the time")
    .argument("<file>", "a .cpuprofile, as --profile of other benchmarks leaves it")
    .requiredOption("--out <file>", "where the graph goes, an SVG")
    .option("--title <text>", "what stands above it", "CPU time")
    .option("--least <percent>", "smaller frames are left out", Number, 0.2)
    .option("--json", "print one JSON document instead of Markdown")
    .action((file: string, { json, least, out, title }: FlameFlags) => {
      const profile = JSON.parse(readFileSync(file, "utf8")) as CpuProfile;
      const root = frameTree(profile, (url, line) => frameSource(url, line, knownBundle));
      writeFileSync(out, drawFlameGraph(title, root, least));
      const { areas, functions, groups } = shares(root);
      const report = {
        kind: "flame",
        cpuSeconds: root.total / 1e6,
        groups,
        areas: areas.filter(({ percent }) => percent >= LEAST_AREA_PERCENT),
        functions: functions.slice(0, MOST_FUNCTIONS),
      };
      printReport(report, json, printed);
    });
}

const LEAST_AREA_PERCENT = 0.5;
const MOST_FUNCTIONS = 20;

const bundles = new Map<string, BundleFiles | undefined>();

/** The files of the bundle at `url`; undefined where there is none, or it is one file as it was written. */
function knownBundle(url: string): BundleFiles | undefined {
  if (!url.startsWith("file:") || !url.endsWith(".mjs")) return undefined;
  if (!bundles.has(url)) {
    const path = fileURLToPath(url);
    bundles.set(url, existsSync(path) ? bundleFiles(readFileSync(path, "utf8")) : undefined);
  }
  return bundles.get(url);
}

interface FlameReport {
  readonly cpuSeconds: number;
  readonly groups: readonly Share[];
  readonly areas: readonly Share[];
  readonly functions: readonly Share[];
}

function printed({ areas, cpuSeconds, functions, groups }: FlameReport): string {
  return [
    `${cpuSeconds.toFixed(1)} s without idle time`,
    markdown(
      ["whose code", "%"],
      groups.map(({ group, percent }) => [group, percent]),
    ),
    markdown(
      ["whose code", "part", "%"],
      areas.map(({ group, name, percent }) => [group, name, percent]),
    ),
    markdown(
      ["function", "%"],
      functions.map(({ name, percent }) => [`\`${name}\``, percent]),
    ),
  ].join("\n\n");
}

function markdown(heading: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(heading),
    line(heading.map(() => "---")),
    ...rows.map((row) => line(row.map((cell) => (typeof cell === "number" ? cell.toFixed(1) : cell)))),
  ].join("\n");
}
