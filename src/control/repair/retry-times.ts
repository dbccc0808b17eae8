/** The shortest first wait that is doubled. Milliseconds. */
const MIN_MS = 1_000;

/** When something that failed may be tried again: each failure doubles the wait, up to a limit. */
export class RetryTimes {
  readonly #firstMs: number;
  readonly #limitMs: number;
  readonly #entries = new Map<string, { waitMs: number; due: number }>();

  constructor(firstMs: number, limitMs: number) {
    this.#firstMs = firstMs;
    this.#limitMs = limitMs;
  }

  /** Whether `key` may be tried at `now`. One that is seen for the first time may after the first wait. */
  isDue(key: string, now: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, { waitMs: this.#firstMs, due: now + this.#firstMs });
    return now >= (entry?.due ?? now + this.#firstMs);
  }

  /** `key` is being tried: the next time is further away. */
  tried(key: string, now: number): void {
    const waitMs = Math.min(this.#limitMs, Math.max(MIN_MS, this.#entries.get(key)?.waitMs ?? 0) * 2);
    this.#entries.set(key, { waitMs, due: now + waitMs });
  }

  /** Forgets everything but these. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#entries.delete(key);
  }
}
