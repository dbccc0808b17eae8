import { createSystemWorld } from "../../../src/runtime/world.js";
import type { StoreFaults } from "../../../src/store/faults.js";
import type { StoreLimits } from "../../../src/store/limits.js";
import { openRedisTaskStore } from "../../../src/store/redis/redis-task-store.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import type { BackendSpec } from "./harness.js";

/**
 * Opens the store that a harness, of this process or another, described. `clock` decides its times; on Redis, without
 * one, the server's does.
 */
export function openBackend(
  spec: BackendSpec,
  clock: { now(): number } | undefined,
  limits?: Partial<StoreLimits>,
  faults?: StoreFaults,
): Promise<TaskStore> {
  const system = createSystemWorld();
  const location = parseStoreUrl(spec.url);
  if (location.kind === "sqlite") {
    return openSqliteTaskStore({
      path: location.path,
      clock: clock ?? system.clock,
      ...(limits === undefined ? {} : { limits }),
      ...(faults === undefined ? {} : { faults }),
    });
  }
  return openRedisTaskStore({
    location,
    world: {
      timers: system.timers,
      clock: { now: () => (clock ?? system.clock).now(), monotonic: () => system.clock.monotonic() },
    },
    time: clock === undefined ? "server" : "world",
    ...(limits === undefined ? {} : { limits }),
    ...(faults === undefined ? {} : { faults }),
  });
}
