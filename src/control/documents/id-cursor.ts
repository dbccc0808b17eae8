import type { JsonValue } from "../../merge/index.js";
import { filterWithShards } from "../../merge/index.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import type { DocumentPart } from "./document-parts.js";
import { idOf, type NodeDocuments, sequenceOf } from "./node-documents.js";

/** A document's id, and where it stands. */
export interface PlacedId {
  readonly id: string;
  readonly sequence: string;
}

/** What an {@link IdCursor} asks a node with. */
export type FetchPage = (query: Readonly<Record<string, unknown>>) => Promise<NodeDocuments>;

/** Ids asked for at once; the list of a million takes a node ten requests of less than a second. */
const WINDOW = 100_000;

/**
 * Walks over the ids of one part in the order of insertion. Writes go on meanwhile: a document that is written again moves to the
 * end, and one that is deleted moves all behind it to the front. So each window begins with a document that was seen before, or further
 * in front, and nothing between two windows is passed over.
 */
export class IdCursor {
  readonly #fetch: FetchPage;
  readonly #primaryKey: string;
  readonly #query: Readonly<Record<string, unknown>>;
  readonly #windowSize: number;
  /** Everything up to here was given out or was never wanted. */
  #seen: string;
  /** Where the next window is expected to begin. */
  #offset: number | undefined;
  #window: readonly PlacedId[] = [];
  #at = 0;
  #isLast = false;

  /** @param after the sequence behind which to begin; empty for the first document */
  constructor(
    fetch: FetchPage,
    { shards }: DocumentPart,
    {
      primaryKey,
      filter,
      after,
      windowSize = WINDOW,
    }: {
      readonly primaryKey: string;
      readonly filter: JsonValue | undefined;
      readonly after: string;
      readonly windowSize?: number;
    },
  ) {
    this.#fetch = fetch;
    this.#primaryKey = primaryKey;
    this.#windowSize = windowSize;
    this.#seen = after;
    this.#offset = after === "" ? 0 : undefined;
    this.#query = {
      fields: [primaryKey, SEQUENCE_FIELD],
      filter: filterWithShards(filter, shards),
      sort: [`${SEQUENCE_FIELD}:asc`],
    };
  }

  /** The next id, which stays the next one until {@link take}; undefined at the end. */
  async peek(): Promise<PlacedId | undefined> {
    while (this.#at >= this.#window.length) {
      if (this.#isLast) return undefined;
      await this.#nextWindow();
    }
    return this.#window[this.#at];
  }

  /** Passes the id that {@link peek} gave. */
  take(): void {
    this.#at++;
  }

  async #nextWindow(): Promise<void> {
    let offset = this.#offset ?? (await this.#seek());
    for (let back = 1; ; back *= 8) {
      // One that was seen already shows that nothing lies between.
      const begin = Math.max(0, offset - back);
      const limit = this.#windowSize + (offset - begin);
      const { documents } = await this.#fetch({ ...this.#query, offset: begin, limit });
      const placed = documents.map((document) => ({
        id: idOf(document, this.#primaryKey),
        sequence: sequenceOf(document),
      }));
      const [first] = placed;
      if (begin > 0 && (first === undefined || first.sequence > this.#seen)) {
        offset = begin;
        continue;
      }
      this.#window = placed.flatMap(({ id, sequence }) =>
        id === undefined || sequence <= this.#seen ? [] : [{ id, sequence }],
      );
      this.#at = 0;
      this.#offset = begin + placed.length;
      this.#isLast = placed.length < limit;
      this.#seen = this.#window.at(-1)?.sequence ?? this.#seen;
      return;
    }
  }

  /** How many documents stand at or before what was seen. */
  async #seek(): Promise<number> {
    const at = async (offset: number): Promise<NodeDocuments> =>
      this.#fetch({ ...this.#query, fields: [SEQUENCE_FIELD], offset, limit: 1 });
    let [low, high] = [0, (await at(0)).total];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [document] = (await at(middle)).documents;
      if (document !== undefined && sequenceOf(document) <= this.#seen) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
