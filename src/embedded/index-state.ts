import {
  type Document,
  documentKey,
  type GeoPoint,
  geoPoint,
  parseDocument,
  printDocument,
} from "./documents.js";
import type { JsonObject } from "./exact-json.js";
import { type FacetValues, facetValues } from "./filter/facet-values.js";
import { TextIndex } from "./search/text-index.js";
import {
  applySettings,
  DEFAULT_SETTINGS,
  type FilterableRule,
  filterableRules,
  type IndexSettings,
} from "./settings.js";
import type { NodeStore } from "./store.js";
import { timestamp } from "./time.js";

/** What is stored of an index besides its documents. */
interface StoredIndex {
  uid: string;
  createdAt: string;
  updatedAt: string;
  primaryKey: string | null;
  settings: IndexSettings;
  fields: string[];
}

/** A document to write: a new version, or `undefined` to delete it. */
export type DocumentChange = Document | undefined;

/** One index of a node: its documents, settings and search structures, written through to the store. */
export class IndexState {
  /** The index's place in the store; it outlives renames. */
  readonly slot: number;
  readonly #store: NodeStore;
  readonly #stored: StoredIndex;
  readonly #documents = new Map<number, Document>();
  readonly #keys = new Map<string, number>();
  readonly #idKeys = new Map<number, string>();
  readonly #freeIds: number[] = [];
  #nextId = 0;
  #text: TextIndex | undefined;
  #rules: FilterableRule[] | undefined;
  readonly #facets = new Map<string, Map<number, FacetValues>>();
  #geo: Map<number, GeoPoint> | undefined;

  private constructor(store: NodeStore, slot: number, stored: StoredIndex) {
    this.#store = store;
    this.slot = slot;
    this.#stored = stored;
  }

  /** Creates an empty index and stores it. */
  static create(store: NodeStore, slot: number, uid: string, primaryKey: string | null): IndexState {
    const now = timestamp();
    const stored = {
      uid,
      createdAt: now,
      updatedAt: now,
      primaryKey,
      settings: DEFAULT_SETTINGS,
      fields: [],
    };
    const index = new IndexState(store, slot, stored);
    index.#save();
    return index;
  }

