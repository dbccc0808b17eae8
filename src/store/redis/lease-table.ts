import type { LeaseScope } from "../ids.js";
import { checkLeaseRequest, checkLeaseTtl, leaseExhausted } from "../lease-rules.js";
import type { FencingToken, Lease, LeaseTable } from "../task-store.js";
import { leaseKey, type RedisBackend } from "./commit.js";

/** Leases on Redis, each in one script, by the server's clock: what the callers' clocks say does not matter. */
export class RedisLeaseTable implements LeaseTable {
  readonly #backend: RedisBackend;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
  }

  async acquire(request: {
    scope: LeaseScope;
    holder: string;
    ttlMs: number;
    aboveTerm?: number;
  }): Promise<Lease | undefined> {
    const { scope, holder, ttlMs, aboveTerm } = checkLeaseRequest(request);
    const { connection, keys, now } = this.#backend;
    const reply = await connection.run(
      "lease-acquire",
      [leaseKey(keys, scope), keys.index("leader_lease", "index")],
      [now(), holder, ttlMs, aboveTerm, scope],
      "durable",
      "acquire a lease",
    );
    if (reply === null) return undefined;
    if (reply === "exhausted") throw leaseExhausted(scope);
    const [term, expiresAt] = reply as [string, string];
    return { scope, holder, term: Number(term), expiresAt: Number(expiresAt) };
  }

  async renew(token: FencingToken, ttlMs: number): Promise<Lease | undefined> {
    checkLeaseTtl(ttlMs);
    const { connection, keys, now } = this.#backend;
    const { scope, holder, term } = token;
    const expiresAt = await connection.run(
      "lease-renew",
      [leaseKey(keys, scope)],
      [now(), holder, term, ttlMs],
      "durable",
      "renew a lease",
    );
    return expiresAt === null ? undefined : { scope, holder, term, expiresAt: Number(expiresAt) };
  }

  async release(token: FencingToken): Promise<boolean> {
    const { connection, keys } = this.#backend;
    const released = await connection.run(
      "lease-release",
      [leaseKey(keys, token.scope)],
      [token.holder, token.term],
      "durable",
      "release a lease",
    );
    return released === 1;
  }

  async current(scope: LeaseScope): Promise<Lease | undefined> {
    const { connection, keys } = this.#backend;
    const [holder, term, expiresAt] = await connection.read("read a lease", (client) =>
      client.hmget(leaseKey(keys, scope), "holder", "term", "expires_at"),
    );
    if (!holder || !term || !expiresAt) return undefined;
    return { scope, holder, term: Number(term), expiresAt: Number(expiresAt) };
  }
}
