import type { Logger } from "pino";
import type { World } from "../runtime/world.js";
import { type OpenTaskStoreOptions, openTaskStore } from "../store/open-task-store.js";
import { describeLocation } from "../store/store-location.js";
import type { TaskStore } from "../store/task-store.js";
import { type Config, storeLocation } from "./config.js";
import { readPem } from "./read-pem.js";

/** The settings that say how a store is reached. */
export type StoreSettings = Pick<Config, "store" | "store_tls" | "data_dir">;

/**
 * How the configured store is opened.
 *
 * @throws CommandError (usage) for a certificate that cannot be read.
 */
export function storeOptions(
  config: StoreSettings,
  world: Pick<World, "clock" | "timers">,
): OpenTaskStoreOptions {
  const tls = config.store_tls;
  const pem = (name: "ca" | "cert" | "key") =>
    tls?.[name] === undefined ? {} : { [name]: readPem(tls[name], "store_tls") };
  return {
    location: storeLocation(config),
    world,
    ...(tls === undefined ? {} : { tls: { ...pem("ca"), ...pem("cert"), ...pem("key") } }),
  };
}

/** Opens the configured store, creating it where there is none; the backend's warnings go to the log. */
export function openConfiguredStore(
  config: StoreSettings,
  world: Pick<World, "clock" | "timers">,
  logger: Logger,
): Promise<TaskStore> {
  const options = storeOptions(config, world);
  const store = describeLocation(options.location);
  return openTaskStore({ ...options, onWarning: (warning) => logger.warn({ store }, warning) });
}
