import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Redis } from "ioredis";
import { describe } from "vitest";
import { findFreePort } from "../../src/nodes/ports.js";
import { dockerEngineAnswers } from "./docker.js";

/** What the suites' Redis is: a private process of a binary, or a container of the official image. */
export type RedisBackendKind =
  | { readonly kind: "binary"; readonly path: string; readonly version: string }
  | { readonly kind: "container" }
  | { readonly kind: "none" };

/** Options of `startRedis`. */
export interface StartRedisOptions {
  /** Further settings, as on the command line: `["--maxmemory", "64mb"]`. */
  readonly args?: readonly string[];
  /** In cluster mode: one server that owns every slot, or, as a `member`, one without slots that a test gives its part. */
  readonly cluster?: boolean | "member";
  /** `always` unless given. */
  readonly appendfsync?: "always" | "everysec" | "no";
  /** Port to listen on; a free one unless given. */
  readonly port?: number;
}

/** A private server, and ways to hurt it. Its data stays in its directory until `stop`. */
export interface RedisServer {
  readonly port: number;
  readonly pid: number;
  /** Where its data is. */
  readonly directory: string;
  /** The store URL of a fresh keyspace on it; every call names another. */
  freshUrl(): string;
  /** Sends a signal; resolves at once. */
  signal(signal: NodeJS.Signals): void;
  /** Ends the process with SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port; resolves when it answers, unless `wait` is false. */
  start(wait?: boolean): Promise<void>;
  /** A plain client, which the server ends with. */
  client(): Redis;
  /** Ends the process and deletes its data. */
  stop(): Promise<void>;
}

async function chooseBackend(): Promise<RedisBackendKind> {
  const path = findRedisBinary();
  if (path !== undefined) {
    const version = /v=(\S+)/.exec(execFileSync(path, ["--version"], { encoding: "utf8" }))?.[1];
    return { kind: "binary", path, version: version ?? "unknown" };
  }
  return (await dockerEngineAnswers()) ? { kind: "container" } : { kind: "none" };
}

function findRedisBinary(): string | undefined {
  const named = process.env.REDIS_SERVER_BIN;
  const directories = (process.env.PATH ?? "").split(delimiter);
  const candidates = [
    ...(named ? [named] : []),
    ...directories.map((directory) => join(directory, "redis-server")),
    ...directories.map((directory) => join(directory, "valkey-server")),
  ];
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The server of this run: `REDIS_SERVER_BIN`, `redis-server` or `valkey-server` on PATH, Docker, else none. */
export const redisBackend: RedisBackendKind = await chooseBackend();

if (redisBackend.kind === "none" && process.env.MIROIR_REQUIRE_REDIS === "1") {
  throw new Error("MIROIR_REQUIRE_REDIS=1, but there is neither a redis-server on PATH nor a Docker engine");
}

/** Whether the suites can have a Redis of their own that they can kill. */
export const hasRedisBinary = redisBackend.kind === "binary";

let announced = false;

/** Says once which server the suites of this file run on. */
export function announceRedis(): void {
  if (announced) return;
  announced = true;
  const text =
    redisBackend.kind === "binary"
      ? `${redisBackend.path} (${redisBackend.version})`
      : redisBackend.kind === "container"
        ? "a container"
        : "none found: its cases are skipped";
  process.stderr.write(`Redis: ${text}\n`);
}

/** `describe`, skipped loudly where there is no Redis binary. */
export const describeWithRedis: (name: string, body: () => void) => void = (name, body) => {
  announceRedis();
  describe.skipIf(!hasRedisBinary)(name, body);
};

/** Starts a private server, and resolves when it answers. The caller stops it. */
export async function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  announceRedis();
  if (redisBackend.kind !== "binary") throw new Error("there is no Redis binary on this machine");
  const { path } = redisBackend;
  const directory = mkdtempSync(join(tmpdir(), "miroir-redis-"));
  const port = options.port ?? (await findFreePort());
  const args = [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no"],
    ...["--save", "", "--appendonly", "yes", "--appendfsync", options.appendfsync ?? "always"],
    ...["--loglevel", "warning", "--repl-diskless-sync-delay", "0"],
    ...(options.cluster ? ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"] : []),
    ...(options.args ?? []),
  ];
  let child: ChildProcess | undefined;
  let keyspaces = 0;
  const clients: Redis[] = [];
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    running.kill("SIGKILL");
    await ended;
  };
  const start = async (wait = true): Promise<void> => {
    child = spawn(path, args, { stdio: "ignore" });
    if (wait) await whenAnswering(port, child);
  };
  const server: RedisServer = {
    port,
    directory,
    get pid() {
      return child?.pid ?? 0;
    },
    freshUrl: () => {
      keyspaces++;
      const scheme = options.cluster ? "redis+cluster" : "redis";
      return `${scheme}://127.0.0.1:${port}?key_prefix=test-${keyspaces}`;
    },
    signal: (signal) => {
      child?.kill(signal);
    },
    kill,
    start,
    client: () => {
      const client = new Redis({ host: "127.0.0.1", port, maxRetriesPerRequest: 0 });
      client.on("error", () => undefined);
      clients.push(client);
      return client;
    },
    stop: async () => {
      for (const client of clients) client.disconnect();
      child?.kill("SIGCONT");
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await start();
  if (options.cluster === true) {
    const client = server.client();
    await client.call("CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
    while (!String(await client.call("CLUSTER", "INFO")).includes("cluster_state:ok")) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return server;
}

/** Resolves when the server answers PING with PONG, or asks for a password first: started and loaded. */
async function whenAnswering(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the Redis server ended with code ${child.exitCode}`);
    const answer = await ping(port);
    if (answer.startsWith("+PONG") || answer.startsWith("-NOAUTH")) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function ping(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.once("data", (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once("error", () => resolve(""));
    socket.once("close", () => resolve(""));
  });
}
