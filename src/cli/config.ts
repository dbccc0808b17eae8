import { join } from "node:path";
import { z } from "zod";
import { isNetwork } from "../outbound/ip-policy.js";
import { InvalidArgumentError } from "../store/errors.js";
import { parseStoreUrl, type StoreLocation } from "../store/store-location.js";

const hostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$/, {
    error: "expected HOST:PORT, for example 127.0.0.1:7700",
    abort: true,
  })
  .refine((value) => splitHostPort(value).port <= 65_535, "the port must be at most 65535");

const nodeUrl = z
  .url({ protocol: /^https?$/, error: "expected a URL that begins with http:// or https://" })
  .transform((value) => value.replace(/\/+$/, ""));

const nodeSchema = z.strictObject({
  /** Miroir's name of the node; `node-0`, `node-1` … by position unless given. */
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, "expected lower-case letters, digits, dots and hyphens")
    .optional(),
  url: nodeUrl,
  /** The node's master key, or a key that may create keys; absent where the node runs without one. */
  key: z.string().min(1).optional(),
  /** The replica group; nodes are dealt out over the groups in turn unless given. */
  group: z.number().int().min(0).max(63).optional(),
  /** Where it stands: replicas of a shard go to different zones where they can. */
  zone: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/,
      "expected letters, digits, dots, slashes, hyphens and underscores",
    )
    .optional(),
  /** Its share of the shards beside the others'; 1 unless given. */
  weight: z.number().min(0.01).max(1_000).optional(),
});

const tlsSchema = z.strictObject({
  cert: z.string().min(1),
  key: z.string().min(1),
  /** Certificates that a client accepts, or a server demands of its clients. */
  ca: z.string().min(1).optional(),
});

/** A store's URL, read. What is said of a wrong one never repeats a password. */
const storeUrl = z.string().transform((url, context): StoreLocation => {
  try {
    return parseStoreUrl(url);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
    return z.NEVER;
  }
});

const storeTlsSchema = z
  .strictObject({
    /** Authorities to trust; the system's unless given. */
    ca: z.string().min(1).optional(),
    /** Miroir's own certificate and key, where the server asks for one. */
    cert: z.string().min(1).optional(),
    key: z.string().min(1).optional(),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), "cert and key belong together");

/**
 * The whole configuration of `miroir dev`, `control` and `proxy`. The same members in the YAML file
 * (`--config`), in the environment (`MIROIR_` and the name in capitals) and as flags; a flag wins over the
 * environment, the environment over the file.
 */
