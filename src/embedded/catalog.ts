import { type ApiError, indexNotFound } from "./errors.js";
import { IndexState } from "./index-state.js";
import type { NodeStore } from "./store.js";

/** The indexes of a node by name. */
export class Catalog {
  readonly #store: NodeStore;
  readonly #indexes = new Map<string, IndexState>();
  #nextSlot = 1;

  constructor(store: NodeStore) {
    this.#store = store;
    for (const { slot, json } of store.indexes()) {
      const index = IndexState.load(store, slot, json);
      this.#indexes.set(index.uid, index);
      this.#nextSlot = Math.max(this.#nextSlot, slot + 1);
    }
  }

  /** All indexes, ordered by name. */
  all(): IndexState[] {
    return [...this.#indexes.values()].sort((a, b) => (a.uid < b.uid ? -1 : 1));
  }

  find(uid: string): IndexState | undefined {
    return this.#indexes.get(uid);
  }

  /** @throws ApiError `index_not_found` */
  get(uid: string): IndexState {
    const index = this.#indexes.get(uid);
    if (index === undefined) throw indexNotFound(uid) satisfies ApiError;
    return index;
  }

  create(uid: string, primaryKey: string | null): IndexState {
    const index = IndexState.create(this.#store, this.#nextSlot++, uid, primaryKey);
    this.#indexes.set(uid, index);
    return index;
  }

  delete(uid: string): void {
    this.#indexes.get(uid)?.drop();
    this.#indexes.delete(uid);
  }

  /** Gives an index another name, which must be free. */
  rename(from: string, to: string): void {
    const index = this.get(from);
    this.#indexes.delete(from);
    index.rename(to);
    this.#indexes.set(to, index);
  }

  /** Exchanges the names of two indexes. */
  swap(first: string, second: string): void {
    const [one, two] = [this.get(first), this.get(second)];
    one.rename(second);
    two.rename(first);
    this.#indexes.set(first, two);
    this.#indexes.set(second, one);
  }
}
