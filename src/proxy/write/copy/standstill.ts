import type { Clock } from "../../../runtime/world.js";

/** Milliseconds without progress after which a copy is said to stand still, and as often from then on. */
const STILL_MS = 30_000;

/** Notices that a copy gets no further although nothing about it fails: what it waits for would be told nowhere. */
export class Standstill {
  #state = "";
  #since: number;
  #toldAt: number;

  constructor(private readonly clock: Pick<Clock, "monotonic">) {
    this.#since = clock.monotonic();
    this.#toldAt = this.#since;
  }

  /**
   * Milliseconds for which the copy has stood still, where it is time to say so; undefined otherwise.
   *
   * @param state a text that changes as long as it gets on
   */
  look(state: string): number | undefined {
    const now = this.clock.monotonic();
    if (state !== this.#state) {
      this.#state = state;
      this.#since = now;
      this.#toldAt = now;
    }
    if (now - this.#toldAt < STILL_MS) return undefined;
    this.#toldAt = now;
    return now - this.#since;
  }
}
