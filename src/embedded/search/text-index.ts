import type { Document } from "../documents.js";
import { canonicalNumber, type JsonValue } from "../exact-json.js";
import { type IndexSettings, matchesPattern } from "../settings.js";
import { HARD_DISTANCE, placeWords, Tokenizer } from "./tokenizer.js";

/** A field number and a position in it, packed as `field * 65536 + position`. */
export type Place = number;

/** Where the words of one document stand. */
export type Postings = ReadonlyMap<number, readonly Place[]>;

const MAX_POSITION = 65_535;

export function fieldOf(place: Place): number {
  return Math.floor(place / 65_536);
}

export function positionOf(place: Place): number {
  return place % 65_536;
}

const NO_POSTINGS: Postings = new Map();

/** The inverted index of the searchable fields: word → document → places. */
export class TextIndex {
  readonly tokenizer: Tokenizer;
  readonly #searchable: readonly string[] | undefined;
  readonly #words = new Map<string, Map<number, Place[]>>();
  readonly #wordsOf = new Map<number, string[]>();
  readonly #wordCounts = new Map<number, ReadonlyMap<number, number>>();
  readonly #fields: string[] = [];
  readonly #fieldNumbers = new Map<string, number>();
  readonly #exactAttributes: readonly string[];
  #dictionary: string[] | undefined;

  constructor(settings: IndexSettings) {
    this.tokenizer = new Tokenizer(settings);
    this.#searchable = settings.searchableAttributes.includes("*")
      ? undefined
      : settings.searchableAttributes;
    this.#exactAttributes = settings.typoTolerance.disableOnAttributes;
  }

  /** The names of the searchable fields seen so far, by number. */
  get fields(): readonly string[] {
    return this.#fields;
  }

  /** All words in order; shared, not to be changed. */
  get dictionary(): readonly string[] {
    this.#dictionary ??= [...this.#words.keys()].sort();
    return this.#dictionary;
  }

  has(word: string): boolean {
    return this.#words.has(word);
  }

  postings(word: string): Postings {
    return this.#words.get(word) ?? NO_POSTINGS;
  }

  /** How many words a document has in a field. */
  wordCount(document: number, field: number): number {
    return this.#wordCounts.get(document)?.get(field) ?? 0;
  }

  /** A field's place in `searchableAttributes`; all are equal where every field is searchable. */
  weight(field: number): number {
    if (this.#searchable === undefined) return 0;
    const name = this.#fields[field] ?? "";
    return Math.max(
      0,
      this.#searchable.findIndex((pattern) => matchesPattern(pattern, name)),
    );
  }

  /** The highest weight of any searchable field that exists. */
  maxWeight(): number {
    return Math.max(0, (this.#searchable?.length ?? 1) - 1);
  }

  /** Whether a field matches without typos only. */
  isExact(field: number): boolean {
    const name = this.#fields[field] ?? "";
    return this.#exactAttributes.some((pattern) => matchesPattern(pattern, name));
  }

  /** Whether any field matches without typos only. */
  get hasExactFields(): boolean {
    return this.#exactAttributes.length > 0;
  }

  isSearchable(name: string): boolean {
    if (name === "_vectors" || name.startsWith("_vectors.") || name === "_geo" || name.startsWith("_geo.")) {
      return (
        this.#searchable?.some((pattern) => matchesPattern(pattern, name)) ?? !name.startsWith("_vectors")
      );
    }
    return (
      this.#searchable === undefined || this.#searchable.some((pattern) => matchesPattern(pattern, name))
    );
  }

  add(id: number, document: Document): void {
    const places = new Map<string, Place[]>();
    const counts = new Map<number, number>();
    const cursors = new Map<number, number>();
    for (const [name, member] of document) {
      eachLeaf(name, member.value, member.text, (path, text) => {
        if (!this.isSearchable(path)) return;
        const field = this.#fieldNumber(path);
        const cursor = cursors.get(field);
        let position = cursor === undefined ? 0 : cursor + HARD_DISTANCE;
        cursors.set(field, position);
        for (const word of placeWords(this.tokenizer.tokenize(text), position)) {
          if (word.position > MAX_POSITION) break;
          position = word.position;
          counts.set(field, (counts.get(field) ?? 0) + 1);
          const list = places.get(word.lemma);
          if (list === undefined) places.set(word.lemma, [field * 65_536 + position]);
          else list.push(field * 65_536 + position);
        }
        cursors.set(field, position);
      });
    }
    for (const [word, list] of places) {
      const documents = this.#words.get(word);
      if (documents !== undefined) documents.set(id, list);
      else {
        this.#words.set(word, new Map([[id, list]]));
        this.#dictionary = undefined;
      }
    }
    this.#wordsOf.set(id, [...places.keys()]);
    this.#wordCounts.set(id, counts);
  }

  remove(id: number): void {
    for (const word of this.#wordsOf.get(id) ?? []) {
      const documents = this.#words.get(word);
      documents?.delete(id);
      if (documents?.size === 0) {
        this.#words.delete(word);
        this.#dictionary = undefined;
      }
    }
    this.#wordsOf.delete(id);
    this.#wordCounts.delete(id);
  }

  #fieldNumber(name: string): number {
    let number = this.#fieldNumbers.get(name);
    if (number === undefined) {
      number = this.#fields.length;
      this.#fields.push(name);
      this.#fieldNumbers.set(name, number);
    }
    return number;
  }
}

/** Visits the texts below a value with their dotted paths; numbers and booleans as they print. */
export function eachLeaf(
  path: string,
  value: JsonValue,
  text: string,
  visit: (path: string, text: string) => void,
): void {
  if (value === null) return;
  if (typeof value === "string") visit(path, value);
  else if (typeof value === "number") visit(path, text === "" ? canonicalNumber(String(value)) : text);
  else if (typeof value === "boolean") visit(path, String(value));
  else if (Array.isArray(value)) for (const item of value) eachLeaf(path, item, "", visit);
  else for (const [name, member] of Object.entries(value)) eachLeaf(`${path}.${name}`, member, "", visit);
}
