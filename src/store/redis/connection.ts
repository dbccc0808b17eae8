import { Cluster, type ClusterNode, Redis, type RedisOptions } from "ioredis";
import type { Clock, Timers } from "../../runtime/world.js";
import { StoreClosedError, StoreUnavailableError } from "../errors.js";
import { describeLocation, type RedisLocation } from "../store-location.js";
import { classify, DeadlineError, toStoreError } from "./redis-errors.js";
import { readScripts, type Script } from "./script-library.js";

/** Certificates for a TLS connection, in PEM. */
export interface RedisTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** How to reach the server. */
export interface RedisConnectionOptions {
  readonly location: RedisLocation;
  readonly tls?: RedisTls;
  readonly clock: Pick<Clock, "monotonic">;
  readonly timers: Timers;
  /** Milliseconds after which a call is given up; 5,000 unless given. */
  readonly deadlineMs?: number;
}

/** What a call is for: reads are repeated after a lost connection, writes never are; `durable` ones wait for replicas. */
export type CallMode = "read" | "write" | "durable";

/** A client that takes commands: of one server, or of a cluster. */
export type RedisClient = Redis | Cluster;

const firstRetryMs = 20;
const maxRetryMs = 500;

/**
 * One connection to a server, found again after it is lost. Each call has a deadline, within which what the server
 * certainly did not execute is tried again; a write of which that is not known rejects as `maybe-executed`.
 */
