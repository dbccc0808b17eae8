/** Bytes of a round of documents that are aimed at: what goes out in one turn of the lane, which holds writes back for so long. */
const WANTED_BYTES = 2 * 1024 * 1024;
const FIRST = 200;
const MOST = 5_000;

/** How many documents to copy at once, by the size of those that came before. */
export class RoundSize {
  #documents = FIRST;

  /** For the next round. */
  get documents(): number {
    return this.#documents;
  }

  /** So many documents were asked for, and these were found. */
  read(asked: number, found: ReadonlyMap<string, Buffer>): void {
    if (found.size === 0 || asked < this.#documents / 2) return;
    let bytes = 0;
    for (const document of found.values()) bytes += document.length;
    const fitting = Math.floor((asked * WANTED_BYTES) / bytes);
    this.#documents = Math.min(MOST, this.#documents * 2, Math.max(1, fitting));
  }
}
