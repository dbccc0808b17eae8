import type { Clock } from "../../runtime/world.js";
import type { ExpiringTable } from "../expiring-table.js";
import type { ProxySession, ScopedKeyUid } from "../ids.js";
import {
  checkChange,
  checkIndexUid,
  checkObservation,
  checkRetirement,
  decideRetirement,
  defaultObservationTtlMs,
  maxObservers,
  published,
  type ScopedKeyChange,
  type ScopedKeyObservation,
  type ScopedKeyRetirementRequest,
  tooManyObservers,
} from "../scoped-key-rotation.js";
import type { FencingToken, ScopedKeyRetirement, ScopedKeyRow, ScopedKeysTable } from "../task-store.js";
import type { Connection } from "./connection.js";

interface KeyRecord {
  index_uid: string;
  generation: number;
  primary_uid: string;
  previous_uid: string | null;
  rotated_at: number;
}

interface ObservationRecord {
  index_uid: string;
  proxy: string;
  generation: number;
  expires_at: number;
}

/** Ended observations that a proxy's first one takes away with it. */
const cleanedByAWrite = 4;

/** Rotation of scoped keys on SQLite, each decision in one transaction. */
export class SqliteScopedKeysTable implements ScopedKeysTable, ExpiringTable {
  readonly #fast: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #select;
  readonly #selectAll;
  readonly #upsert;
  readonly #retire;
  readonly #delete;
  readonly #selectObservation;
  readonly #selectObservations;
  readonly #countObservations;
  readonly #upsertObservation;
  readonly #deleteObservations;
  readonly #pruneObservations;

  constructor(fast: Connection, clock: Pick<Clock, "now">) {
    this.#fast = fast;
    this.#clock = clock;
    this.#select = fast.prepare<[string], KeyRecord>("SELECT * FROM scoped_keys WHERE index_uid = ?");
    this.#selectAll = fast.prepare<[], KeyRecord>("SELECT * FROM scoped_keys ORDER BY index_uid");
    this.#upsert = fast.prepare<[KeyRecord]>(
      `INSERT INTO scoped_keys (index_uid, generation, primary_uid, previous_uid, rotated_at)
       VALUES (:index_uid, :generation, :primary_uid, :previous_uid, :rotated_at)
       ON CONFLICT (index_uid) DO UPDATE SET generation = excluded.generation,
         primary_uid = excluded.primary_uid, previous_uid = excluded.previous_uid,
         rotated_at = excluded.rotated_at`,
    );
    this.#retire = fast.prepare<[string]>("UPDATE scoped_keys SET previous_uid = NULL WHERE index_uid = ?");
    this.#delete = fast.prepare<[string]>("DELETE FROM scoped_keys WHERE index_uid = ?");
    this.#selectObservation = fast.prepare<[string, string, number], ObservationRecord>(
      "SELECT * FROM scoped_keys_observed WHERE index_uid = ? AND proxy = ? AND expires_at > ?",
    );
    this.#selectObservations = fast.prepare<[string, number], ObservationRecord>(
      "SELECT * FROM scoped_keys_observed WHERE index_uid = ? AND expires_at > ? ORDER BY proxy",
    );
    this.#countObservations = fast.prepare<[string, number], { n: number }>(
      "SELECT count(*) AS n FROM scoped_keys_observed WHERE index_uid = ? AND expires_at > ?",
    );
    this.#upsertObservation = fast.prepare<[ObservationRecord]>(
      `INSERT INTO scoped_keys_observed (index_uid, proxy, generation, expires_at)
       VALUES (:index_uid, :proxy, :generation, :expires_at)
       ON CONFLICT (index_uid, proxy) DO UPDATE SET generation = excluded.generation,
         expires_at = excluded.expires_at`,
    );
    this.#deleteObservations = fast.prepare<[string]>("DELETE FROM scoped_keys_observed WHERE index_uid = ?");
    this.#pruneObservations = fast.prepare<[number, number]>(
      `DELETE FROM scoped_keys_observed WHERE (index_uid, proxy) IN
         (SELECT index_uid, proxy FROM scoped_keys_observed WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    );
  }

  async get(indexUid: string): Promise<ScopedKeyRow | undefined> {
    checkIndexUid(indexUid);
    return this.#fast.read("read a scoped key", () => this.#read(indexUid));
  }

  async list(): Promise<readonly ScopedKeyRow[]> {
    return this.#fast.read("list the scoped keys", () => this.#selectAll.all()).map(decode);
  }

  async publish(change: ScopedKeyChange, fence: FencingToken): Promise<ScopedKeyRow> {
    checkChange(change);
    return this.#fast.fencedWrite("publish a scoped key", fence, () => {
      const row = published(this.#read(change.indexUid), change);
      this.#upsert.run({
        index_uid: row.indexUid,
        generation: row.generation,
        primary_uid: row.primary,
        previous_uid: row.previous,
        rotated_at: row.rotatedAt,
      });
      return row;
    });
  }

  async observe(observation: ScopedKeyObservation, ttlMs = defaultObservationTtlMs): Promise<void> {
    checkObservation(observation, ttlMs);
    const { indexUid, proxy, generation } = observation;
    this.#fast.write("record what a proxy uses", () => {
      const now = this.#clock.now();
      const stored = this.#selectObservation.get(indexUid, proxy, now);
      if (stored === undefined) {
        this.#pruneObservations.run(now, cleanedByAWrite);
        const observers = this.#countObservations.get(indexUid, now)?.n ?? 0;
        if (observers >= maxObservers) throw tooManyObservers(indexUid);
      }
      this.#upsertObservation.run({
        index_uid: indexUid,
        proxy,
        generation: Math.max(stored?.generation ?? 0, generation),
        expires_at: Math.max(stored?.expires_at ?? 0, now + ttlMs),
      });
    });
  }

  async observations(indexUid: string): Promise<ReadonlyMap<ProxySession, number>> {
    checkIndexUid(indexUid);
    return this.#fast.read("read what proxies use", () => this.#observed(indexUid));
  }

  async retire(request: ScopedKeyRetirementRequest, fence: FencingToken): Promise<ScopedKeyRetirement> {
    checkRetirement(request);
    const { indexUid } = request;
    return this.#fast.fencedWrite("retire a scoped key", fence, () => {
      const retirement = decideRetirement(this.#read(indexUid), this.#observed(indexUid), request);
      if (retirement.kind === "retired") this.#retire.run(indexUid);
      return retirement;
    });
  }

  async delete(indexUid: string, fence: FencingToken): Promise<boolean> {
    checkIndexUid(indexUid);
    return this.#fast.fencedWrite("forget an index's scoped keys", fence, () => {
      this.#deleteObservations.run(indexUid);
      return this.#delete.run(indexUid).changes > 0;
    });
  }

  async pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#fast.fencedWrite(
      "prune observations of scoped keys",
      fence,
      () => this.#pruneObservations.run(this.#clock.now(), limit).changes,
    );
  }

  #read(indexUid: string): ScopedKeyRow | undefined {
    const record = this.#select.get(indexUid);
    return record === undefined ? undefined : decode(record);
  }

  #observed(indexUid: string): Map<ProxySession, number> {
    const records = this.#selectObservations.all(indexUid, this.#clock.now());
    return new Map(records.map(({ proxy, generation }) => [proxy as ProxySession, generation]));
  }
}

function decode(record: KeyRecord): ScopedKeyRow {
  return {
    indexUid: record.index_uid,
    generation: record.generation,
    primary: record.primary_uid as ScopedKeyUid,
    previous: record.previous_uid as ScopedKeyUid | null,
    rotatedAt: record.rotated_at,
  };
}
