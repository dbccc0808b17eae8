import type { Timer, Timers } from "../../runtime/world.js";

/** Milliseconds in which what has arrived already is read. */
const READ_MS = 50;

/** Tells when nothing has been heard of the other end of a stream for so long that it is taken for dead. */
export class SilenceWatch {
  readonly #timers: Timers;
  readonly #silenceMs: number;
  readonly #onSilence: () => void;
  #timer: Timer | undefined;
  #isSilent = false;

  /** `onSilence` is called once, after `silenceMs` milliseconds without {@link heard}. */
  constructor(timers: Timers, silenceMs: number, onSilence: () => void) {
    this.#timers = timers;
    this.#silenceMs = silenceMs;
    this.#onSilence = onSilence;
  }

  /** Whether it was silent for too long. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Notes that something was heard; the watch begins with the first time. */
  heard(): void {
    this.stop();
    this.#timer = this.#timers.after(this.#silenceMs, () => {
      // Where this process was busy itself, with a large topology say, what came meanwhile is read now.
      this.#timer = this.#timers.after(READ_MS, () => {
        this.#isSilent = true;
        this.#onSilence();
      });
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
