import { readFileSync } from "node:fs";
import { isNode, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { type Config, configSchema } from "./config.js";
import { CommandError, ExitCode } from "./exit-codes.js";

/** Where values come from, weakest first: file, environment, flags. */
export interface ConfigSources {
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
  "http_payload_size_limit",
  "spool_threshold",
  "lease_duration_ms",
  "node_write_timeout_ms",
]);

/**
 * Reads, merges and validates the configuration.
 *
 * @throws CommandError (usage) that names every fault with its place (file, line and column; variable; flag) and what is expected there.
 */
export function loadConfig(sources: ConfigSources): Config {
  const file = sources.file === undefined ? undefined : readConfigFile(sources.file);
  const environment = readEnvironment(sources.environment);
  const flags = Object.fromEntries(Object.entries(sources.flags).filter(([, value]) => value !== undefined));
  const merged = { ...file?.values, ...environment, ...flags };
  const result = configSchema.safeParse(merged);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => {
    const name = String(issue.path[0] ?? "");
    const place =
      name in flags
        ? `--${name.replaceAll("_", "-")}`
        : name in environment
          ? `environment variable MIROIR_${name.toUpperCase()}`
          : (file?.position(issue) ?? "configuration");
    return `${place}: ${issue.path.join(".") || "configuration"}: ${issue.message}`;
  });
  throw new CommandError(ExitCode.usage, `the configuration is not valid:\n  ${faults.join("\n  ")}`);
}

interface ConfigFile {
  readonly values: Record<string, unknown>;
  position(issue: z.core.$ZodIssue): string;
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
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const [fault] = document.errors;
  if (fault !== undefined) throw new CommandError(ExitCode.usage, `${at(fault.pos[0])}: ${fault.message}`);
  const values: unknown = document.toJS() ?? {};
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new CommandError(ExitCode.usage, `${path}:1:1: expected a mapping of configuration members`);
  }
  return {
    values: values as Record<string, unknown>,
    position: (issue) => {
      const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
      const node = nearestNode(document, unknownKey === undefined ? issue.path : [...issue.path, unknownKey]);
      return node?.range ? at(node.range[0]) : path;
    },
  };
}

/** The YAML node at a path, or at the longest part of it that the file holds. */
function nearestNode(
  document: ReturnType<typeof parseDocument>,
  path: readonly PropertyKey[],
): Node | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node;
  }
  return undefined;
}

function readEnvironment(environment: ConfigSources["environment"]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(configSchema.shape)) {
    const text = environment[`MIROIR_${name.toUpperCase()}`];
    if (text === undefined || text === "") continue;
    if (name === "nodes") values.nodes = text.split(",").map((url) => ({ url: url.trim() }));
    else if (name === "control") values.control = text.split(",").map((address) => address.trim());
    else if (NUMBERS.has(name)) values[name] = Number(text);
    else values[name] = text;
  }
  return values;
}
