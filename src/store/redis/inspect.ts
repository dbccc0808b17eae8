import { StoreError, StoreUnavailableError } from "../errors.js";
import { leaseScope } from "../ids.js";
import type { CheckProgress, SchemaState, StoreCheck, StoreInspection } from "../inspect.js";
import { FindingList } from "../inspect.js";
import { KeyspaceCheck } from "./check.js";
import type { RedisBackend } from "./commit.js";
import { RedisConnection } from "./connection.js";
import { Keyspace } from "./keyspace.js";
import { RedisLeaseTable } from "./lease-table.js";
import type { RedisTaskStoreOptions } from "./redis-task-store.js";
import { keyspaceVersions, readSchema } from "./schema.js";
import { checkServer } from "./server-checks.js";
import { RedisTransferSources } from "./transfer-sources.js";

type InspectOptions = Pick<RedisTaskStoreOptions, "location" | "world" | "tls">;

/** The part of `inspectStore` for a keyspace on Redis. */
export function inspectRedisStore(options: InspectOptions): Promise<StoreInspection> {
  return connected(options, async (backend) => {
    const warnings: string[] = [];
    const schema = await schemaOf(backend, options, warnings);
    const { software, bytes } = await aboutServer(backend);
    const readable = schema.kind === "current" || schema.kind === "behind";
    return {
      backend: "redis",
      location: backend.connection.place,
      software,
      schema,
      bytes,
      rows: readable ? await new RedisTransferSources(backend).count() : undefined,
      leader: readable ? await leaderOf(backend) : undefined,
      warnings,
    };
  });
}

/** The part of `checkStore` for a keyspace on Redis. */
export function checkRedisStore(
  options: InspectOptions,
  onProgress: (progress: CheckProgress) => void,
): Promise<StoreCheck> {
  return connected(options, async (backend) => {
    const findings = new FindingList();
    await new KeyspaceCheck(backend, findings, onProgress).run();
    return findings.result();
  });
}

async function connected<T>(
  { location, tls, world }: InspectOptions,
  body: (backend: RedisBackend) => Promise<T>,
): Promise<T> {
  const connection = new RedisConnection({
    location,
    clock: world.clock,
    timers: world.timers,
    ...(tls === undefined ? {} : { tls }),
  });
  try {
    return await body({ connection, keys: new Keyspace(location.keyPrefix), now: () => "" });
  } finally {
    await connection.close();
  }
}

async function schemaOf(
  backend: RedisBackend,
  { location }: InspectOptions,
  warnings: string[],
): Promise<SchemaState> {
  try {
    await checkServer(backend.connection, {
      waitReplicas: location.waitReplicas,
      onWarning: (warning) => warnings.push(warning),
    });
    const version = await readSchema(backend);
    const known = keyspaceVersions.length;
    if (version === 0) return { kind: "absent" };
    if (version === known) return { kind: "current", version };
    const pending = keyspaceVersions.slice(version).map((step) => `${step.version} ${step.name}`);
    return { kind: "behind", version, known, pending };
  } catch (error) {
    if (!(error instanceof StoreError) || error instanceof StoreUnavailableError) throw error;
    return { kind: "refused", reason: error.message };
  }
}

/** What the server says of itself; an ACL, or a managed service, may keep it back. */
export async function aboutServer({
  connection,
}: RedisBackend): Promise<Pick<StoreInspection, "software" | "bytes">> {
  const info = await connection
    .read("ask the server about itself", (client) => client.info())
    .catch((error: unknown) => {
      if (error instanceof StoreError) return "";
      throw error;
    });
  const fact = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];
  const valkey = fact("valkey_version");
  const redis = fact("redis_version");
  const bytes = fact("used_memory");
  return {
    software: valkey !== undefined ? `Valkey ${valkey}` : redis === undefined ? undefined : `Redis ${redis}`,
    bytes: bytes === undefined ? undefined : Number(bytes),
  };
}

async function leaderOf(backend: RedisBackend): Promise<StoreInspection["leader"]> {
  const lease = await new RedisLeaseTable(backend).current(leaseScope("leader"));
  if (lease === undefined) return undefined;
  const [seconds] = await backend.connection.read("ask the server for its time", (client) => client.time());
  return { ...lease, live: lease.expiresAt > Number(seconds) * 1_000 };
}
