import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import { nodeCommand } from "./command.js";
import { NodeLaunchError } from "./errors.js";
import type { LaunchOptions, NodeKind, NodeProcess } from "./launch.js";
import { assertPortFree } from "./ports.js";

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;
const POLL_INTERVAL_MS = 20;
const LOG_TAIL_BYTES = 8_192;
const LOG_TAIL_LINES = 20;

/** Signals after which a process may go on. */
const NON_TERMINAL_SIGNALS: ReadonlySet<NodeJS.Signals> = new Set([
  "SIGSTOP",
  "SIGCONT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
]);

/** The child's life: it has a process only while `running`. */
type ChildState =
  | { readonly status: "stopped"; readonly reason: string }
  | { readonly status: "running"; readonly process: ChildProcess; readonly exited: Promise<string> };

const running = new Set<ChildProcess>();
let exitHookInstalled = false;

/** One node process, over its restarts. Made by `launchNode`. */
export class NodeChild implements NodeProcess {
  readonly url: string;
  readonly kind: NodeKind;
  readonly masterKey: string | undefined;
  readonly logFile: string;
  #version = "";
  #state: ChildState = { status: "stopped", reason: "not started" };
  readonly #options: LaunchOptions;
  readonly #host: string;
  readonly #port: number;

  constructor(options: LaunchOptions, host: string, port: number, logFile: string) {
    this.#options = options;
    this.#host = host;
    this.#port = port;
    this.url = `http://${host}:${port}`;
    this.kind = options.kind;
    this.masterKey = options.masterKey;
    this.logFile = logFile;
  }

  get version(): string {
    return this.#version;
  }

  get pid(): number | undefined {
    return this.#state.status === "running" ? this.#state.process.pid : undefined;
  }

  get exited(): Promise<string> {
    return this.#state.status === "running" ? this.#state.exited : Promise.resolve(this.#state.reason);
  }

  /** Starts the process and waits until it answers. */
  async start(): Promise<void> {
    const command = nodeCommand(this.#options, this.#host, this.#port);
    const log = openSync(this.logFile, "a");
    const logStart = statSync(this.logFile).size;
    const child = spawn(command.file, command.args, {
      cwd: command.cwd,
      env: childEnvironment(),
      stdio: command.followsParent ? ["ignore", log, log, "ipc"] : ["ignore", log, log],
    });
    closeSync(log);
    child.channel?.unref();
    const guard = command.followsParent ? undefined : guardAgainstOrphans(child);
    installExitHook();
    running.add(child);
    const exited = new Promise<string>((resolve) => {
      const end = (reason: string) => {
        running.delete(child);
        guard?.kill("SIGKILL");
        if (this.#state.status === "running" && this.#state.process === child) {
          this.#state = { status: "stopped", reason };
        }
        resolve(reason);
      };
      child.once("error", (error) => end(`could not be started: ${error.message}`));
      child.once("exit", (code, signal) =>
        end(signal === null ? `exited with code ${code}` : `ended by ${signal}`),
      );
    });
    this.#state = { status: "running", process: child, exited };
    await this.#becomeReady(exited, logStart);
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#state.status !== "running") return;
    const { process: child, exited } = this.#state;
    child.kill(signal);
    if (!NON_TERMINAL_SIGNALS.has(signal)) await exited;
  }

  async stop(): Promise<void> {
    if (this.#state.status !== "running") return;
    const { process: child, exited } = this.#state;
    // A process stopped by SIGSTOP would only see the signal once it goes on.
    child.kill("SIGTERM");
    child.kill("SIGCONT");
    const patience = new AbortController();
    const late = sleep(STOP_TIMEOUT_MS, "late" as const, { signal: patience.signal }).catch(
      () => "early" as const,
    );
    if ((await Promise.race([exited, late])) === "late") child.kill("SIGKILL");
    patience.abort();
    await exited;
  }

  async restart(): Promise<void> {
    await this.stop();
    await assertPortFree(this.#host, this.#port);
    await this.start();
  }

  async #becomeReady(exited: Promise<string>, logStart: number): Promise<void> {
    const deadline = performance.now() + (this.#options.readyTimeoutMs ?? READY_TIMEOUT_MS);
    for (;;) {
      const step = await Promise.race([exited.then((reason) => ({ reason })), this.#answersHealth()]);
      if (typeof step === "object") throw this.#exitedEarly(step.reason, logStart);
      if (step) break;
      if (performance.now() > deadline) {
        await this.kill("SIGKILL");
        throw new NodeLaunchError(
          "not_ready",
          `the ${this.kind} node at ${this.url} did not answer in time`,
          {
            logTail: logTail(this.logFile, logStart),
          },
        );
      }
      await Promise.race([exited, sleep(POLL_INTERVAL_MS)]);
    }
    this.#version = await this.#readVersion();
  }

  #exitedEarly(reason: string, logStart: number): NodeLaunchError {
    const tail = logTail(this.logFile, logStart);
    const busy = tail.some((line) => /address already in use|EADDRINUSE/i.test(line));
    return new NodeLaunchError(
      busy ? "port_busy" : "exited_early",
      busy
        ? `port ${this.#port} on ${this.#host} was taken while the ${this.kind} node started`
        : `the ${this.kind} node ended before it was ready (${reason}); its log is ${this.logFile}`,
      { logTail: tail },
    );
  }

  async #answersHealth(): Promise<boolean> {
    try {
      const answer = await request(`${this.url}/health`, { headersTimeout: 2_000, bodyTimeout: 2_000 });
      await answer.body.dump();
      return answer.statusCode === 200;
    } catch {
      // Not listening yet: the caller asks again until its deadline.
      return false;
    }
  }

  async #readVersion(): Promise<string> {
    const headers = this.masterKey === undefined ? {} : { authorization: `Bearer ${this.masterKey}` };
    const answer = await request(`${this.url}/version`, { headers });
    const body: unknown = await answer.body.json();
    if (typeof body === "object" && body !== null && "pkgVersion" in body) return String(body.pkgVersion);
    throw new NodeLaunchError(
      "not_ready",
      `the node at ${this.url} answers /version with status ${answer.statusCode}: is the master key its own?`,
    );
  }
}

/** The present environment without `MEILI_*`, which would silently configure the binary. */
function childEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MEILI_")));
}

/**
 * Kills the child when this process is gone, even by `SIGKILL`: a shell waits for the end of a pipe that only
 * this process holds. It has a session of its own, so that an interrupt from the terminal does not end it.
 */
function guardAgainstOrphans(child: ChildProcess): ChildProcess | undefined {
  if (child.pid === undefined) return undefined;
  const guard = spawn("/bin/sh", ["-c", `read -r _; kill -KILL ${child.pid}`], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // Without a guard the child still ends with this process's orderly exit.
  guard.once("error", () => undefined);
  guard.unref();
  if (guard.stdin !== null && "unref" in guard.stdin && typeof guard.stdin.unref === "function")
    guard.stdin.unref();
  return guard;
}

function installExitHook(): void {
  if (exitHookInstalled) return;
  exitHookInstalled = true;
  process.once("exit", () => {
    for (const child of running) child.kill("SIGKILL");
  });
}

/** The last lines that were written to `path` after byte `start`. */
function logTail(path: string, start: number): string[] {
  const size = statSync(path).size;
  const from = Math.max(start, size - LOG_TAIL_BYTES);
  const bytes = Buffer.alloc(size - from);
  const file = openSync(path, "r");
  readSync(file, bytes, 0, bytes.length, from);
  closeSync(file);
  return bytes
    .toString("utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-LOG_TAIL_LINES);
}
