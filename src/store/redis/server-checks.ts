import { StoreUnavailableError, StoreUnsuitableError } from "../errors.js";
import type { RedisClient, RedisConnection } from "./connection.js";
import { advice } from "./redis-errors.js";

/** The first version whose scripts declare their flags, on which the store's scripts rest. */
const oldestVersion = [7, 0] as const;

/** What the checks ask of a server, by name; values as the server prints them. */
type Facts = ReadonlyMap<string, string>;

/**
 * Looks at the server before a store is made or opened on it. Rejects with `StoreUnsuitableError` where it would lose
 * rows or cannot run the scripts, with `StoreUnavailableError` where it is a replica. Tells `onWarning`, once for each
 * finding, what puts rows at risk and what could not be found out. Writes nothing.
 */
export async function checkServer(
  connection: RedisConnection,
  options: { readonly waitReplicas: number; readonly onWarning?: (warning: string) => void },
): Promise<void> {
  const { place } = connection;
  const warn = (warning: string): void => options.onWarning?.(`${place}: ${warning}`);
  const { info, config, refusals } = await connection.read("look at the server's settings", askServer);
  for (const refusal of refusals) {
    warn(`${refusal} Miroir cannot tell whether this server keeps what is written; see to it yourself.`);
  }
  checkKind(place, info);
  checkEviction(place, info.get("maxmemory_policy") ?? config.get("maxmemory-policy"), warn);
  checkPersistence(info, config, warn);
  const replicas = Number(info.get("connected_slaves") ?? Number.NaN);
  if (options.waitReplicas === 0 && replicas > 0) {
    warn(
      "it has replicas, and wait_replicas is 0: a failover loses what they had not received, fencing numbers among it. " +
        "Add ?wait_replicas=1 or more to the store's URL.",
    );
  }
  if (replicas < options.waitReplicas) {
    warn(
      `wait_replicas is ${options.waitReplicas}, but ${replicas} replicas are connected. ` +
        "Leases and topologies cannot be written until there are enough.",
    );
  }
}

/** Everything that can be asked; an ACL, or a managed service, may refuse parts of it. */
async function askServer(client: RedisClient): Promise<{ info: Facts; config: Facts; refusals: string[] }> {
  const refusals: string[] = [];
  const ask = async <T>(what: string, question: Promise<T>, nothing: T): Promise<T> => {
    try {
      return await question;
    } catch (error) {
      if (!(error instanceof Error) || !/^(NOPERM|ERR unknown command)/.test(error.message)) throw error;
      refusals.push(`the server refuses ${what} (${error.message}).`);
      return nothing;
    }
  };
  const text = await ask("INFO", client.info(), "");
  const settings = (await ask(
    "CONFIG GET",
    client.call("CONFIG", "GET", "maxmemory-policy", "appendonly", "appendfsync"),
    [],
  )) as readonly string[];
  const config = new Map<string, string>();
  for (let i = 0; i + 1 < settings.length; i += 2) config.set(settings[i] ?? "", settings[i + 1] ?? "");
  const info = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) info.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return { info, config, refusals };
}

function checkKind(place: string, info: Facts): void {
  if (info.get("redis_mode") === "sentinel") {
    throw new StoreUnsuitableError(
      place,
      "it is a sentinel. Write redis+sentinel:// in the store's URL, with the primary's name.",
    );
  }
  const version = info.get("redis_version");
  if (version !== undefined && isOlder(version)) {
    throw new StoreUnsuitableError(
      place,
      `it is Redis ${version}. Use Redis ${oldestVersion.join(".")} or later, or Valkey.`,
    );
  }
  if (info.get("role") === "slave") {
    throw new StoreUnavailableError(
      `Could not open the store ${place}: ${advice(new Error("READONLY"))}`,
      "certainly-aborted",
    );
  }
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < oldestVersion[0] || (major === oldestVersion[0] && minor < oldestVersion[1]);
}

function checkEviction(place: string, policy: string | undefined, warn: (warning: string) => void): void {
  if (policy?.startsWith("allkeys-")) {
    throw new StoreUnsuitableError(
      place,
      `its maxmemory-policy is ${policy}, by which it drops any row when its memory is full. Set maxmemory-policy to noeviction.`,
    );
  }
  if (policy?.startsWith("volatile-")) {
    warn(
      `maxmemory-policy is ${policy}: when memory is full, sessions, idempotency keys and locked logins end before ` +
        "their time. Set maxmemory-policy to noeviction.",
    );
  }
}

function checkPersistence(info: Facts, config: Facts, warn: (warning: string) => void): void {
  const hasLog = info.get("aof_enabled") ?? { yes: "1", no: "0" }[config.get("appendonly") ?? ""];
  if (hasLog === "0") {
    warn(
      "it has no append-only file: a restart loses what was written since its last snapshot. Set appendonly to yes.",
    );
  } else if (config.get("appendfsync") === "no") {
    warn(
      "appendfsync is no: a power cut loses what the system had not written, often 30 seconds. Set it to everysec or always.",
    );
  }
}