export const configSchema = z
  .strictObject({
    /** Where the proxy serves Meilisearch's API. */
    http: hostPort.default("127.0.0.1:7700"),
    /** Where the control plane serves gRPC and Connect. */
    grpc: hostPort.default("127.0.0.1:7800"),
    /** Where proxies and operators reach this control process; the address of `grpc` unless given. */
    grpc_advertise: hostPort.optional(),
    /** Where `miroir dev` keeps its nodes, and the control plane its store unless `store` says otherwise. */
    data_dir: z.string().min(1).default(".miroir/data"),
    /** The control plane's store; the SQLite file `control.db` in `data_dir` unless given. */
    store: storeUrl.optional(),
    /** Certificates for a store that is reached over TLS. */
    store_tls: storeTlsSchema.optional(),
    /** Control processes that run at once on one store. */
    control_replicas: z.number().int().min(1).max(16).default(1),
    /** Where dumps are put; `dumps` in `data_dir` unless given. */
    dumps_dir: z.string().min(1).optional(),
    /** Where manifests of snapshots are put; `snapshots` in `data_dir` unless given. */
    snapshots_dir: z.string().min(1).optional(),
    /** Finished tasks that stay. */
    task_retention_max: z.number().int().min(0).max(100_000_000).default(1_000_000),
    /** Hours for which finished tasks stay; 0 for as long as there is room. */
    task_retention_hours: z.number().int().min(0).max(876_000).default(0),
    /** Hours for which finished jobs, workflows and canary runs stay. */
    history_retention_hours: z.number().int().min(1).max(876_000).default(168),
    /** Hours for which a physical index that nothing needs stays on its node; 0 for ever. */
    orphan_index_grace_hours: z.number().int().min(0).max(8_760).default(24),
    /** Seconds between two comparisons of all nodes' settings with the committed ones; 0 for never. */
    settings_check_seconds: z.number().int().min(0).max(86_400).default(60),
    /** Whether stale replicas on nodes that answer are repaired without being asked. */
    automatic_repair: z.boolean().default(true),
    /** Seconds that a replica stays stale before such a repair, so that its node may settle. */
    repair_delay_seconds: z.number().int().min(0).max(86_400).default(5),
    /** Documents that an automatic repair copies in a second, at most; 0 for as fast as the nodes' queues allow. */
    repair_documents_per_second: z.number().int().min(0).max(1_000_000).default(0),
    /** Shards that are copied to one node, or away from it, at a time. */
    copy_shards_per_node: z.number().int().min(1).max(4_096).default(16),
    /** Copies of shards under way at a time, over all indexes. */
    copies_at_once: z.number().int().min(1).max(1_000).default(4),
    /** Seconds that a change of the fleet may stand still before it is given up. */
    workflow_patience_seconds: z.number().int().min(60).max(31_536_000).default(3_600),
    /** Seconds that a node may be away before what it held is made anew on others; 0 for never. */
    node_grace_seconds: z.number().int().min(0).max(31_536_000).default(600),
    /** Seconds in which a node that finishes none of its tasks, although others have, is given up; 0 for never. */
    node_stall_seconds: z.number().int().min(0).max(86_400).default(600),
    /** Seconds between the beginnings of two comparisons of all replicas' documents; 0 for never. */
    replica_check_seconds: z.number().int().min(0).max(31_536_000).default(3_600),
    /** Documents that such a comparison reads from nodes in a second, at most. */
    replica_check_documents_per_second: z.number().int().min(1).max(1_000_000).default(2_000),
    /** Where finished tasks are told to, beside the webhooks that clients set. */
    task_webhook_url: z
      .url({ protocol: /^https?$/, error: "expected a URL that begins with http:// or https://" })
      .optional(),
    /** The whole `Authorization` header for that. */
    task_webhook_authorization_header: z
      .string()
      .regex(/^[\t\x20-\x7e]+$/, "expected printable ASCII characters")
      .optional(),
    /** Networks that are called for clients' webhooks and exports although they are local; `any` for all. */
    allowed_ip_networks: z
      .array(z.string().refine(isNetwork, "expected an IP network such as 10.1.0.0/16, or any"))
      .max(1_000)
      .default([]),
    /** Clients' master key; without one the API is open. Meilisearch takes short ones outside of production, and so does this. */
    master_key: z.string().min(1).optional(),
    /** Key of the admin API; without one it is open. */
    admin_key: z.string().min(16, "an admin key needs at least 16 bytes").optional(),
    nodes: z.array(nodeSchema).max(1_000).default([]),
    /** Key of every node that names none of its own. */
    node_key: z.string().min(1).optional(),
    /** Replica groups; each holds every shard. */
    groups: z.number().int().min(1).max(64).default(1),
    /** Copies of a shard inside each group. */
    replication_factor: z.number().int().min(1).max(16).optional(),
    /** Shards of indexes created from now on. */
    shards: z.number().int().min(1).max(4_096).default(64),
    /** In-sync copies a write needs before it is sent; 0 takes the default, 2 where there are 3 copies or more, else 1. */
    min_in_sync: z.number().int().min(0).max(16).default(0),
    /** Control planes that a proxy talks to. */
    control: z.array(hostPort).min(1).default(["127.0.0.1:7800"]),
    /** Stable name of this proxy; the host's name unless given. */
    proxy_id: z.string().min(1).max(128).optional(),
    /** Base URL under which other proxies reach this one. */
    advertise: nodeUrl.optional(),
    /** Where a proxy listens for the others; the host of `http` and any free port unless given. */
    peer: hostPort.optional(),
    /** What a search answers when a shard cannot be reached. */
    unavailable_shard_policy: z.enum(["partial", "error"]).default("partial"),
    /** Whether a read goes to as few nodes of a group as can serve it, or to all of them, each with a share. */
    read_spread: z.enum(["few", "many"]).default("few"),
    /** Requests to nodes that reads send for the case that another replica is slow, in percent of those they need; 0 for none. */
    hedge_percent: z.number().min(0).max(100).default(4),
    /** Whether replicas that take much longer than their peers are spared. */
    adaptive_reads: z.boolean().default(true),
    /** Whether equal searches that wait for their turn are sent once. */
    coalesce_searches: z.boolean().default(true),
    /** Searches and other reads that a proxy has under way at once. */
    max_concurrent_reads: z.number().int().min(1).max(65_536).default(256),
    /** Reads that wait for their turn. */
    max_queued_reads: z.number().int().min(0).max(65_536).default(1_024),
    /** Milliseconds that a read may take; shards that have not answered by then are missing. */
    read_timeout_ms: z.number().int().min(10).max(600_000).default(30_000),
    /** Largest request body, in bytes; Meilisearch's own default. */
    http_payload_size_limit: z.number().int().min(1).default(100_000_000),
    /** Request bodies above this many bytes are spooled to a temporary file. */
    spool_threshold: z.number().int().min(1_024).default(1_048_576),
    /** Milliseconds for which a write lease is granted. */
    lease_duration_ms: z.number().int().min(500).max(60_000).default(3_000),
    /** Milliseconds after which another control process leads in place of one that says nothing any more. */
    leader_lease_ms: z.number().int().min(1_000).max(60_000).default(5_000),
    /** Milliseconds for which a proxy without a write lease holds writes, from the lease's end on, for the next control process to grant one. */
    write_hold_ms: z.number().int().min(0).max(60_000).default(10_000),
    /** Milliseconds that a node may take to accept a write, beside a second for each megabyte of it, before its replica is left behind. */
    node_write_timeout_ms: z.number().int().min(500).max(600_000).default(10_000),
    log_level: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
    grpc_tls: tlsSchema.optional(),
  })
  .superRefine((config, context) => {
    const location = storeLocation(config);
    if (config.control_replicas > 1 && location.kind === "sqlite") {
      context.addIssue({
        code: "custom",
        path: ["control_replicas"],
        message: `a SQLite store serves one control process; for ${config.control_replicas} set store to redis://… (docs/guide/store.md)`,
      });
    }
    if (config.store_tls !== undefined && !(location.kind === "redis" && location.tls)) {
      context.addIssue({
        code: "custom",
        path: ["store_tls"],
        message: "the store is not reached over TLS; write rediss:// in store, or leave this out",
      });
    }
  });

/** A validated configuration; see {@link configSchema} for the members and their defaults. */
export type Config = z.output<typeof configSchema>;

/** Where the control plane keeps its store. */
export function storeLocation({ store, data_dir }: Pick<Config, "store" | "data_dir">): StoreLocation {
  return store ?? { kind: "sqlite", path: join(data_dir, "control.db") };
}

/** Where the control plane puts dumps, and manifests of snapshots. */
export function backupFolders({ dumps_dir, snapshots_dir, data_dir }: Config): {
  readonly dumps: string;
  readonly snapshots: string;
} {
  return {
    dumps: dumps_dir ?? join(data_dir, "dumps"),
    snapshots: snapshots_dir ?? join(data_dir, "snapshots"),
  };
}

/** A node as configured. */
export type ConfiguredNode = Config["nodes"][number];

/** A host as it is written in a URL: an IPv6 address in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Where a server that listens on `host` is reached from its own machine: loopback for the addresses that mean "every interface". */
export function loopbackOf(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** Splits a validated `HOST:PORT`; brackets around an IPv6 address are taken off. */
export function splitHostPort(value: string): { readonly host: string; readonly port: number } {
  const colon = value.lastIndexOf(":");
  return { host: value.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(value.slice(colon + 1)) };
}
