import type { World } from "../../runtime/world.js";

/** Indexes whose last sequence number is remembered; the time alone keeps those of the others in order. */
const MAX_REMEMBERED = 10_000;

/** Gives the sequence numbers of an index's documents, growing from write to write. */
export class Sequences {
  private readonly last = new Map<string, bigint>();

  constructor(private readonly world: World) {}

  /**
   * A run of numbers behind all that were given for the index: the time in microseconds, or later.
   *
   * @returns the first of them
   */
  reserve(instance: string, count: number): bigint {
    const now = BigInt(Math.floor(this.world.clock.now() * 1_000));
    const next = (this.last.get(instance) ?? 0n) + 1n;
    const first = next > now ? next : now;
    this.last.delete(instance);
    this.last.set(instance, first + BigInt(count) - 1n);
    const [longestUnused] = this.last.keys();
    if (this.last.size > MAX_REMEMBERED && longestUnused !== undefined) this.last.delete(longestUnused);
    return first;
  }
}
