import type { ShardComparison } from "./shard-check.js";

/** What was found when a shard's replicas were compared last. */
export interface ShardCheck extends ShardComparison {
  /** The client's name of the index at that time. */
  readonly indexUid: string;
  readonly instance: string;
  readonly shard: number;
  /** Why they could not be compared; empty where they were. */
  readonly error: string;
  /** Whether the replica that is wrong was given up, to be repaired. */
  readonly isMarked: boolean;
  /** Milliseconds since the Unix epoch. */
  readonly checkedAt: number;
}

/** Results that are remembered; the oldest ones go first. */
const MAX_CHECKS = 100_000;

/** The last result of every shard; kept in memory only, because every pass finds them anew. */
export class CheckRecord {
  readonly #checks = new Map<string, ShardCheck>();

  put(check: ShardCheck): void {
    const key = `${check.instance} ${check.shard}`;
    this.#checks.delete(key);
    this.#checks.set(key, check);
    const oldest = this.#checks.keys().next();
    if (this.#checks.size > MAX_CHECKS && !oldest.done) this.#checks.delete(oldest.value);
  }

  /** Forgets the shards of other indexes than these. */
  retain(instances: ReadonlySet<string>): void {
    for (const [key, { instance }] of this.#checks) if (!instances.has(instance)) this.#checks.delete(key);
  }

  /** By index, then shard. */
  list(): readonly ShardCheck[] {
    return [...this.#checks.values()].sort((a, b) =>
      a.indexUid === b.indexUid ? a.shard - b.shard : a.indexUid < b.indexUid ? -1 : 1,
    );
  }
}
