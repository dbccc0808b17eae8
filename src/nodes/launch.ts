import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { NodeLaunchError } from "./errors.js";
import { NodeChild } from "./node-child.js";
import { assertPortFree, findFreePort } from "./ports.js";

/** `binary` is a real Meilisearch; `embedded` is Miroir's development node. */
export type NodeKind = "binary" | "embedded";

/** What to start and how. */
export interface LaunchOptions {
  readonly kind: NodeKind;
  /** The folder of the node's database and log; created where it is missing, never removed. */
  readonly dataDir: string;
  /** Without one the node asks for no keys, as Meilisearch does in development. */
  readonly masterKey?: string;
  /** Address to listen on; default `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; default: a free one, kept over restarts. */
  readonly port?: number;
  /** The binary of a `binary` node; default: what `findMeilisearchBinary` finds. */
  readonly binaryPath?: string;
  /** Further command-line arguments. */
  readonly args?: readonly string[];
  /** Serves `/_embedded/faults` on an embedded node; default false. Ignored by a binary. */
  readonly faultControl?: boolean;
  /** How long a start may take before it fails, in milliseconds; default 30,000. */
  readonly readyTimeoutMs?: number;
  /** The log file, appended to; default `node.log` in `dataDir`. */
  readonly logFile?: string;
}

/** A running node process, real or embedded, that can be killed, stopped and started again. */
export interface NodeProcess {
  /** Base address, without a trailing slash. */
  readonly url: string;
  readonly kind: NodeKind;
  /** The version that the node reports, such as `1.50.0`. */
  readonly version: string;
  readonly masterKey: string | undefined;
  /** Process id; `undefined` while it does not run. */
  readonly pid: number | undefined;
  /** Where the process writes what it prints. */
  readonly logFile: string;
  /** Settles with a description of the end when the present process ends, whatever ended it. */
  readonly exited: Promise<string>;
  /**
   * Sends a signal, `SIGKILL` unless given. Resolves once the process is gone, or at once for a signal that
   * does not end it (`SIGSTOP`, `SIGCONT`, `SIGUSR1` …). Does nothing where no process runs.
   */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the process in order, by force after 5 seconds. Does nothing where no process runs. */
  stop(): Promise<void>;
  /** Stops the process where it runs and starts it again on the same port and data. */
  restart(): Promise<void>;
}

/**
 * Starts a node as a child process and resolves once it answers `GET /health`. The child is killed when this
 * process exits.
 *
 * @throws NodeLaunchError `binary_not_found`, `port_busy`, `exited_early` (with the last log lines) or
 *   `not_ready`.
 */
export async function launchNode(options: LaunchOptions): Promise<NodeProcess> {
  const absolute = { ...options, dataDir: resolve(options.dataDir) };
  mkdirSync(absolute.dataDir, { recursive: true });
  const host = options.host ?? "127.0.0.1";
  const logFile = options.logFile ?? join(absolute.dataDir, "node.log");
  if (options.port !== undefined && options.port !== 0) {
    await assertPortFree(host, options.port);
    return startOn(absolute, host, options.port, logFile);
  }
  // Between finding a free port and the child's binding it somebody else can take it.
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(absolute, host, await findFreePort(host), logFile);
    } catch (error) {
      if (!(error instanceof NodeLaunchError && error.code === "port_busy") || attempt === 5) throw error;
    }
  }
}

async function startOn(
  options: LaunchOptions,
  host: string,
  port: number,
  logFile: string,
): Promise<NodeProcess> {
  const child = new NodeChild(options, host, port, logFile);
  await child.start();
  return child;
}
