import type { TaskStore } from "../../../src/store/task-store.js";

/** What one handle was told of revocations of admin sessions. */
export class Revocations {
  /** In the order in which they were told, repetitions included. */
  readonly ids: string[] = [];
  readonly #waiting = new Set<() => void>();
  #end: (() => Promise<void>) | undefined;

  private constructor() {}

  /** Begins to listen. */
  static async of(store: TaskStore): Promise<Revocations> {
    const heard = new Revocations();
    heard.#end = await store.adminSessions.onRevoked((id) => {
      heard.ids.push(id);
      for (const look of [...heard.#waiting]) look();
    });
    return heard;
  }

  /** Resolves when the session was told of. */
  until(id: string): Promise<void> {
    return this.#when(() => this.ids.includes(id));
  }

  /** Resolves when so many different sessions were told of. */
  untilCount(count: number): Promise<void> {
    return this.#when(() => this.ids.length >= count && new Set(this.ids).size >= count);
  }

  /** Ends listening. */
  async end(): Promise<void> {
    await this.#end?.();
  }

  #when(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }
}
