import type { World } from "../runtime/world.js";
import type { StoreLimits } from "./limits.js";
import type { RedisTls } from "./redis/connection.js";
import type { StoreLocation } from "./store-location.js";
import type { TaskStore } from "./task-store.js";

/** How to open a store, wherever it is. */
export interface OpenTaskStoreOptions {
  readonly location: StoreLocation;
  readonly world: Pick<World, "clock" | "timers">;
  readonly limits?: Partial<StoreLimits>;
  readonly tls?: RedisTls;
  /** Told of settings of the backend that put data at risk without making it useless. */
  readonly onWarning?: (warning: string) => void;
}

/** Opens the store at a location; see `openSqliteTaskStore` and `openRedisTaskStore` for what each promises. */
export async function openTaskStore(options: OpenTaskStoreOptions): Promise<TaskStore> {
  const { location, world, limits, tls, onWarning } = options;
  if (location.kind === "sqlite") {
    const { openSqliteTaskStore } = await import("./sqlite/sqlite-task-store.js");
    return openSqliteTaskStore({
      path: location.path,
      clock: world.clock,
      timers: world.timers,
      ...(limits === undefined ? {} : { limits }),
    });
  }
  const { openRedisTaskStore } = await import("./redis/redis-task-store.js");
  return openRedisTaskStore({
    location,
    world,
    ...(limits === undefined ? {} : { limits }),
    ...(tls === undefined ? {} : { tls }),
    ...(onWarning === undefined ? {} : { onWarning }),
  });
}