export class RedisConnection {
  /** The location without secrets, for messages. */
  readonly place: string;
  readonly #client: RedisClient;
  readonly #scripts: ReadonlyMap<string, Script>;
  readonly #options: RedisConnectionOptions;
  readonly #deadlineMs: number;
  #closed = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? 5_000;
    this.#scripts = readScripts();
    this.place = describeLocation(options.location);
    this.#client = createClient(options);
    // Every failure reaches the call that meets it; the client repeats them as events besides.
    this.#client.on("error", () => undefined);
    this.#client.connect().catch(() => undefined);
  }

  /**
   * Runs a script by its hash, or by its source where the server does not know it (restarted, flushed, failed
   * over). `keys` are all in one slot. Replies are as Lua gave them, strings decoded as UTF-8.
   */
  run(
    name: string,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
  ): Promise<unknown> {
    return this.#runScript(name, keys, args, mode, operation, false);
  }

  /** `run`, with strings of the reply as bytes. */
  runForBytes(
    name: string,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
  ): Promise<unknown> {
    return this.#runScript(name, keys, args, mode, operation, true);
  }

  /** Runs plain commands that only read. They may be sent more than once. */
  read<T>(operation: string, body: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.#call(operation, "read", body);
  }

  /** Another client to the same server, for subscriptions; the caller ends it. */
  duplicate(): Redis {
    throw new Error(`${this.place}: not built yet`);
  }

  /** Ends the connection after the calls under way; calls after it reject with `StoreClosedError`. Twice does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#client.status === "ready") await this.#client.quit().catch(() => undefined);
    this.#client.disconnect();
  }

  #runScript(
    name: string,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
    bytes: boolean,
  ): Promise<unknown> {
    const script = this.#scripts.get(name);
    if (script === undefined) throw new Error(`There is no script ${name}.lua; reinstall Miroir.`);
    const parameters = [...keys, ...args];
    return this.#call(operation, mode, async (client) => {
      try {
        return await (bytes
          ? client.callBuffer("EVALSHA", script.sha, keys.length, ...parameters)
          : client.evalsha(script.sha, keys.length, ...parameters));
      } catch (error) {
        if (classify(error) !== "no-script") throw error;
        return await (bytes
          ? client.callBuffer("EVAL", script.source, keys.length, ...parameters)
          : client.eval(script.source, keys.length, ...parameters));
      }
    });
  }

  async #call<T>(operation: string, mode: CallMode, body: (client: RedisClient) => Promise<T>): Promise<T> {
    const until = this.#options.clock.monotonic() + this.#deadlineMs;
    for (let attempt = 0; ; attempt++) {
      if (this.#closed) throw new StoreClosedError();
      await this.#ready(operation, until);
      try {
        const result = await this.#beforeDeadline(until, body(this.#client));
        if (mode === "durable") await this.#replicated(operation, until);
        return result;
      } catch (error) {
        const kind = classify(error);
        const repeatable = kind === "not-executed" || (mode === "read" && kind === "connection-lost");
        const pause = Math.min(firstRetryMs * 2 ** attempt, maxRetryMs);
        const late = this.#options.clock.monotonic() + pause >= until;
        if (!repeatable || late) {
          throw toStoreError(error, operation, this.place, mode === "read");
        }
        await this.#options.timers.sleep(pause);
      }
    }
  }

  /** Waits until commands can be sent; what waits in vain was certainly not executed. */
  async #ready(operation: string, until: number): Promise<void> {
    const client = this.#client;
    if (client.status === "ready") return;
    let stop = (): void => undefined;
    const ready = new Promise<void>((resolve) => {
      const onReady = (): void => resolve();
      client.once("ready", onReady);
      stop = () => client.off("ready", onReady);
    });
    try {
      await this.#beforeDeadline(until, ready);
    } catch (error) {
      throw new StoreUnavailableError(
        `Could not ${operation} in ${this.place}: no connection within ${this.#deadlineMs} ms. ` +
          "Check that the server runs, is reachable, and accepts these credentials; repeat the call.",
        "certainly-aborted",
        { cause: error },
      );
    } finally {
      stop();
    }
  }

  /** Waits until as many replicas as are configured have what was written. */
  async #replicated(operation: string, until: number): Promise<void> {
    const { waitReplicas } = this.#options.location;
    if (waitReplicas === 0) return;
    const left = Math.max(1, Math.floor(until - this.#options.clock.monotonic()));
    const reached = await this.#beforeDeadline(until, this.#client.wait(waitReplicas, left));
    if (reached < waitReplicas) {
      throw new StoreUnavailableError(
        `Could not ${operation} in ${this.place} for sure: ${reached} of ${waitReplicas} replicas have it. ` +
          "Check the replicas, or lower wait_replicas.",
        "maybe-executed",
      );
    }
  }

  async #beforeDeadline<T>(until: number, work: Promise<T>): Promise<T> {
    const left = until - this.#options.clock.monotonic();
    return new Promise<T>((resolve, reject) => {
      const timer = this.#options.timers.after(Math.max(0, left), () =>
        reject(new DeadlineError(`no answer within ${this.#deadlineMs} ms`)),
      );
      work.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}

function createClient({ location, tls }: RedisConnectionOptions): RedisClient {
  const { servers, username, password, database } = location;
  const options: RedisOptions = {
    lazyConnect: true,
    // A call waits for the connection itself, so that it knows whether it was sent.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(firstRetryMs * 2 ** Math.min(times, 10), 1_000),
    connectTimeout: 3_000,
    keepAlive: 10_000,
    connectionName: "miroir",
    db: database,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(location.tls ? { tls: { ...tls } } : {}),
  };
  switch (servers.kind) {
    case "single":
      return new Redis({ ...options, ...servers.server });
    case "sentinel":
      return new Redis({
        ...options,
        sentinels: [...servers.sentinels],
        name: servers.primaryName,
        sentinelRetryStrategy: (times) => Math.min(firstRetryMs * 2 ** Math.min(times, 10), 1_000),
        // A primary that became a replica is left at once.
        reconnectOnError: (error) =>
          classify(error) === "not-executed" && error.message.startsWith("READONLY"),
        ...(location.sentinelPassword === undefined ? {} : { sentinelPassword: location.sentinelPassword }),
        ...(location.tls ? { enableTLSForSentinelMode: true, sentinelTLS: { ...tls } } : {}),
      });
    case "cluster": {
      const seeds: ClusterNode[] = [...servers.seeds];
      return new Cluster(seeds, {
        lazyConnect: true,
        enableOfflineQueue: false,
        clusterRetryStrategy: (times) => Math.min(firstRetryMs * 2 ** Math.min(times, 10), 1_000),
        // Never send a command again that a lost connection may have carried.
        retryDelayOnFailover: 0,
        redisOptions: options,
      });
    }
  }
}
