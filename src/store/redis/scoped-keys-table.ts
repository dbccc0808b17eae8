import type { ProxySession, ScopedKeyUid } from "../ids.js";
import {
  checkChange,
  checkIndexUid,
  checkObservation,
  checkRetirement,
  defaultObservationTtlMs,
  inByteOrder,
  maxObservers,
  published,
  type ScopedKeyChange,
  type ScopedKeyObservation,
  type ScopedKeyRetirementRequest,
  tooManyObservers,
} from "../scoped-key-rotation.js";
import type { FencingToken, ScopedKeyRetirement, ScopedKeyRow, ScopedKeysTable } from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend, transact } from "./commit.js";
import { type FlatRow, presentFields, RowFields } from "./row-fields.js";
import { listRows } from "./row-reader.js";

/**
 * Rotation of scoped keys on Redis: a hash an index, and beside it what its proxies observed. Observations go with the
 * last of an index, and those of lost proxies with the next one of another, so that nothing has to be pruned.
 */
export class RedisScopedKeysTable implements ScopedKeysTable {
  readonly #backend: RedisBackend;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
  }

  async get(indexUid: string): Promise<ScopedKeyRow | undefined> {
    checkIndexUid(indexUid);
    const fields = await this.#backend.connection.read("read a scoped key", (client) =>
      client.hgetall(this.#row(indexUid)),
    );
    const flat = Object.entries(fields).flat();
    return flat.length === 0 ? undefined : decode(flat);
  }

  async list(): Promise<readonly ScopedKeyRow[]> {
    const rows = await listRows(this.#backend, "list the scoped keys", {
      table: "scoped_keys",
      index: this.#index,
    });
    return rows.map(decode);
  }

  async publish(change: ScopedKeyChange, fence: FencingToken): Promise<ScopedKeyRow> {
    checkChange(change);
    const { indexUid } = change;
    const key = this.#row(indexUid);
    const outcome = await transact(
      this.#backend,
      "publish a scoped key",
      { fence, durable: true },
      async (commit) => {
        const stored = await this.get(indexUid);
        // A retirement changes the key before; everything else, the generation.
        commit
          .expectField(key, "generation", stored === undefined ? undefined : String(stored.generation))
          .expectField(key, "previous_uid", stored?.previous ?? undefined);
        const next = refusalOr(() => published(stored, change));
        if (next.kind === "refused") return next;
        commit.hset(key, encode(next.value)).zadd(this.#index, 0, indexUid);
        return next;
      },
    );
    if (outcome.kind === "refused") throw outcome.error;
    return outcome.value;
  }

  async observe(observation: ScopedKeyObservation, ttlMs = defaultObservationTtlMs): Promise<void> {
    checkObservation(observation, ttlMs);
    const { connection, now } = this.#backend;
    const { indexUid, proxy, generation } = observation;
    const stored = await connection.run(
      "scoped-key-observe",
      this.#observed(indexUid),
      [now(), proxy, generation, ttlMs, maxObservers],
      "write",
      "record what a proxy uses",
    );
    if (stored === 0) throw tooManyObservers(indexUid);
  }

  async observations(indexUid: string): Promise<ReadonlyMap<ProxySession, number>> {
    checkIndexUid(indexUid);
    const { connection, now } = this.#backend;
    const reply = await connection.run(
      "scoped-key-observed",
      this.#observed(indexUid),
      [now()],
      "read",
      "read what proxies use",
    );
    const flat = reply as string[];
    const observed = new RowFields(flat, `what is observed on index "${indexUid}"`);
    const proxies = flat.filter((_, i) => i % 2 === 0) as ProxySession[];
    return new Map(inByteOrder(proxies).map((proxy) => [proxy, observed.integer(proxy)]));
  }

  async retire(request: ScopedKeyRetirementRequest, fence: FencingToken): Promise<ScopedKeyRetirement> {
    checkRetirement(request);
    const { connection, keys, now } = this.#backend;
    const { indexUid, generation, liveProxies } = request;
    const reply = await connection.run(
      "scoped-key-retire",
      [leaseKey(keys, fence.scope), this.#row(indexUid), ...this.#observed(indexUid)],
      [now(), fence.holder, fence.term, generation, ...liveProxies],
      "durable",
      "retire a scoped key",
    );
    const [kind, ...rest] = reply as [string, ...string[]];
    switch (kind) {
      case "fenced":
        throw fencedError(fence, rest);
      case "retired":
        return { kind, uid: rest[0] as ScopedKeyUid };
      case "waiting":
        return { kind, proxies: inByteOrder(rest as ProxySession[]) };
      default:
        return { kind: "nothing-to-retire" };
    }
  }

  async delete(indexUid: string, fence: FencingToken): Promise<boolean> {
    checkIndexUid(indexUid);
    return transact(
      this.#backend,
      "forget an index's scoped keys",
      { fence, durable: true },
      async (commit) => {
        const stored = await this.get(indexUid);
        const key = this.#row(indexUid);
        if (stored === undefined) commit.expectAbsent(key);
        else commit.expectField(key, "generation", String(stored.generation));
        commit.del(key).zrem(this.#index, indexUid);
        for (const observed of this.#observed(indexUid)) commit.del(observed);
        return stored !== undefined;
      },
    );
  }

  get #index(): string {
    return this.#backend.keys.index("scoped_keys", "index");
  }

  #row(indexUid: string): string {
    return this.#backend.keys.row("scoped_keys", indexUid);
  }

  /** Generations by proxy, and proxies by the time at which they are forgotten. */
  #observed(indexUid: string): readonly [string, string] {
    const { keys } = this.#backend;
    return [
      keys.index("scoped_keys", "observed", indexUid),
      keys.index("scoped_keys", "observed_until", indexUid),
    ];
  }
}

type Refusable<T> =
  | { readonly kind: "accepted"; readonly value: T }
  | { readonly kind: "refused"; readonly error: unknown };

/** Keeps what `body` throws, so that the fence is asked first: a former leader learns that it is one. */
function refusalOr<T>(body: () => T): Refusable<T> {
  try {
    return { kind: "accepted", value: body() };
  } catch (error) {
    return { kind: "refused", error };
  }
}

function encode(row: ScopedKeyRow): Record<string, string | number | Buffer> {
  return presentFields({
    index_uid: row.indexUid,
    generation: row.generation,
    primary_uid: row.primary,
    previous_uid: row.previous,
    rotated_at: row.rotatedAt,
  });
}

function decode(flat: FlatRow): ScopedKeyRow {
  const row = new RowFields(flat, "a scoped key");
  return {
    indexUid: row.text("index_uid"),
    generation: row.integer("generation"),
    primary: row.text("primary_uid") as ScopedKeyUid,
    previous: row.textOrNull("previous_uid") as ScopedKeyUid | null,
    rotatedAt: row.integer("rotated_at"),
  };
}
