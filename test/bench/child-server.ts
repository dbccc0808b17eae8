import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { bundleChild } from "../support/child-program.js";

/** A program of the benchmarks that serves, as a process of its own. */
export interface ChildServer {
  readonly pid: number;
  /** Where it serves, as it printed it. */
  readonly urls: readonly string[];
  /** Resolves once the process has ended. */
  stop(): Promise<void>;
}

/**
 * Starts a TypeScript program that prints its URLs as a JSON array once it serves, and ends when its standard input does.
 *
 * @throws Error where it ends before
 */
export async function startChildServer(file: URL, args: readonly string[]): Promise<ChildServer> {
  const child = spawn(process.execPath, [await bundleChild(file), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  const urls = await Promise.race([
    once(lines, "line").then(([line]) => JSON.parse(String(line)) as string[]),
    exited.then(([code]) => Promise.reject(new Error(`${file.pathname} ended with ${code}`))),
  ]);
  return {
    pid: child.pid ?? 0,
    urls,
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
