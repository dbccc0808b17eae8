import type { World } from "../../runtime/world.js";

interface Gate {
  inside: number;
  /** Told when the last one inside has left. */
  readonly onEmpty: Set<() => void>;
  closed: boolean;
}

/**
 * A gate in front of each index's writes: counts the writes of a name that this proxy has begun, and lets no further one begin while the
 * index changes hands, so that each write is begun and ended by one proxy. Who finds a gate closed keeps its body unread, and can go elsewhere.
 */
export class WriteGates {
  readonly #world: World;
  readonly #gates = new Map<string, Gate>();
  readonly #listeners = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Begins a write; returns the function that ends it, or undefined where the gate is closed. */
  enter(indexUid: string): (() => void) | undefined {
    const gate = this.#gateOf(indexUid);
    if (gate.closed) return undefined;
    gate.inside++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      gate.inside--;
      if (gate.inside > 0) return;
      for (const listener of [...gate.onEmpty]) listener();
      this.#forget(indexUid, gate);
    };
  }

  /** Calls back whenever a gate has opened; returns the function that ends it. */
  onOpen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Closes an index's gate, runs `work` once every write that has begun is over, and opens the gate again.
   *
   * @returns undefined where the writes took longer than `patienceMs`, or another one keeps the gate closed
   */
  async alone<T>(indexUid: string, patienceMs: number, work: () => Promise<T>): Promise<T | undefined> {
    const gate = this.#gateOf(indexUid);
    if (gate.closed) return undefined;
    gate.closed = true;
    try {
      return (await this.#emptied(gate, patienceMs)) ? await work() : undefined;
    } finally {
      gate.closed = false;
      this.#forget(indexUid, gate);
      for (const listener of [...this.#listeners]) listener();
    }
  }

  #emptied(gate: Gate, patienceMs: number): Promise<boolean> {
    if (gate.inside === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (isEmpty: boolean) => {
        timer.cancel();
        gate.onEmpty.delete(onEmpty);
        resolve(isEmpty);
      };
      const onEmpty = () => end(true);
      const timer = this.#world.timers.after(patienceMs, () => end(false));
      gate.onEmpty.add(onEmpty);
    });
  }

  #gateOf(indexUid: string): Gate {
    let gate = this.#gates.get(indexUid);
    if (gate === undefined) {
      gate = { inside: 0, onEmpty: new Set(), closed: false };
      this.#gates.set(indexUid, gate);
    }
    return gate;
  }

  #forget(indexUid: string, gate: Gate): void {
    if (gate.inside === 0 && !gate.closed && this.#gates.get(indexUid) === gate) this.#gates.delete(indexUid);
  }
}
