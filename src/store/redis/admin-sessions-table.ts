import type { Timers } from "../../runtime/world.js";
import { adminSessionExists, checkNewAdminSession } from "../admin-session-rules.js";
import { StoreError, StoreUnavailableError } from "../errors.js";
import type { ExpiringTable } from "../expiring-table.js";
import { type AdminSessionId, type ApiKeyHash, apiKeyHash } from "../ids.js";
import { checkedLimit } from "../limits.js";
import type { AdminSessionRow, AdminSessionsTable, FencingToken, NewAdminSession } from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend } from "./commit.js";
import { RevocationFeed, type RevocationKeys } from "./revocation-feed.js";
import { type FlatRow, presentFields, RowFields } from "./row-fields.js";

/** Ended rows that a write takes away with it, and live ones beyond the limit. */
const cleanedByAWrite = 1_000;
/** Sessions that one script reads at most. */
const rowsAScript = 1_000;
/** Sessions that one script revokes at most. */
const revokedAScript = 500;

/** What the table needs beside its backend. */
export interface RedisAdminSessionsOptions {
  readonly timers: Timers;
  /** Sessions at once. */
  readonly limit: number;
  /** Messages reach every database of a server, so that its number is a part of the channel's name. */
  readonly database: number;
}

/** Sessions of the admin interface on Redis: a hash each, which the server deletes when the session ends. */
export class RedisAdminSessionsTable implements AdminSessionsTable, ExpiringTable {
  readonly #backend: RedisBackend;
  readonly #limit: number;
  readonly #rows: string;
  /** Sessions by the time at which they end. */
  readonly #expiry: string;
  readonly #revocations: RevocationKeys;
  readonly #feed: RevocationFeed;

