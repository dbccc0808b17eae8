import type { Task } from "../../gen/miroir/v1/tasks_pb.js";
import { abortReason } from "../../runtime/abort.js";
import { ControlRefusedError, type ControlTransport } from "../control-transport.js";

/** Calls under way at once: while one is answered, the control plane works on the other. */
const MAX_CALLS = 2;
/** Tasks that one call asks for. */
const MAX_UIDS = 100;

interface Lookup {
  readonly uid: bigint;
  resolve(task: Task | undefined): void;
  reject(reason: unknown): void;
}

/**
 * Looks single tasks up at the control plane. Clients that wait for tasks ask for each of them many times a second, and a call costs much
 * more than the row that it reads: those who come while two calls are under way share the next one. An answer is never older than the
 * question, since nobody joins a call that was sent before.
 */
export class TaskLookups {
  readonly #control: Pick<ControlTransport, "getTask" | "listTasks">;
  readonly #waiting = new Set<Lookup>();
  #calls = 0;

  constructor(control: Pick<ControlTransport, "getTask" | "listTasks">) {
    this.#control = control;
  }

  /**
   * The task as the control plane knows it now; undefined where it knows none with this uid.
   *
   * @param signal gives this lookup up, with its reason; others that share its call go on
   * @throws ControlUnavailableError, ControlRefusedError
   */
  async find(uid: bigint, signal: AbortSignal): Promise<Task | undefined> {
    if (signal.aborted) throw abortReason(signal);
    let giveUp = (): void => {};
    try {
      return await new Promise((resolve, reject) => {
        const lookup: Lookup = { uid, resolve, reject };
        giveUp = () => {
          this.#waiting.delete(lookup);
          reject(abortReason(signal));
        };
        signal.addEventListener("abort", giveUp, { once: true });
        this.#waiting.add(lookup);
        this.#callNext();
      });
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #callNext(): void {
    while (this.#calls < MAX_CALLS && this.#waiting.size > 0) {
      const asked = new Map<bigint, Lookup[]>();
      for (const lookup of this.#waiting) {
        const alike = asked.get(lookup.uid);
        if (alike === undefined && asked.size === MAX_UIDS) break;
        if (alike === undefined) asked.set(lookup.uid, [lookup]);
        else alike.push(lookup);
        this.#waiting.delete(lookup);
      }
      this.#calls++;
      void this.#call(asked).finally(() => {
        this.#calls--;
        this.#callNext();
      });
    }
  }

  /** Settles all lookups; never rejects. */
  async #call(asked: ReadonlyMap<bigint, readonly Lookup[]>): Promise<void> {
    const uids = [...asked.keys()];
    const listed = new Map<bigint, Task>();
    try {
      if (uids.length > 1) {
        const { tasks } = await this.#control.listTasks({ uids, limit: uids.length });
        for (const task of tasks) listed.set(task.uid, task);
      }
    } catch (error) {
      for (const lookup of [...asked.values()].flat()) lookup.reject(error);
      return;
    }
    // What is not in a list is asked for by itself: the control plane may not have been told of a task yet, and says so there.
    await Promise.all(
      [...asked].map(async ([uid, lookups]) => {
        try {
          const task = listed.get(uid) ?? (await this.#one(uid));
          for (const lookup of lookups) lookup.resolve(task);
        } catch (error) {
          for (const lookup of lookups) lookup.reject(error);
        }
      }),
    );
  }

  async #one(uid: bigint): Promise<Task | undefined> {
    try {
      return (await this.#control.getTask({ uid })).task;
    } catch (error) {
      if (error instanceof ControlRefusedError && error.code === "not_found") return undefined;
      throw error;
    }
  }
}
