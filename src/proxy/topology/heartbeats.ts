import type { Timer, Timers } from "../../runtime/world.js";

/** Does something again and again until it is stopped: sends the heartbeats of one stream. */
export class Heartbeats {
  readonly #timers: Timers;
  readonly #everyMs: number;
  readonly #beat: () => void;
  #timer: Timer | undefined;

  constructor(timers: Timers, everyMs: number, beat: () => void) {
    this.#timers = timers;
    this.#everyMs = everyMs;
    this.#beat = beat;
  }

  /** Sends the first one `everyMs` milliseconds from now. */
  start(): void {
    this.#timer = this.#timers.after(this.#everyMs, () => {
      this.#beat();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
