import { LEADER_SCOPE } from "../../../src/control/leader/leadership.js";
import type { FencingToken, TaskStore } from "../../../src/store/task-store.js";

type Method = (...parameters: unknown[]) => Promise<unknown>;

/** Whether a parameter is the fence of a call. */
export function isFence(value: unknown): value is FencingToken {
  return (
    typeof value === "object" && value !== null && "scope" in value && "term" in value && "holder" in value
  );
}

/** A store that takes a leader's writes whoever leads by now, as a planted fault: every fence is made the present one. */
export function withoutFence(store: TaskStore): TaskStore {
  const open = (table: object): object =>
    new Proxy(table, {
      get: (_, member) => {
        const value: unknown = Reflect.get(table, member);
        if (typeof value !== "function") return value;
        const method = value.bind(table) as Method;
        return async (...parameters: unknown[]) => {
          const lease = await store.lease.current(LEADER_SCOPE);
          const present = lease && { scope: LEADER_SCOPE, holder: lease.holder, term: lease.term };
          return method(...parameters.map((value) => (isFence(value) ? (present ?? value) : value)));
        };
      },
    });
  const tables = ["topology", "tasks", "nodeCursors", "nodeSettingsVersions", "workflows"] as const;
  return { ...store, ...Object.fromEntries(tables.map((name) => [name, open(store[name])])) };
}
