import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RunReport } from "./run.js";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

/**
 * Runs seeds in several processes of this program, each of which is given the next one when it has told of the last; resolves once all
 * are over. Rejects where a process ends by itself.
 *
 * @param options what the processes are started with besides
 * @param onRun told of each run, in the order in which they end
 */
export async function runOnProcesses(
  processes: number,
  from: number,
  seeds: number,
  options: readonly string[],
  onRun: (report: RunReport) => void,
): Promise<void> {
  let next = from;
  const one = (child: ChildProcess): Promise<void> =>
    new Promise((resolve, reject) => {
      const ask = (): void => {
        if (next < from + seeds) child.send(next++);
        else resolve();
      };
      child.on("message", (report: RunReport) => {
        onRun(report);
        ask();
      });
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`a process of the simulation ended with ${code}`)));
      ask();
    });
  const children = Array.from({ length: Math.min(processes, seeds) }, () =>
    fork(MAIN, ["--serve", ...options]),
  );
  try {
    await Promise.all(children.map(one));
  } finally {
    for (const child of children) child.kill();
  }
}

/** Runs the seeds that the process which started this one sends, until it is gone. */
export function serveSeeds(run: (seed: number) => Promise<RunReport>): Promise<void> {
  process.on("message", async (seed: number) => {
    process.send?.(await run(seed));
  });
  return new Promise((resolve) => process.once("disconnect", resolve));
}
