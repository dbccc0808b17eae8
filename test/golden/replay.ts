import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { type Check, checkCase, type Outcome } from "./check.js";
import { readRecording } from "./recording.js";

/** What a replay found: every check with the case it belongs to. */
export type ReplayedCheck = Check & { readonly file: string; readonly index: number };

/** Replays all cases of the files through the merge. */
export function replay(files: readonly string[]): ReplayedCheck[] {
  return files.flatMap((path) => {
    const recording = readRecording(path);
    const file = basename(path);
    return recording.cases.flatMap((recorded) =>
      checkCase(recording, recorded).map((check) => ({ ...check, file, index: recorded.index })),
    );
  });
}

/** The table by aspect, every check that is not equal with its reason, and the closing line. */
export function report(checks: readonly ReplayedCheck[]): string {
  const lines = [row("", "checks", "equal", "scored differently", "not recorded", "wrong")];
  for (const aspect of [...new Set(checks.map((check) => check.aspect))].sort()) {
    const own = checks.filter((check) => check.aspect === aspect);
    lines.push(
      row(
        aspect,
        own.length,
        count(own, "equal"),
        count(own, "scored differently"),
        count(own, "not recorded"),
        count(own, "wrong"),
      ),
    );
  }
  for (const outcome of ["scored differently", "not recorded", "wrong"] as const) {
    const own = checks.filter((check) => check.outcome === outcome);
    if (own.length === 0) continue;
    lines.push("", `${outcome}:`);
    for (const check of own) lines.push(`  ${check.file} ${check.index} ${check.aspect}: ${check.reason}`);
  }
  const failed = count(checks, "wrong");
  const skipped = count(checks, "scored differently") + count(checks, "not recorded");
  lines.push(
    "",
    `${count(checks, "equal")} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
  );
  return lines.join("\n");
}

function row(aspect: string, ...cells: (string | number)[]): string {
  return aspect.padEnd(18) + cells.map((cell) => String(cell).padStart(20)).join("");
}

function count(checks: readonly Check[], outcome: Outcome): number {
  return checks.filter((check) => check.outcome === outcome).length;
}

function main(files: readonly string[]): number {
  if (files.length === 0) {
    console.error("usage: npm run golden -- FILE…  (files of golden search answers)");
    return 2;
  }
  const checks = replay(files);
  console.log(report(checks));
  return checks.length === 0 || count(checks, "wrong") > 0 ? 1 : 0;
}

const entry = process.argv[1];
if (entry !== undefined && import.meta.url === pathToFileURL(entry).href) {
  process.exitCode = main(process.argv.slice(2));
}
