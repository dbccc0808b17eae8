import type { Command } from "commander";
import { createSystemWorld, type World } from "../../runtime/world.js";
import { inspectStore, type SchemaState, type StoreInspection } from "../../store/inspect.js";
import type { OpenTaskStoreOptions } from "../../store/open-task-store.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { storeOptions } from "../open-store.js";
import { configFromFlags } from "../options.js";
import { createOutput, type Output } from "../output.js";

/** Options that every `miroir store` command takes. */
export interface StoreFlags {
  readonly config?: string;
  readonly store?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

/** What every `miroir store` command works with. */
export interface StoreContext {
  readonly world: World;
  readonly output: Output;
  /** The configured store, and how it is opened; the backend's warnings go to standard error. */
  readonly options: OpenTaskStoreOptions;
}

/** Adds the options of {@link StoreFlags} to a command. */
export function addStoreFlags(command: Command): Command {
  return command
    .option("--store <url>", "the store (or MIROIR_STORE; default: control.db in the data folder)")
    .option("--config <file>", "the control plane's YAML file, for its store settings")
    .option("--data-dir <folder>", "the control plane's data folder (default: .miroir/data)")
    .option("--json", "print one JSON document instead of text");
}

/** The store that a command's flags, the environment and the file name. */
export function storeContext(flags: StoreFlags): StoreContext {
  const { config: file, store, dataDir } = flags;
  const config = configFromFlags(
    {
      ...(file === undefined ? {} : { config: file }),
      ...(store === undefined ? {} : { store }),
      ...(dataDir === undefined ? {} : { dataDir }),
    },
    process.env,
  );
  const world = createSystemWorld();
  const onWarning = (warning: string): void => console.error(`warning: ${warning}`);
  return {
    world,
    output: createOutput(flags.json === true),
    options: { ...storeOptions(config, world), onWarning },
  };
}

/** An inspection of a store that this program can work with as it is. */
export type CurrentStore = StoreInspection & {
  readonly schema: SchemaState & { readonly kind: "current" };
};

/**
 * Looks at a store that must be there and up to date.
 *
 * @throws CommandError that says what to do where it is not.
 */
export async function requireCurrent({ options }: StoreContext): Promise<CurrentStore> {
  const found = await inspectStore(options);
  const { schema, location } = found;
  switch (schema.kind) {
    case "current":
      return { ...found, schema };
    case "absent":
      throw new CommandError(
        ExitCode.notFound,
        `there is no store at ${location}; name another with --store, --data-dir or --config`,
      );
    case "behind":
      throw new CommandError(
        ExitCode.failure,
        `the store at ${location} has schema version ${schema.version}, this program writes ${schema.known}; run miroir store migrate first`,
      );
    case "refused":
      throw new CommandError(ExitCode.failure, schema.reason);
  }
}
