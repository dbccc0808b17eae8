/** What the model keeps of a row. */
export interface LruEntry<Row> {
  readonly id: string;
  readonly row: Row & { readonly expiresAt: number };
}

/** Rows that end, and make room by use: in memory, the least recently used first. */
export class LruModel<Row> {
  #entries: LruEntry<Row>[] = [];

  constructor(readonly limit: number) {}

  get(id: string, now: number): (Row & { expiresAt: number }) | undefined {
    return this.#entries.find((entry) => entry.id === id && entry.row.expiresAt > now)?.row;
  }

  /** Puts a row at the end: it was used last. */
  put(id: string, row: Row & { expiresAt: number }, now: number): void {
    // There are fewer ids than ended rows that one insertion clears away.
    if (this.get(id, now) === undefined) this.prune(now, Number.POSITIVE_INFINITY);
    this.#entries = [...this.#entries.filter((entry) => entry.id !== id), { id, row }];
    this.#entries = this.#entries.slice(-this.limit);
  }

  delete(id: string, now: number): boolean {
    if (this.get(id, now) === undefined) return false;
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
    return true;
  }

  count(now: number): number {
    return this.#entries.filter(({ row }) => row.expiresAt > now).length;
  }

  /** Deletes rows that ended, at most `limit`, the first to end first. */
  prune(now: number, limit: number): number {
    const ended = this.#entries
      .filter(({ row }) => row.expiresAt <= now)
      .sort((a, b) => a.row.expiresAt - b.row.expiresAt)
      .slice(0, limit);
    this.#entries = this.#entries.filter((entry) => !ended.includes(entry));
    return ended.length;
  }
}
