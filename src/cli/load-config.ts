import { readFileSync } from "node:fs";
import { isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { type Config, configSchema } from "./config.js";
import { CommandError, ExitCode } from "./exit-codes.js";

/** Where values come from, weakest first: defaults, file, environment, flags. */
export interface ConfigSources {
  /** A command's own defaults; the schema's apply to what is in none of the sources. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Path of a YAML file; absent for none. */
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Members that flags gave; undefined members were not given. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** Members whose environment variable holds a number. */
const NUMBERS = new Set([
  "groups",
  "replication_factor",
  "shards",
  "min_in_sync",
  "control_replicas",
  "task_retention_max",
  "task_retention_hours",
  "history_retention_hours",
  "orphan_index_grace_hours",
  "settings_check_seconds",
  "repair_delay_seconds",
  "repair_documents_per_second",
  "copy_shards_per_node",
  "copies_at_once",
  "workflow_patience_seconds",
  "node_grace_seconds",
  "node_stall_seconds",
  "replica_check_seconds",
  "replica_check_documents_per_second",
  "hedge_percent",
  "max_concurrent_reads",
  "max_queued_reads",
  "read_timeout_ms",
  "http_payload_size_limit",
  "spool_threshold",
  "lease_duration_ms",
  "leader_lease_ms",
  "write_hold_ms",
  "node_write_timeout_ms",
]);

/** Members whose environment variable is `true` or `false`. */
const SWITCHES = new Set(["automatic_repair", "adaptive_reads", "coalesce_searches"]);

/** Members whose environment variable holds entries between commas. */
const LISTS = new Set(["control", "allowed_ip_networks"]);

/**
 * Reads, merges and validates the configuration.
 *
 * @throws CommandError (usage) that names every fault with its place (file, line and column; variable; flag) and what
 * is expected there. Of a file that is no YAML, the first fault is named.
 */
export function loadConfig(sources: ConfigSources): Config {
  const file = sources.file === undefined ? undefined : readConfigFile(sources.file);
  const environment = readEnvironment(sources.environment);
  const flags = Object.fromEntries(Object.entries(sources.flags).filter(([, value]) => value !== undefined));
  const merged = { ...sources.defaults, ...file?.values, ...environment, ...flags };
  const result = configSchema.safeParse(merged);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap(withOneKeyEach).map(({ path, message }) => {
    const name = String(path[0] ?? "");
    const place =
      name in flags
        ? flagName(name, path, flags)
        : name in environment
          ? `environment variable MIROIR_${name.toUpperCase()}`
          : (file?.position(path) ?? "configuration");
    return `${place}: ${path.join(".") || "configuration"}: ${message}`;
  });
  throw new CommandError(ExitCode.usage, `the configuration is not valid:\n  ${faults.join("\n  ")}`);
}

type Path = readonly PropertyKey[];

interface Fault {
  readonly path: Path;
  readonly message: string;
}

/** Unknown members come as one issue of the object that holds them; each is a fault with a place of its own. */
function withOneKeyEach(issue: z.core.$ZodIssue): readonly Fault[] {
  if (issue.code !== "unrecognized_keys") return [issue];
  return issue.keys.map((key) => ({ path: [...issue.path, key], message: "there is no such setting" }));
}

/** The flag that gave a value; of a repeated flag, with the value that is at fault. */
function flagName(name: string, path: Path, flags: ConfigSources["flags"]): string {
  if (name !== "nodes" && name !== "control") return `--${name.replaceAll("_", "-")}`;
  const flag = name === "nodes" ? "--node" : "--control";
  const values: unknown = flags[name];
  const at = path[1];
  const value: unknown = Array.isArray(values) && typeof at === "number" ? values[at] : undefined;
  const text = typeof value === "object" && value !== null && "url" in value ? value.url : value;
  return typeof text === "string" ? `${flag} ${text}` : flag;
}

interface ConfigFile {
  readonly values: Record<string, unknown>;
  /** `file:line:column` of the value at a path, or of the nearest that the file holds. */
  position(path: Path): string;
}

function readConfigFile(path: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new CommandError(ExitCode.usage, `cannot read the configuration file ${path}`, { cause: error });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const [fault] = document.errors;
  if (fault !== undefined) throw new CommandError(ExitCode.usage, `${place(fault.pos[0])}: ${fault.message}`);
  const values = plainValues(path, document);
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new CommandError(ExitCode.usage, `${path}:1:1: expected a mapping of configuration members`);
  }
  return {
    values: values as Record<string, unknown>,
    position: (at) => {
      const offset = offsetOf(document, at);
      return offset === undefined ? path : place(offset);
    },
  };
}

function plainValues(path: string, document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    // Aliases are resolved only here; those that lead nowhere or multiply without end are refused.
    throw new CommandError(ExitCode.usage, `${path}: the file's aliases cannot be resolved`, {
      cause: error,
    });
  }
}

/** Where the member at a path begins, or the longest part of the path that the file holds. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: Path): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent: unknown =
      length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    if (isMap(parent)) {
      const key = parent.items.find((pair) => isScalar(pair.key) && pair.key.value === last)?.key;
      if (isNode(key) && key.range) return key.range[0];
    }
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0];
}

function readEnvironment(environment: ConfigSources["environment"]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(configSchema.shape)) {
    const text = environment[`MIROIR_${name.toUpperCase()}`];
    if (text === undefined || text === "") continue;
    if (name === "nodes") values.nodes = text.split(",").map((url) => ({ url: url.trim() }));
    else if (LISTS.has(name)) values[name] = text.split(",").map((entry) => entry.trim());
    else if (NUMBERS.has(name)) values[name] = Number(text);
    else if (SWITCHES.has(name) && (text === "true" || text === "false")) values[name] = text === "true";
    else values[name] = text;
  }
  return values;
}
