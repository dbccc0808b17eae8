import type { Timer, Timers } from "../../runtime/world.js";

/** A pause that can be cut short. */
export class Wakeup {
  readonly #timers: Timers;
  #asked = false;
  #resume: (() => void) | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Ends the pause under way, or the next one at once. */
  wake(): void {
    this.#asked = true;
    this.#resume?.();
  }

  /** Pauses for `delayMs` milliseconds; true where it was cut short. */
  async wait(delayMs: number): Promise<boolean> {
    if (!this.#asked) {
      let timer: Timer | undefined;
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
        timer = this.#timers.after(delayMs, resolve);
      });
      timer?.cancel();
      this.#resume = undefined;
    }
    const asked = this.#asked;
    this.#asked = false;
    return asked;
  }
}
