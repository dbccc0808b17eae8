import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NodeLaunchError } from "./errors.js";
import { findMeilisearchBinary } from "./find-binary.js";
import type { LaunchOptions } from "./launch.js";

/** A process to start: what to run, with what, and where. */
export interface NodeCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Whether the process ends by itself when the launcher's end of its channel closes. */
  readonly followsParent: boolean;
}

/**
 * A Meilisearch sets aside a part of what it may use before each batch, and takes two thirds of the machine's memory unless told: on 24 GB it
 * spends half a second of processor time on that for one document. Nodes that are launched here share a machine.
 */
const INDEXING_MEMORY = ["--max-indexing-memory", "512MiB"] as const;

const here = dirname(fileURLToPath(import.meta.url));
const runsFromSources = import.meta.url.endsWith(".ts");

/** Builds the command line of a node that listens on `port`. */
export function nodeCommand(options: LaunchOptions, host: string, port: number): NodeCommand {
  const common = [
    "--no-analytics",
    "--http-addr",
    `${host}:${port}`,
    "--db-path",
    join(options.dataDir, "data.ms"),
    ...(options.masterKey === undefined ? [] : ["--master-key", options.masterKey]),
  ];
  return options.kind === "binary"
    ? binaryCommand(options, common)
    : embeddedCommand(common, options.args ?? [], options.faultControl === true);
}

function binaryCommand(options: LaunchOptions, common: readonly string[]): NodeCommand {
  const file = options.binaryPath ?? findMeilisearchBinary();
  if (file === undefined) {
    throw new NodeLaunchError(
      "binary_not_found",
      "no Meilisearch binary: set MEILISEARCH_BIN, put `meilisearch` on PATH, or launch an embedded node",
    );
  }
  return {
    file,
    args: [
      ...common,
      "--dump-dir",
      join(options.dataDir, "dumps"),
      "--snapshot-dir",
      join(options.dataDir, "snapshots"),
      ...(options.args?.includes(INDEXING_MEMORY[0]) === true ? [] : INDEXING_MEMORY),
      ...(options.args ?? []),
    ],
    // Meilisearch reads ./config.toml where there is one: run it where nobody else's can lie.
    cwd: options.dataDir,
    followsParent: false,
  };
}

function embeddedCommand(
  common: readonly string[],
  extra: readonly string[],
  faultControl: boolean,
): NodeCommand {
  const args = [...common, ...(faultControl ? ["--fault-control"] : []), ...extra];
  const compiled = join(here, "..", "embedded", "main.js");
  if (!runsFromSources && existsSync(compiled)) {
    return { file: process.execPath, args: [compiled, ...args], cwd: process.cwd(), followsParent: true };
  }
  const root = join(here, "..", "..");
  return {
    file: process.execPath,
    args: ["--import", "tsx", join(root, "src", "embedded", "main.ts"), ...args],
    // `tsx` is resolved from the working directory.
    cwd: root,
    followsParent: true,
  };
}
