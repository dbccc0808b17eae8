import type { TaskMetadata } from "../../meilisearch/task-metadata.js";

const MAX_SESSIONS = 100;
const MAX_SEQUENCES = 10_000;

interface Chain {
  /** The first sequence that is remembered; what came before it is not known. */
  floor: number;
  readonly seen: Set<number>;
}

/**
 * Whether the writes of each session reached a node without a gap: every write names the one before it on
 * the same node. Told in the order of the node's task uids. Lenient where it cannot know: a sequence counts
 * as seen whatever its index, and nothing is missing before the first one seen.
 */
export class SessionChains {
  readonly #sessions = new Map<string, Chain>();

  /** Notes a write; true where the write that it names as the previous one has not been seen. */
  note({ session, sequence, previous }: TaskMetadata): boolean {
    let chain = this.#sessions.get(session);
    if (chain === undefined) {
      chain = { floor: sequence, seen: new Set() };
      this.#sessions.set(session, chain);
      const oldest = this.#sessions.keys().next();
      if (this.#sessions.size > MAX_SESSIONS && !oldest.done) this.#sessions.delete(oldest.value);
    }
    const missing = previous >= chain.floor && !chain.seen.has(previous);
    chain.seen.add(sequence);
    const oldest = chain.seen.values().next();
    if (chain.seen.size > MAX_SEQUENCES && !oldest.done) {
      chain.seen.delete(oldest.value);
      chain.floor = Math.max(chain.floor, oldest.value + 1);
    }
    return missing;
  }
}
