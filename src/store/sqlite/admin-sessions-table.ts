import type { Clock, Timers } from "../../runtime/world.js";
import { adminSessionExists, checkNewAdminSession } from "../admin-session-rules.js";
import type { ExpiringTable } from "../expiring-table.js";
import { type AdminSessionId, type ApiKeyHash, apiKeyHash } from "../ids.js";
import { checkedLimit } from "../limits.js";
import type { AdminSessionRow, AdminSessionsTable, FencingToken, NewAdminSession } from "../task-store.js";
import type { Connection } from "./connection.js";
import { RevocationPoll } from "./revocation-poll.js";

interface SessionRecord {
  session_id: string;
  csrf_token: string;
  admin_key_hash: string;
  created_at: number;
  expires_at: number;
  revoked_at: number | null;
  user_agent: string | null;
  source_ip: string | null;
}

/** Ended rows that a new session takes away with it, and live ones beyond the limit. */
const cleanedByAWrite = 1_000;
/** Sessions revoked in one transaction. */
const revokedInAStep = 1_000;

/** What the table needs beside its connection. */
export interface SqliteAdminSessionsOptions {
  readonly clock: Pick<Clock, "now">;
  readonly timers: Timers;
  /** Sessions at once. */
  readonly limit: number;
}

/** Sessions of the admin interface on SQLite. */
export class SqliteAdminSessionsTable implements AdminSessionsTable, ExpiringTable {
  readonly #fast: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #limit: number;
  readonly #poll: RevocationPoll;
  readonly #select;
  readonly #selectLive;
  readonly #insert;
  readonly #count;
  readonly #evict;
  readonly #revoke;
  readonly #selectOthers;
  readonly #insertRevocation;
  readonly #trimRevocations;
  readonly #pruneSessions;
  readonly #pruneRevocations;

