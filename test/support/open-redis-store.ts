import { createSystemWorld } from "../../src/runtime/world.js";
import { openRedisTaskStore, type RedisTaskStoreOptions } from "../../src/store/redis/redis-task-store.js";
import { parseStoreUrl } from "../../src/store/store-location.js";
import type { TaskStore } from "../../src/store/task-store.js";

/** Opens the store that a `redis…://` URL names, by the server's time. */
export function openRedisStore(
  url: string,
  options: Partial<RedisTaskStoreOptions> = {},
): Promise<TaskStore> {
  const location = parseStoreUrl(url);
  if (location.kind !== "redis") throw new Error(`${url} is not the URL of a store on Redis`);
  return openRedisTaskStore({ location, world: createSystemWorld(), ...options });
}
