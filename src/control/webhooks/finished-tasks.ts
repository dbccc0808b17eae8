import { isFinalStatus, type TaskRow, type TaskStore } from "../../store/task-store.js";

/**
 * The store, except that `onFinished` is called with each task that was recorded as final, or was so already, whoever recorded it. It
 * must not throw.
 */
export function announcing(store: TaskStore, onFinished: (rows: readonly TaskRow[]) => void): TaskStore {
  const tasks = overriding(store.tasks, {
    upsert: async (rows, fence) => {
      const recorded = await store.tasks.upsert(rows, fence);
      const finished = recorded.filter(({ status }) => isFinalStatus(status));
      if (finished.length > 0) onFinished(finished);
      return recorded;
    },
  });
  return overriding(store, { tasks });
}

/** An object with other members in the place of some; methods that stay keep their object. */
function overriding<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(held, name) {
      if (Object.hasOwn(members, name)) return Reflect.get(members, name);
      const value: unknown = Reflect.get(held, name, held);
      return typeof value === "function" ? value.bind(held) : value;
    },
  });
}
