import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { bundleChild } from "../support/child-program.js";
import type { ProcessSpec, ToChild } from "./process-spec.js";

const program = new URL("./miroir-process.ts", import.meta.url);
/** How long a process may take to listen, in milliseconds; machines that run chaos are busy. */
const START_MS = 60_000;

/** A control replica or proxy of a run, over its restarts. */
export class MiroirChild {
  readonly #spec: ProcessSpec;
  readonly #logFile: string;
  readonly #onDeath: (how: string) => void;
  #child: ChildProcess | undefined;
  /** How often it was started. */
  runs = 0;

  /** @param onDeath told when it ends without having been ended */
  constructor(spec: ProcessSpec, logFile: string, onDeath: (how: string) => void) {
    this.#spec = spec;
    this.#logFile = logFile;
    this.#onDeath = onDeath;
  }

  /** Starts it and resolves once it listens. */
  async start(): Promise<void> {
    const path = await bundleChild(program);
    const log = openSync(this.#logFile, "a");
    const child = spawn(process.execPath, ["--enable-source-maps", path, JSON.stringify(this.#spec)], {
      stdio: ["ignore", log, log, "ipc"],
    });
    closeSync(log);
    this.#child = child;
    this.runs++;
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`it ended with ${String(code ?? signal)} before it listened; see ${this.#logFile}`);
    });
    await Promise.race([once(child, "message", { signal: AbortSignal.timeout(START_MS) }), ended]);
    ended.catch(() => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#onDeath(`ended with ${String(child.exitCode ?? child.signalCode)}`);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  setClock(offsetMs: number): void {
    const message: ToChild = { clockOffsetMs: offsetMs };
    if (this.#child?.connected === true) this.#child.send(message);
  }

  /** Ends it with this signal, and resolves once it is gone; by force where it takes longer than ten seconds. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    child.kill("SIGCONT");
    const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(late);
  }
}
