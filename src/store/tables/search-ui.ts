import type { ProxySession, ScopedKeyUid } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** How an index's search page looks and behaves. */
export interface SearchUiConfigRow {
  readonly indexUid: string;
  /** As JSON text, kept as it was given. */
  readonly configJson: string;
  /** Milliseconds since the Unix epoch. */
  readonly updatedAt: number;
}

/** Configurations of search pages, a row an index. */
export interface SearchUiConfigTable {
  get(indexUid: string): Promise<SearchUiConfigRow | undefined>;
  /** In ascending order of index, byte by byte in UTF-8; after `after`. `limit`: 1 to 10,000; 1,000 unless given. */
  list(page?: { after?: string; limit?: number }): Promise<readonly SearchUiConfigRow[]>;
  /** Inserts or replaces. */
  put(row: SearchUiConfigRow, fence: FencingToken): Promise<void>;
  /** False where there is none. */
  delete(indexUid: string, fence: FencingToken): Promise<boolean>;
}

/** The key under which an index's search page asks, in the middle of a rotation perhaps. Uids only, never secrets. */
export interface ScopedKeyRow {
  readonly indexUid: string;
  /** 1 for the first key, one more with every rotation. */
  readonly generation: number;
  readonly primary: ScopedKeyUid;
  /** The key before, valid until it is retired; null in the steady state. */
  readonly previous: ScopedKeyUid | null;
  /** When the primary key was published, in milliseconds since the Unix epoch. */
  readonly rotatedAt: number;
}

/** What came of an attempt to retire a key. */
export type ScopedKeyRetirement =
  | { readonly kind: "retired"; readonly uid: ScopedKeyUid }
  /** These proxies may still use the old key. */
  | { readonly kind: "waiting"; readonly proxies: readonly ProxySession[] }
  /** There is no old key of that rotation: it was retired before, or another rotation has begun. */
  | { readonly kind: "nothing-to-retire" };

/**
 * Rotation of scoped keys in two phases: the new key is published, and the old one is retired only when every
 * live proxy has observed the new one.
 */
export interface ScopedKeysTable {
  get(indexUid: string): Promise<ScopedKeyRow | undefined>;
  /** In ascending order of index, byte by byte in UTF-8. */
  list(): Promise<readonly ScopedKeyRow[]>;
  /**
   * Publishes a key as generation `expectedGeneration` + 1 (0 for an index's first); the key before becomes
   * `previous`. Rejects with `ConflictError` where the index is at another generation, or still has a key to retire,
   * and with `InvalidArgumentError` for the key that it has.
   */
  publish(
    change: { indexUid: string; uid: ScopedKeyUid; expectedGeneration: number; at: number },
    fence: FencingToken,
  ): Promise<ScopedKeyRow>;
  /**
   * Records that a proxy uses this generation or a later one; kept `ttlMs` (60,000 unless given). Never goes back,
   * neither the generation nor the time at which it is forgotten. Rejects with `ConflictError` where 10,000 other
   * proxies are observed on this index.
   */
  observe(
    observation: { indexUid: string; proxy: ProxySession; generation: number },
    ttlMs?: number,
  ): Promise<void>;
  /** The generations observed and not yet forgotten, by proxy. */
  observations(indexUid: string): Promise<ReadonlyMap<ProxySession, number>>;
  /**
   * Retires the previous key of `generation`, if every one of `liveProxies` has observed that generation and no
   * other proxy has been seen at an older one within its time to live. One step: nobody can slip in between. The
   * proxies that it waits for come in ascending order, byte by byte in UTF-8.
   */
  retire(
    request: { indexUid: string; generation: number; liveProxies: readonly ProxySession[] },
    fence: FencingToken,
  ): Promise<ScopedKeyRetirement>;
  /** Forgets the index's keys and observations; false where it had no key. */
  delete(indexUid: string, fence: FencingToken): Promise<boolean>;
}
