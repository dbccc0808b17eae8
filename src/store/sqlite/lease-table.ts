import type { Clock } from "../../runtime/world.js";
import type { LeaseScope } from "../ids.js";
import { checkLeaseRequest, checkLeaseTtl, leaseExhausted } from "../lease-rules.js";
import type { FencingToken, Lease, LeaseTable } from "../task-store.js";
import type { Connection } from "./connection.js";

interface LeaseRecord {
  scope: string;
  holder: string | null;
  term: number;
  expires_at: number;
}

/** Leases on SQLite: several processes on one file exclude each other by its write lock. */
export class SqliteLeaseTable implements LeaseTable {
  readonly #durable: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #select;
  readonly #upsert;

  constructor(durable: Connection, clock: Pick<Clock, "now">) {
    this.#durable = durable;
    this.#clock = clock;
    this.#select = durable.prepare<[string], LeaseRecord>(
      "SELECT scope, holder, term, expires_at FROM leader_lease WHERE scope = ?",
    );
    this.#upsert = durable.prepare<[LeaseRecord]>(
      `INSERT INTO leader_lease (scope, holder, term, expires_at) VALUES (:scope, :holder, :term, :expires_at)
       ON CONFLICT (scope) DO UPDATE SET holder = excluded.holder, term = excluded.term,
         expires_at = excluded.expires_at`,
    );
  }

  async acquire(request: {
    scope: LeaseScope;
    holder: string;
    ttlMs: number;
    aboveTerm?: number;
  }): Promise<Lease | undefined> {
    const { scope, holder, ttlMs, aboveTerm } = checkLeaseRequest(request);
    return this.#durable.write("acquire a lease", () => {
      const now = this.#clock.now();
      const stored = this.#select.get(scope);
      const live = stored !== undefined && stored.holder !== null && stored.expires_at > now;
      if (live && stored.holder !== holder) return undefined;
      const keepsTerm = live && stored.term > aboveTerm;
      const term = keepsTerm ? stored.term : Math.max(stored?.term ?? 0, aboveTerm) + 1;
      if (term > Number.MAX_SAFE_INTEGER) throw leaseExhausted(scope);
      return this.#store({ scope, holder, term, expiresAt: now + ttlMs });
    });
  }

  async renew(token: FencingToken, ttlMs: number): Promise<Lease | undefined> {
    checkLeaseTtl(ttlMs);
    return this.#durable.write("renew a lease", () => {
      const now = this.#clock.now();
      const stored = this.#select.get(token.scope);
      if (!isHeldBy(stored, token) || stored.expires_at <= now) return undefined;
      return this.#store({ ...pick(token), expiresAt: now + ttlMs });
    });
  }

  async release(token: FencingToken): Promise<boolean> {
    return this.#durable.write("release a lease", () => {
      const stored = this.#select.get(token.scope);
      if (!isHeldBy(stored, token)) return false;
      this.#upsert.run({ ...stored, holder: null });
      return true;
    });
  }

  async current(scope: LeaseScope): Promise<Lease | undefined> {
    const stored = this.#durable.read("read a lease", () => this.#select.get(scope));
    if (stored === undefined || stored.holder === null) return undefined;
    return { scope, holder: stored.holder, term: stored.term, expiresAt: stored.expires_at };
  }

  #store(lease: Lease): Lease {
    this.#upsert.run({
      scope: lease.scope,
      holder: lease.holder,
      term: lease.term,
      expires_at: lease.expiresAt,
    });
    return lease;
  }
}

function pick(token: FencingToken): FencingToken {
  return { scope: token.scope, holder: token.holder, term: token.term };
}

function isHeldBy(stored: LeaseRecord | undefined, token: FencingToken): stored is LeaseRecord {
  return stored !== undefined && stored.holder === token.holder && stored.term === token.term;
}