  constructor(backend: RedisBackend, { timers, limit, database }: RedisAdminSessionsOptions) {
    const { keys } = backend;
    this.#backend = backend;
    this.#limit = limit;
    this.#rows = keys.table("admin_sessions");
    this.#expiry = keys.index("admin_sessions", "expiry");
    this.#revocations = {
      revoked: keys.index("admin_sessions", "revoked"),
      lastNumber: keys.index("admin_sessions", "revoked_last"),
      channel: keys.index("admin_sessions", "revoked", database),
    };
    this.#feed = new RevocationFeed(backend, this.#revocations, timers);
  }

  async create(session: NewAdminSession, ttlMs: number): Promise<AdminSessionRow> {
    checkNewAdminSession(session, ttlMs);
    const { connection, keys, now } = this.#backend;
    const fields = presentFields({
      session_id: session.id,
      csrf_token: session.csrfToken,
      admin_key_hash: session.adminKeyHash,
      user_agent: session.userAgent,
      source_ip: session.sourceIp,
    });
    const reply = await connection.run(
      "admin-session-create",
      [keys.row("admin_sessions", session.id), this.#expiry, this.#rows],
      [now(), ttlMs, this.#limit, cleanedByAWrite, session.id, ...Object.entries(fields).flat()],
      "write",
      "begin an admin session",
    );
    if (reply === null) throw adminSessionExists();
    const [createdAt, expiresAt] = reply as [string, string];
    const { id, csrfToken, adminKeyHash, userAgent, sourceIp } = session;
    const times = { createdAt: Number(createdAt), expiresAt: Number(expiresAt) };
    return { id, csrfToken, adminKeyHash, ...times, revoked: false, userAgent, sourceIp };
  }

  async get(id: AdminSessionId): Promise<AdminSessionRow | undefined> {
    const { connection, keys, now } = this.#backend;
    const fields = await connection.read("read an admin session", (client) =>
      client.hgetall(keys.row("admin_sessions", id)),
    );
    const flat = Object.entries(fields).flat();
    if (flat.length === 0) return undefined;
    const row = decode(flat);
    // By the server's own time, it has deleted what ended.
    const at = now();
    return at === "" || row.expiresAt > Number(at) ? row : undefined;
  }

  async list(limit?: number): Promise<readonly AdminSessionRow[]> {
    const most = checkedLimit(limit, 1_000);
    const rows = new Map<string, AdminSessionRow>();
    for await (const page of this.#pages()) {
      for (const row of page) {
        if (rows.size < most) rows.set(row.id, row);
      }
      if (rows.size >= most) break;
    }
    return [...rows.values()];
  }

  async revoke(id: AdminSessionId): Promise<boolean> {
    return (await this.#revoke([id], "revoke an admin session")) > 0;
  }

  async revokeOthers(adminKeyHash: ApiKeyHash): Promise<number> {
    apiKeyHash(adminKeyHash);
    let revoked = 0;
    try {
      for await (const page of this.#pages()) {
        const others = page.filter((row) => row.adminKeyHash !== adminKeyHash && !row.revoked);
        for (let at = 0; at < others.length; at += revokedAScript) {
          const ids = others.slice(at, at + revokedAScript).map(({ id }) => id);
          revoked += await this.#revoke(ids, "revoke admin sessions");
        }
      }
      return revoked;
    } catch (error) {
      if (revoked === 0 || !(error instanceof StoreError)) throw error;
      throw new StoreUnavailableError(
        `Could not revoke all admin sessions in ${this.#backend.connection.place}, only ${revoked}. Repeat the call for the rest.`,
        "maybe-executed",
        { cause: error },
      );
    }
  }

  onRevoked(listener: (id: AdminSessionId) => void): Promise<() => Promise<void>> {
    return this.#feed.listen(listener);
  }

  async pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    const { connection, keys, now } = this.#backend;
    const reply = await connection.run(
      "admin-session-prune",
      [leaseKey(keys, fence.scope), this.#expiry, this.#rows],
      [now(), fence.holder, fence.term, limit],
      "write",
      "prune admin sessions",
    );
    const [kind, ...rest] = reply as [string, ...unknown[]];
    if (kind === "fenced") throw fencedError(fence, rest);
    return Number(rest[0]);
  }

  /** Stops listening: nobody is called back any more. */
  close(): void {
    this.#feed.close();
  }

  async #revoke(ids: readonly AdminSessionId[], operation: string): Promise<number> {
    const { connection, now } = this.#backend;
    const { revoked, lastNumber, channel } = this.#revocations;
    const count = await connection.run(
      "admin-session-revoke",
      [revoked, lastNumber, this.#rows],
      [now(), channel, this.#limit, cleanedByAWrite, ...ids],
      "durable",
      operation,
    );
    return Number(count);
  }

  /** The sessions that have not ended, in the order in which they end; one may come twice. */
  async *#pages(): AsyncIterable<readonly AdminSessionRow[]> {
    const { connection, now } = this.#backend;
    let end = "";
    let id = "";
    do {
      const reply = await connection.run(
        "admin-session-list",
        [this.#expiry, this.#rows],
        [now(), rowsAScript, end, id],
        "read",
        "list the admin sessions",
      );
      const [nextEnd, nextId, rows] = reply as [string, string, FlatRow[]];
      yield rows.map(decode);
      end = nextEnd;
      id = nextId;
    } while (id !== "");
  }
}

function decode(flat: FlatRow): AdminSessionRow {
  const row = new RowFields(flat, "an admin session");
  const hash = row.text("admin_key_hash");
  if (!/^[0-9a-f]{64}$/.test(hash)) throw row.corrupt("admin_key_hash", "is not a hash");
  return {
    id: row.text("session_id") as AdminSessionId,
    csrfToken: row.text("csrf_token"),
    adminKeyHash: hash as ApiKeyHash,
    createdAt: row.integer("created_at"),
    expiresAt: row.integer("expires_at"),
    revoked: row.integerOrNull("revoked_at") !== null,
    userAgent: row.textOrNull("user_agent"),
    sourceIp: row.textOrNull("source_ip"),
  };
}
