import { InvalidArgumentError } from "./errors.js";

/** Where a store is. */
export type StoreLocation = SqliteLocation | RedisLocation;

/** A SQLite file. */
export interface SqliteLocation {
  readonly kind: "sqlite";
  /** As it was given; relative to the working directory. `:memory:` for a store that ends with the process. */
  readonly path: string;
}

/** A host and its port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Which Redis servers there are, and how the one to write to is found. */
export type RedisServers =
  | { readonly kind: "single"; readonly server: HostPort }
  | { readonly kind: "sentinel"; readonly sentinels: readonly HostPort[]; readonly primaryName: string }
  | { readonly kind: "cluster"; readonly seeds: readonly HostPort[] };

/** A keyspace on Redis or Valkey. */
export interface RedisLocation {
  readonly kind: "redis";
  readonly servers: RedisServers;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** What the sentinels ask for; undefined for none. */
  readonly sentinelPassword: string | undefined;
  /** 0 in a cluster. */
  readonly database: number;
  /** The hash tag of every key: all of them are in one slot of a cluster. */
  readonly keyPrefix: string;
  /** Replicas that must have what is written durably before a call resolves; 0 for none. */
  readonly waitReplicas: number;
}

const forms =
  "sqlite:///path/to/file, redis://[user:password@]host[:port][/database], " +
  "redis+sentinel://host[:port][,host…]/primary-name[/database] or redis+cluster://host[:port][,host…]; " +
  "rediss instead of redis for TLS; ?key_prefix=NAME, ?wait_replicas=N and ?sentinel_password=… on Redis";

const redisUrl =
  /^(?<scheme>rediss?)(?:\+(?<mode>sentinel|cluster))?:\/\/(?:(?<auth>[^@/?#]*)@)?(?<hosts>[^/?#@]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/;

/**
 * Reads a store's URL.
 *
 * @throws InvalidArgumentError that says what is wrong and which forms there are; it never repeats a password.
 */
export function parseStoreUrl(url: string): StoreLocation {
  if (url.startsWith("sqlite:")) return parseSqlite(url);
  const parts = redisUrl.exec(url)?.groups;
  if (parts === undefined) throw invalid("it is none of the known forms");
  const { scheme, mode, auth, hosts = "", path = "", query = "" } = parts;
  // An @ further on means that a password with / or ? was not encoded: nothing after it may be repeated.
  if (/@/.test(`${path}${query}`)) {
    throw invalid(
      "it has an @ after the host; in passwords write %40 for @, %2F for /, %3F for ?, %23 for #",
    );
  }
  const { parameters, waitReplicas, keyPrefix } = parseQuery(query);
  const [first = "", second = ""] = path.split("/");
  if (path.split("/").length > (mode === "sentinel" ? 2 : 1)) throw invalid(`"/${path}" has too many parts`);
  const common = {
    kind: "redis",
    tls: scheme === "rediss",
    ...parseAuth(auth),
    sentinelPassword: parameters.get("sentinel_password") ?? undefined,
    keyPrefix,
    waitReplicas,
  } as const;
  if (mode === "sentinel") {
    if (first === "") throw invalid("the name of the primary is missing after the sentinels");
    const servers = {
      kind: "sentinel",
      sentinels: parseHosts(hosts, 26_379),
      primaryName: decode(first),
    } as const;
    return { ...common, servers, database: parseDatabase(second) };
  }
  if (mode === "cluster") {
    if (first !== "" && first !== "0") throw invalid("a cluster has database 0 only");
    return { ...common, servers: { kind: "cluster", seeds: parseHosts(hosts, 6_379) }, database: 0 };
  }
  const [server, ...others] = parseHosts(hosts, 6_379);
  if (server === undefined || others.length > 0) {
    throw invalid("it names several hosts; write redis+cluster:// or redis+sentinel:// for those");
  }
  return { ...common, servers: { kind: "single", server }, database: parseDatabase(first) };
}

/** The location for people: without user, password and parameters. */
export function describeLocation(location: StoreLocation): string {
  if (location.kind === "sqlite") return location.path;
  const { servers, tls, database, keyPrefix } = location;
  const scheme = tls ? "rediss" : "redis";
  const join = (hosts: readonly HostPort[]): string => hosts.map(formatHost).join(",");
  switch (servers.kind) {
    case "single":
      return `${scheme}://${formatHost(servers.server)}/${database} (keys {${keyPrefix}}:*)`;
    case "sentinel":
      return `${scheme}+sentinel://${join(servers.sentinels)}/${servers.primaryName}/${database} (keys {${keyPrefix}}:*)`;
    case "cluster":
      return `${scheme}+cluster://${join(servers.seeds)} (keys {${keyPrefix}}:*)`;
  }
}

function parseSqlite(url: string): SqliteLocation {
  const path = decode(url.slice("sqlite:".length).replace(/^\/\//, ""));
  if (path === "" || path.endsWith("/")) throw invalid("a SQLite store is a file; name it");
  if (/[?#]/.test(path)) throw invalid("a SQLite store takes no parameters");
  return { kind: "sqlite", path };
}

function parseAuth(auth: string | undefined): Pick<RedisLocation, "username" | "password"> {
  if (auth === undefined || auth === "") return { username: undefined, password: undefined };
  const colon = auth.indexOf(":");
  if (colon < 0) throw invalid("what stands before @ is user:password, or :password without a user");
  const username = decode(auth.slice(0, colon));
  const password = decode(auth.slice(colon + 1));
  return {
    username: username === "" ? undefined : username,
    password: password === "" ? undefined : password,
  };
}

function parseHosts(hosts: string, defaultPort: number): readonly HostPort[] {
  return hosts.split(",").map((text) => {
    const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^\s:[\]]+))(?::(?<port>\d{1,5}))?$/.exec(text);
    const host = match?.groups?.v6 ?? match?.groups?.name;
    const port = Number(match?.groups?.port ?? defaultPort);
    if (host === undefined || port < 1 || port > 65_535) throw invalid(`"${text}" is not HOST or HOST:PORT`);
    return { host, port };
  });
}

function parseDatabase(text: string): number {
  if (text === "") return 0;
  if (!/^\d{1,5}$/.test(text)) throw invalid(`the database is a number, not "${text}"`);
  return Number(text);
}

function parseQuery(query: string): {
  parameters: URLSearchParams;
  waitReplicas: number;
  keyPrefix: string;
} {
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!["key_prefix", "wait_replicas", "sentinel_password"].includes(name)) {
      throw invalid(`there is no parameter "${name}"`);
    }
  }
  const keyPrefix = parameters.get("key_prefix") ?? "miroir";
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(keyPrefix)) {
    throw invalid("key_prefix has 1 to 64 letters, digits, dots, hyphens and underscores");
  }
  const waitReplicas = Number(parameters.get("wait_replicas") ?? "0");
  if (!Number.isInteger(waitReplicas) || waitReplicas < 0 || waitReplicas > 16) {
    throw invalid("wait_replicas is a number from 0 to 16");
  }
  return { parameters, waitReplicas, keyPrefix };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("it has a % that is not followed by two hexadecimal digits; write %25 for %");
  }
}

function formatHost({ host, port }: HostPort): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function invalid(what: string): InvalidArgumentError {
  return new InvalidArgumentError(`The store's URL is not valid: ${what}. Forms: ${forms}.`);
}
