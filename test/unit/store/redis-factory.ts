import type { Redis } from "ioredis";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import { until } from "../../support/redis-fleet.js";
import type { RedisServer } from "../../support/redis-server.js";
import { type BackendServer, type BackendSpec, ManualClock, type StoreFactory } from "./harness.js";
import { openBackend } from "./open-backend.js";
import { expectConsistentTasks } from "./redis-consistency.js";

/** Where empty stores are made. Everything is asked for when a store is. */
export interface RedisPlace {
  /** The URL of a fresh keyspace. */
  freshUrl(): string;
  /** A plain client to the server that keeps it, which ends with the server. */
  clientFor(url: string): Promise<Redis>;
  /** The one server that keeps them all, which tests may hurt. */
  server?(): RedisServer;
}

/** Makes empty stores on servers that run. */
export function redisStores(place: RedisPlace): StoreFactory {
  return async () => {
    const clock = new ManualClock();
    const spec: BackendSpec = { url: place.freshUrl() };
    const stores: TaskStore[] = [];
    const open: Awaited<ReturnType<StoreFactory>>["open"] = async (limits) => {
      const store = await openBackend(spec, clock, limits);
      stores.push(store);
      return store;
    };
    const server = place.server?.();
    return {
      clock,
      spec,
      open,
      ...(server === undefined ? {} : { server: backendServer(server) }),
      expectConsistentTasks: async () => {
        const location = parseStoreUrl(spec.url);
        if (location.kind !== "redis") throw new Error(`${spec.url} is not on Redis`);
        const store = await open();
        const { tasks } = await store.tasks.list({}, { limit: 1_000_000, reverse: true });
        await expectConsistentTasks(await place.clientFor(spec.url), `{${location.keyPrefix}}`, tasks);
        await store.close();
      },
      dispose: async () => {
        for (const store of stores) await store.close();
      },
    };
  };
}

function backendServer(server: RedisServer): BackendServer {
  let observer: Redis | undefined;
  const connections = async (): Promise<ReadonlySet<string>> => {
    observer ??= server.client();
    const list = String(await observer.client("LIST"));
    return new Set(list.split("\n").flatMap((line) => /^id=(\d+) .* name=miroir/.exec(line)?.[1] ?? []));
  };
  return {
    signal: (signal) => server.signal(signal),
    kill: () => server.kill(),
    start: () => server.start(),
    connections,
    whenLeftBy: (others) =>
      until(async () => [...(await connections())].every((connection) => others.has(connection))),
  };
}
