import { Redis, type RedisOptions } from "ioredis";
import type { Timers } from "../../runtime/world.js";
import type { RedisLocation } from "../store-location.js";
import { routeToSlot, type SlotRouting } from "./slot-connector.js";

/** Certificates for a TLS connection, in PEM. */
export interface RedisTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** A client that takes commands. In a cluster it stays with the node that serves the store's slot. */
export type RedisClient = Redis;

const firstRetryMs = 20;
const maxRetryMs = 500;
const connectTimeoutMs = 3_000;
/** How often a server that loads its data is asked whether it has finished. */
const loadingPollMs = 100;

/** Milliseconds before the `times`-th attempt to connect. */
function reconnectDelay(times: number): number {
  return Math.min(firstRetryMs * 2 ** Math.min(times, 10), maxRetryMs);
}

/** Builds clients for one location, which share what they learn about its nodes. */
export function clientFactory(
  location: RedisLocation,
  tls: RedisTls | undefined,
  timers: Timers,
): (overrides?: RedisOptions) => RedisClient {
  const { servers, username, password, database, sentinelPassword } = location;
  const common: RedisOptions = {
    connectTimeout: connectTimeoutMs,
    // How long a connection that is given up may linger before it is cut.
    disconnectTimeout: 200,
    keepAlive: 10_000,
    connectionName: "miroir",
    // Nobody asks for the library's name and version, and older servers refuse them.
    disableClientInfo: true,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(location.tls ? { tls: { ...tls } } : {}),
  };
  let routing: SlotRouting | undefined;
  const options: RedisOptions = {
    ...common,
    lazyConnect: true,
    db: database,
    // A call waits for the connection itself, so that it knows whether it was sent; nothing is sent twice.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: loadingPollMs,
    retryStrategy: reconnectDelay,
    // The server is not, or no longer, the one to talk to: the next connection looks for the one that is.
    reconnectOnError: (error) => {
      const [code, , address] = error.message.split(" ");
      if (code === "MOVED" && address !== undefined) routing?.learn(address);
      return code === "MOVED" || code === "READONLY";
    },
  };
  switch (servers.kind) {
    case "single":
      Object.assign(options, servers.server);
      break;
    case "sentinel":
      Object.assign(options, {
        sentinels: servers.sentinels.map((sentinel) => ({ ...sentinel })),
        name: servers.primaryName,
        sentinelRetryStrategy: reconnectDelay,
        sentinelCommandTimeout: connectTimeoutMs,
        ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
        ...(location.tls ? { enableTLSForSentinelMode: true, sentinelTLS: { ...tls } } : {}),
      });
      break;
    case "cluster":
      routing = routeToSlot({
        seeds: servers.seeds,
        key: `{${location.keyPrefix}}`,
        client: common,
        timers,
      });
      options.Connector = routing.Connector;
      break;
  }
  return (overrides = {}) => new Redis({ ...options, ...overrides });
}
