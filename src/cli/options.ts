import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import type { Config } from "./config.js";
import { loadConfig } from "./load-config.js";

/** Raw values of the shared flags, as commander gives them. */
export interface SharedFlags {
  readonly config?: string;
  readonly http?: string;
  readonly grpc?: string;
  readonly dataDir?: string;
  readonly store?: string;
  readonly dumpsDir?: string;
  readonly snapshotsDir?: string;
  readonly controlReplicas?: number;
  readonly masterKey?: string;
  readonly adminKey?: string;
  readonly node?: readonly string[];
  readonly nodeKey?: string;
  readonly groups?: number;
  readonly replicationFactor?: number;
  readonly shards?: number;
  readonly minInSync?: number;
  readonly control?: readonly string[];
  readonly proxyId?: string;
  readonly advertise?: string;
  readonly peer?: string;
  readonly unavailableShardPolicy?: string;
  readonly readSpread?: string;
  readonly httpPayloadSizeLimit?: number;
  readonly logLevel?: string;
}

/** The version that `package.json` names. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { version: string }).version;
}

/** Flags that every server command takes. */
export function addCommonFlags(command: Command, defaultLogLevel = "info"): Command {
  return command
    .option(
      "--config <file>",
      "YAML file with any of these settings; flags and MIROIR_* variables win over it",
    )
    .option("--admin-key <key>", "key of the admin API (16 bytes or more); open without one")
    .option(
      "--log-level <level>",
      `trace, debug, info, warn, error, fatal or silent (default: ${defaultLogLevel})`,
    );
}

/** Flags of the side that clients talk to. */
export function addProxyFlags(command: Command): Command {
  return command
    .option("--http <host:port>", "where the Meilisearch API is served (default: 127.0.0.1:7700)")
    .option("--master-key <key>", "clients' master key (16 bytes or more); the API is open without one")
    .option(
      "--unavailable-shard-policy <policy>",
      "what a search answers when a shard cannot be reached: partial or error (default: partial)",
    )
    .option(
      "--peer <host:port>",
      "where a proxy listens for the others (default: the host of --http, any free port)",
    )
    .option("--read-spread <spread>", "nodes of a group that a read goes to: few or many (default: few)")
    .option(
      "--http-payload-size-limit <bytes>",
      "largest request body (default: 100000000)",
      parseWholeNumber,
    );
}

/** Flags of the side that decides. */
export function addControlFlags(command: Command): Command {
  return command
    .option("--grpc <host:port>", "where gRPC and Connect are served (default: 127.0.0.1:7800)")
    .option("--data-dir <folder>", "where data is kept (default: .miroir/data)")
    .option(
      "--store <url>",
      "the task store: sqlite:///path or redis[s]://host:port/database (default: control.db in the data folder)",
    )
    .option("--dumps-dir <folder>", "where dumps are put (default: dumps in the data folder)")
    .option(
      "--snapshots-dir <folder>",
      "where manifests of snapshots are put (default: snapshots in the data folder)",
    )
    .option(
      "--control-replicas <count>",
      "control processes on one store; more than one needs Redis (default: 1)",
      parseWholeNumber,
    )
    .option("--node <url>", "a Meilisearch node; give it once for each", collect)
    .option("--node-key <key>", "the nodes' master key")
    .option("--groups <count>", "replica groups, each holding every shard (default: 1)", parseWholeNumber)
    .option(
      "--replication-factor <count>",
      "copies of a shard inside each group (default: 2 where a group has 2 nodes, else 1)",
      parseWholeNumber,
    )
    .option("--shards <count>", "shards of new indexes (default: 64)", parseWholeNumber)
    .option(
      "--min-in-sync <count>",
      "in-sync copies a write needs before it is sent (default: 2 of 3 or more copies, else 1)",
      parseWholeNumber,
    );
}

/** Adds up a flag that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** A flag's value as a whole number. @throws InvalidArgumentError */
export function parseWholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("expected a whole number.");
  return Number(text);
}

/**
 * The configuration of a command from its file, the environment and its flags; `defaults` are the command's own,
 * where they differ from the schema's.
 *
 * @throws CommandError (usage) that names every fault and its place.
 */
export function configFromFlags(
  flags: SharedFlags,
  environment: Readonly<Record<string, string | undefined>>,
  defaults: Readonly<Record<string, unknown>> = {},
): Config {
  return loadConfig({
    defaults,
    file: flags.config,
    environment,
    flags: {
      http: flags.http,
      grpc: flags.grpc,
      data_dir: flags.dataDir,
      store: flags.store,
      dumps_dir: flags.dumpsDir,
      snapshots_dir: flags.snapshotsDir,
      control_replicas: flags.controlReplicas,
      master_key: flags.masterKey,
      admin_key: flags.adminKey,
      nodes: flags.node?.map((url) => ({ url })),
      node_key: flags.nodeKey,
      groups: flags.groups,
      replication_factor: flags.replicationFactor,
      shards: flags.shards,
      min_in_sync: flags.minInSync,
      control: flags.control,
      proxy_id: flags.proxyId,
      advertise: flags.advertise,
      peer: flags.peer,
      unavailable_shard_policy: flags.unavailableShardPolicy,
      read_spread: flags.readSpread,
      http_payload_size_limit: flags.httpPayloadSizeLimit,
      log_level: flags.logLevel,
    },
  });
}
