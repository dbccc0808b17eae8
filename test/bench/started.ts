/** Something that runs until it is stopped. */
export interface Stoppable {
  stop(): Promise<void>;
}

/** What a benchmark has started, in order, so that all of it ends with the benchmark. */
export class Started {
  readonly #all: Stoppable[] = [];

  /** Takes note of `one`, and gives it back. */
  keep<T extends Stoppable>(one: T): T {
    this.#all.unshift(one);
    return one;
  }

  /** Stops everything, last things first. */
  async stop(): Promise<void> {
    for (const one of this.#all.splice(0)) await one.stop();
  }
}
