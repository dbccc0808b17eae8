import { asBuffer } from "./members.js";

/** Up to so many bytes are copied one by one. */
const FEW_BYTES = 16;

/** A text put together from parts of others, each byte of which is copied once. */
export class Pieces {
  readonly #sources: Uint8Array[] = [];
  /** Two for each source: where its part starts, and where it ends. */
  readonly #bounds: number[] = [];
  #length = 0;

  /** Adds the bytes from `start` to `end` (exclusive); all of them unless told otherwise. They have to stay as they are. */
  add(source: Uint8Array, start = 0, end = source.length): void {
    if (end === start) return;
    this.#sources.push(source);
    this.#bounds.push(start, end);
    this.#length += end - start;
  }

  /** The bytes added so far. */
  toBuffer(): Buffer {
    const result = Buffer.allocUnsafe(this.#length);
    let at = 0;
    for (let i = 0; i < this.#sources.length; i++) {
      const source = this.#sources[i] as Uint8Array;
      const start = this.#bounds[2 * i] as number;
      const end = this.#bounds[2 * i + 1] as number;
      // Commas and braces are most of the pieces: a call for each would cost more than all other bytes.
      if (end - start > FEW_BYTES) at += asBuffer(source).copy(result, at, start, end);
      else for (let from = start; from < end; from++) result[at++] = source[from] as number;
    }
    return result;
  }
}
