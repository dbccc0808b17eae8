import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { bundleChild } from "../support/child-program.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = await bundleChild(new URL("../../src/cli/main.ts", import.meta.url));

/** How a command ended, and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `miroir` process under way. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** The first log line (JSON) with this message, parsed; rejects if the process ends without. */
  logged(message: string): Promise<Readonly<Record<string, unknown>>>;
}

/**
 * Starts `miroir` as an operator does, with nothing of this process's configuration in its environment. `nodeArgs` are the arguments of
 * Node.js itself.
 */
export function spawnMiroir(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  nodeArgs: readonly string[] = [],
): Running {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MIROIR_|VITEST|NODE_ENV)/.test(name));
  const child = spawn(process.execPath, [...nodeArgs, PROGRAM, ...args], {
    cwd: ROOT,
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  const looks = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    for (const look of looks) look();
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
  const logged = (message: string): Promise<Readonly<Record<string, unknown>>> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        for (const line of stderr.split("\n")) {
          if (!line.startsWith("{") || !line.endsWith("}")) continue;
          const entry = JSON.parse(line) as Record<string, unknown>;
          if (entry.msg !== message) continue;
          looks.delete(look);
          resolve(entry);
          return;
        }
      };
      looks.add(look);
      look();
      void ended.then(({ code }) =>
        reject(new Error(`ended with ${code} before it logged "${message}":\n${stdout}${stderr}`)),
      );
    });
  return { child, ended, logged };
}

/** Runs a `miroir` command to its end. */
export function miroir(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return spawnMiroir(args, environment).ended;
}
