import type { Clock } from "../../runtime/world.js";
import type { TaskStore } from "../task-store.js";

/** How to open a SQLite store. */
export interface SqliteTaskStoreOptions {
  /** The database file, created where it does not exist; `:memory:` for one that ends with the process. */
  readonly path: string;
  /** Decides when leases end. */
  readonly clock: Pick<Clock, "now">;
}

/** Opens the store, bringing its schema up to date. */
export async function openSqliteTaskStore(options: SqliteTaskStoreOptions): Promise<TaskStore> {
  throw new Error(`not available yet: ${options.path}`);
}
