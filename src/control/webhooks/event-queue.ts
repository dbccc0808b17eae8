import type { TaskRow, TaskUid } from "../../store/task-store.js";

/** What of a task a queue has to know. */
export type FinishedTask = Pick<TaskRow, "uid" | "finishedAt">;

/** Tasks that wait for one webhook at most; those beyond are looked up in the store when there is room again. */
const MAX_WAITING = 10_000;
/** Tasks that were told last and are not told again, although they are announced again. */
const MAX_REMEMBERED = 10_000;

/**
 * The finished tasks that one webhook is still to be told of. Bounded (invariant 12): of tasks beyond the bound only the time is kept from
 * which on the store has to be read.
 */
export class EventQueue {
  readonly #waiting = new Map<TaskUid, number>();
  readonly #told = new Set<TaskUid>();
  #missedFrom: number | undefined;

  /** @param missedFrom tasks that finished then or later are to be looked up first. Milliseconds since the Unix epoch */
  constructor(missedFrom: number) {
    this.#missedFrom = missedFrom;
  }

  /** Takes finished tasks up, but for those that wait or were told already. */
  add(tasks: readonly FinishedTask[]): void {
    for (const { uid, finishedAt } of tasks) {
      if (finishedAt === null || this.#waiting.has(uid) || this.#told.has(uid)) continue;
      if (this.#waiting.size < MAX_WAITING) this.#waiting.set(uid, finishedAt);
      else this.#missedFrom = Math.min(this.#missedFrom ?? finishedAt, finishedAt);
    }
  }

  /** The tasks that have waited longest. */
  first(count: number): readonly TaskUid[] {
    return [...this.#waiting.keys()].slice(0, count);
  }

  /** The tasks were told, or given up. */
  done(uids: readonly TaskUid[]): void {
    for (const uid of uids) {
      this.#waiting.delete(uid);
      this.#told.add(uid);
    }
    for (const uid of this.#told) {
      if (this.#told.size <= MAX_REMEMBERED) break;
      this.#told.delete(uid);
    }
  }

  /** From when on finished tasks have to be looked up in the store; asking takes it back. Only while nothing waits. */
  takeMissed(): number | undefined {
    const from = this.#missedFrom;
    this.#missedFrom = undefined;
    return from;
  }

  /** All tasks that finished before were told. Milliseconds since the Unix epoch; `now` where nothing waits. */
  toldUntil(now: number): number {
    let until = this.#missedFrom ?? now;
    for (const finishedAt of this.#waiting.values()) until = Math.min(until, finishedAt);
    return until;
  }

  get size(): number {
    return this.#waiting.size;
  }

  get hasMissed(): boolean {
    return this.#missedFrom !== undefined;
  }
}
