import { clone, equals } from "@bufbuild/protobuf";
import { type Index, IndexSchema, type Topology, TopologySchema } from "../../gen/miroir/v1/topology_pb.js";

/** A topology in the making; see {@link draftOf}. */
export interface TopologyDraft {
  /** The topology to change. It reads as the base does until it is changed. */
  readonly draft: Topology;
  /** What has become of it. Indexes that are as they were are the base's own. Call it once, when all changes are made. */
  finish(): Topology;
}

/**
 * A draft of a topology's successor, which leaves `base` as it is. An index is copied when it is first written to, or one of its lists or
 * messages is looked at: a change of one index among thousands costs that one.
 */
export function draftOf(base: Topology): TopologyDraft {
  const lent = new Map<Index, LentIndex>();
  const draft = clone(TopologySchema, { ...base, indexes: [] });
  draft.indexes = base.indexes.map((index) => {
    const one = new LentIndex(index);
    const stand = new Proxy(EMPTY, one) as Index;
    lent.set(stand, one);
    return stand;
  });
  return {
    draft,
    finish: () => ({ ...draft, indexes: draft.indexes.map((index) => lent.get(index)?.result() ?? index) }),
  };
}

/** Stands behind every proxy object: what is read and written is elsewhere. */
const EMPTY = {};

/** An index of the base, until it is copied to be changed. */
class LentIndex implements ProxyHandler<object> {
  readonly #base: Index;
  #copy: Index | undefined;

  constructor(base: Index) {
    this.#base = base;
  }

  result(): Index {
    return this.#copy === undefined || equals(IndexSchema, this.#base, this.#copy) ? this.#base : this.#copy;
  }

  get(_: object, key: string | symbol): unknown {
    const value: unknown = Reflect.get(this.#now(), key);
    // Who gets a list or a message may change it.
    return typeof value === "object" && value !== null ? Reflect.get(this.#own(), key) : value;
  }

  set(_: object, key: string | symbol, value: unknown): boolean {
    return Reflect.set(this.#own(), key, value);
  }

  deleteProperty(_: object, key: string | symbol): boolean {
    return Reflect.deleteProperty(this.#own(), key);
  }

  has(_: object, key: string | symbol): boolean {
    return Reflect.has(this.#now(), key);
  }

  ownKeys(): (string | symbol)[] {
    return Reflect.ownKeys(this.#now());
  }

  getOwnPropertyDescriptor(_: object, key: string | symbol): PropertyDescriptor | undefined {
    return Reflect.getOwnPropertyDescriptor(this.#own(), key);
  }

  getPrototypeOf(): object | null {
    return Reflect.getPrototypeOf(this.#now());
  }

  #now(): Index {
    return this.#copy ?? this.#base;
  }

  #own(): Index {
    this.#copy ??= clone(IndexSchema, this.#base);
    return this.#copy;
  }
}