  /** Reads an index back with all of its documents. */
  static load(store: NodeStore, slot: number, json: string): IndexState {
    const index = new IndexState(store, slot, JSON.parse(json) as StoredIndex);
    for (const { id, text } of store.documents(slot)) {
      const document = parseDocument(text);
      index.#documents.set(id, document);
      const key = documentKey(document, index.primaryKey ?? "");
      index.#keys.set(key, id);
      index.#idKeys.set(id, key);
      for (; index.#nextId < id; index.#nextId++) index.#freeIds.push(index.#nextId);
      index.#nextId = id + 1;
    }
    return index;
  }

  get uid(): string {
    return this.#stored.uid;
  }
  get primaryKey(): string | null {
    return this.#stored.primaryKey;
  }
  get createdAt(): string {
    return this.#stored.createdAt;
  }
  get updatedAt(): string {
    return this.#stored.updatedAt;
  }
  get settings(): IndexSettings {
    return this.#stored.settings;
  }
  get rules(): readonly FilterableRule[] {
    this.#rules ??= filterableRules(this.settings);
    return this.#rules;
  }
  get documentCount(): number {
    return this.#documents.size;
  }
  /** Top-level field names in the order in which documents print them. */
  get fields(): readonly string[] {
    return this.#stored.fields;
  }
  /** Internal ids in order. */
  get ids(): number[] {
    return [...this.#documents.keys()].sort((a, b) => a - b);
  }
  /** The search structures, built when first asked for after a change of settings. */
  get text(): TextIndex {
    if (this.#text === undefined) {
      this.#text = new TextIndex(this.settings);
      for (const [id, document] of this.#documents) this.#text.add(id, document);
    }
    return this.#text;
  }
  /** The places of the documents that have one. */
  get geo(): ReadonlyMap<number, GeoPoint> {
    if (this.#geo === undefined) {
      this.#geo = new Map();
      for (const [id, document] of this.#documents) {
        const point = geoPoint(document, this.keyOf(id));
        if (point !== undefined) this.#geo.set(id, point);
      }
    }
    return this.#geo;
  }

  /** Whether `_geo` has a meaning here: it is filterable or sortable. */
  get usesGeo(): boolean {
    return (
      this.settings.sortableAttributes.includes("_geo") ||
      this.rules.some((rule) => rule.patterns.some((pattern) => pattern === "_geo" || pattern === "*"))
    );
  }

  get view(): { uid: string; createdAt: string; updatedAt: string; primaryKey: string | null } {
    return {
      uid: this.uid,
      createdAt: this.createdAt,
      updatedAt: this.updatedAt,
      primaryKey: this.primaryKey,
    };
  }

  document(id: number): Document | undefined {
    return this.#documents.get(id);
  }

  idOf(key: string): number | undefined {
    return this.#keys.get(key);
  }

  keyOf(id: number): string {
    return this.#idKeys.get(id) ?? "";
  }

  /** The values of a field of a document, cached until the document changes. */
  facetsOf(id: number, path: string): FacetValues {
    let ofField = this.#facets.get(path);
    if (ofField === undefined) {
      ofField = new Map();
      this.#facets.set(path, ofField);
    }
    let values = ofField.get(id);
    if (values === undefined) {
      values = facetValues(this.#documents.get(id) ?? new Map(), path);
      ofField.set(id, values);
    }
    return values;
  }

  rename(uid: string): void {
    this.#stored.uid = uid;
    this.#save();
  }

  setPrimaryKey(primaryKey: string): void {
    this.#stored.primaryKey = primaryKey;
    this.touch();
  }

  /** Marks the index as changed now. */
  touch(): void {
    this.#stored.updatedAt = timestamp();
    this.#save();
  }

  changeSettings(patch: JsonObject): void {
    this.#stored.settings = applySettings(this.settings, patch);
    this.#text = undefined;
    this.#rules = undefined;
    this.#geo = undefined;
    this.touch();
  }

  /** Writes documents by key, in order. New keys take the lowest free internal ids. */
  change(changes: ReadonlyMap<string, DocumentChange>): void {
    for (const [key, document] of changes) {
      if (document === undefined) this.#delete(key);
      else this.#put(key, document);
    }
    this.touch();
  }

  /** Deletes every document. */
  clear(): void {
    this.#documents.clear();
    this.#keys.clear();
    this.#idKeys.clear();
    this.#freeIds.length = 0;
    this.#nextId = 0;
    this.#text = undefined;
    this.#geo = undefined;
    this.#facets.clear();
    this.#store.clearDocuments(this.slot);
    this.touch();
  }

  /** Removes the index from the store. */
  drop(): void {
    this.#store.deleteIndex(this.slot);
  }

  #put(key: string, document: Document): void {
    for (const name of document.keys())
      if (!this.#stored.fields.includes(name)) this.#stored.fields.push(name);
    const id = this.#keys.get(key) ?? this.#freeIds.shift() ?? this.#nextId++;
    this.#forget(id);
    this.#documents.set(id, document);
    this.#keys.set(key, id);
    this.#idKeys.set(id, key);
    this.#text?.add(id, document);
    if (this.#geo !== undefined && this.usesGeo) {
      const point = geoPoint(document, key);
      if (point !== undefined) this.#geo.set(id, point);
    }
    this.#store.putDocument(this.slot, id, printDocument(document));
  }

  #delete(key: string): void {
    const id = this.#keys.get(key);
    if (id === undefined) return;
    this.#forget(id);
    this.#documents.delete(id);
    this.#keys.delete(key);
    this.#idKeys.delete(id);
    this.#freeIds.push(id);
    this.#freeIds.sort((a, b) => a - b);
    this.#store.deleteDocument(this.slot, id);
  }

  #forget(id: number): void {
    this.#text?.remove(id);
    this.#geo?.delete(id);
    for (const ofField of this.#facets.values()) ofField.delete(id);
  }

  #save(): void {
    this.#store.putIndex(this.slot, JSON.stringify(this.#stored));
  }
}
