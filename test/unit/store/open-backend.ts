import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import type { BackendSpec } from "./harness.js";

/** Opens the store that a harness in another process described. */
export function openBackend(spec: BackendSpec, clock: { now(): number }): Promise<TaskStore> {
  return openSqliteTaskStore({ path: spec.path, clock });
}
