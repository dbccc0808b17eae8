/** Operations on the fleet that run while it is hurt. */
import type { Recorder } from "./recorder.js";

/** One operation, such as draining a node. */
export interface Operation {
  readonly name: string;
  /** Whether it makes sense at present. */
  possible(): boolean;
  /** Resolves when it is over, with how it ended: what begins with FAILED was not carried out. */
  run(): Promise<string>;
}

/** Runs one operation at a time. */
export class Operations {
  readonly #known: readonly Operation[];
  readonly #recorder: Recorder;
  #busy = false;
  /** How many were carried out to their end. */
  completed = 0;
  /** What became of each. */
  readonly outcomes: string[] = [];

  constructor(known: readonly Operation[], recorder: Recorder) {
    this.#known = known;
    this.#recorder = recorder;
  }

  /** Runs one of the possible operations, chosen by `draw` in [0, 1); resolves with whether one was run. */
  async run(draw: number): Promise<boolean> {
    const possible = this.#known.filter((operation) => operation.possible());
    const chosen = possible[Math.floor(draw * possible.length)];
    if (this.#busy || chosen === undefined) return false;
    this.#busy = true;
    try {
      this.#recorder.event(`operation ${chosen.name}: begins`);
      const outcome = await chosen.run().then(
        (told) => {
          if (!told.startsWith("FAILED")) this.completed++;
          return told;
        },
        (error: Error) =>
          `failed: ${String(error)}${error.cause === undefined ? "" : `: ${String(error.cause)}`}`,
      );
      this.outcomes.push(`${chosen.name}: ${outcome}`);
      this.#recorder.event(`operation ${chosen.name}: ${outcome}`);
      return true;
    } finally {
      this.#busy = false;
    }
  }
}