  constructor(fast: Connection, { clock, timers, limit }: SqliteAdminSessionsOptions) {
    this.#fast = fast;
    this.#clock = clock;
    this.#limit = limit;
    this.#poll = new RevocationPoll(fast, timers);
    this.#select = fast.prepare<[string, number], SessionRecord>(
      "SELECT * FROM admin_sessions WHERE session_id = ? AND expires_at > ?",
    );
    this.#selectLive = fast.prepare<[number, number], SessionRecord>(
      "SELECT * FROM admin_sessions WHERE expires_at > ? ORDER BY expires_at, session_id LIMIT ?",
    );
    this.#insert = fast.prepare<[SessionRecord]>(
      `INSERT OR REPLACE INTO admin_sessions (session_id, csrf_token, admin_key_hash, created_at, expires_at,
         revoked_at, user_agent, source_ip)
       VALUES (:session_id, :csrf_token, :admin_key_hash, :created_at, :expires_at,
         :revoked_at, :user_agent, :source_ip)`,
    );
    this.#count = fast.prepare<[], { n: number }>("SELECT count(*) AS n FROM admin_sessions");
    this.#evict = fast.prepare<[number]>(
      `DELETE FROM admin_sessions WHERE session_id IN
         (SELECT session_id FROM admin_sessions ORDER BY expires_at, session_id LIMIT ?)`,
    );
    this.#revoke = fast.prepare<[{ id: string; now: number }], { expires_at: number }>(
      `UPDATE admin_sessions SET revoked_at = :now
       WHERE session_id = :id AND expires_at > :now AND revoked_at IS NULL RETURNING expires_at`,
    );
    this.#selectOthers = fast.prepare<[number, string, number], { session_id: string }>(
      `SELECT session_id FROM admin_sessions
       WHERE expires_at > ? AND admin_key_hash <> ? AND revoked_at IS NULL ORDER BY expires_at LIMIT ?`,
    );
    this.#insertRevocation = fast.prepare<[string, number]>(
      "INSERT INTO admin_revocations (session_id, expires_at) VALUES (?, ?)",
    );
    this.#trimRevocations = fast.prepare<[number]>(
      `DELETE FROM admin_revocations WHERE position <=
         (SELECT position FROM admin_revocations ORDER BY position DESC LIMIT 1 OFFSET ?)`,
    );
    this.#pruneSessions = fast.prepare<[number, number]>(
      `DELETE FROM admin_sessions WHERE session_id IN
         (SELECT session_id FROM admin_sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    );
    this.#pruneRevocations = fast.prepare<[number, number]>(
      `DELETE FROM admin_revocations WHERE position IN
         (SELECT position FROM admin_revocations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    );
  }

  async create(session: NewAdminSession, ttlMs: number): Promise<AdminSessionRow> {
    checkNewAdminSession(session, ttlMs);
    return this.#fast.write("begin an admin session", () => {
      const now = this.#clock.now();
      if (this.#select.get(session.id, now) !== undefined) throw adminSessionExists();
      this.#pruneSessions.run(now, cleanedByAWrite);
      const excess = (this.#count.get()?.n ?? 0) + 1 - this.#limit;
      if (excess > 0) this.#evict.run(Math.min(excess, cleanedByAWrite));
      const record: SessionRecord = {
        session_id: session.id,
        csrf_token: session.csrfToken,
        admin_key_hash: session.adminKeyHash,
        created_at: now,
        expires_at: now + ttlMs,
        revoked_at: null,
        user_agent: session.userAgent,
        source_ip: session.sourceIp,
      };
      this.#insert.run(record);
      return decode(record);
    });
  }

  async get(id: AdminSessionId): Promise<AdminSessionRow | undefined> {
    const record = this.#fast.read("read an admin session", () => this.#select.get(id, this.#clock.now()));
    return record === undefined ? undefined : decode(record);
  }

  async list(limit?: number): Promise<readonly AdminSessionRow[]> {
    const most = checkedLimit(limit, 1_000);
    return this.#fast
      .read("list the admin sessions", () => this.#selectLive.all(this.#clock.now(), most))
      .map(decode);
  }

  async revoke(id: AdminSessionId): Promise<boolean> {
    const revoked = this.#fast.write("revoke an admin session", () => this.#revokeAll([id]));
    if (revoked > 0) this.#poll.look();
    return revoked > 0;
  }

  async revokeOthers(adminKeyHash: ApiKeyHash): Promise<number> {
    apiKeyHash(adminKeyHash);
    let revoked = 0;
    for (;;) {
      const step = this.#fast.write("revoke admin sessions", () => {
        const others = this.#selectOthers.all(this.#clock.now(), adminKeyHash, revokedInAStep);
        return this.#revokeAll(others.map(({ session_id }) => session_id));
      });
      if (step > 0) this.#poll.look();
      revoked += step;
      if (step < revokedInAStep) return revoked;
      // Lets other calls of this process in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async onRevoked(listener: (id: AdminSessionId) => void): Promise<() => Promise<void>> {
    return this.#poll.listen(listener);
  }

  async pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#fast.fencedWrite("prune admin sessions", fence, () => {
      const now = this.#clock.now();
      this.#pruneRevocations.run(now, limit);
      return this.#pruneSessions.run(now, limit).changes;
    });
  }

  /** Stops listening: nobody is called back any more. */
  close(): void {
    this.#poll.close();
  }

  #revokeAll(ids: readonly string[]): number {
    const now = this.#clock.now();
    let revoked = 0;
    for (const id of ids) {
      const record = this.#revoke.get({ id, now });
      if (record === undefined) continue;
      this.#insertRevocation.run(id, record.expires_at);
      revoked++;
    }
    if (revoked > 0) {
      this.#pruneRevocations.run(now, cleanedByAWrite);
      this.#trimRevocations.run(this.#limit);
    }
    return revoked;
  }
}

function decode(record: SessionRecord): AdminSessionRow {
  return {
    id: record.session_id as AdminSessionId,
    csrfToken: record.csrf_token,
    adminKeyHash: record.admin_key_hash as ApiKeyHash,
    createdAt: record.created_at,
    expiresAt: record.expires_at,
    revoked: record.revoked_at !== null,
    userAgent: record.user_agent,
    sourceIp: record.source_ip,
  };
}
