import type { Clock } from "../../runtime/world.js";
import type { ExpiringTable } from "../expiring-table.js";
import type { SessionId, TaskUid } from "../ids.js";
import { checkTtl } from "../limits.js";
import { checkSession, mergeSession } from "../session-merge.js";
import type { FencingToken, SessionRow, SessionState, SessionsTable } from "../task-store.js";
import type { Connection } from "./connection.js";
import { LruRows } from "./lru-rows.js";

interface SessionRecord {
  session_id: string;
  last_write_task_uid: number | null;
  last_write_at: number | null;
  pinned_group: number | null;
  min_settings_version: number;
  last_used_at: number;
  expires_at: number;
}

/** Sessions on SQLite. */
export class SqliteSessionsTable implements SessionsTable, ExpiringTable {
  readonly #fast: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #rows: LruRows;
  readonly #selectLive;
  readonly #upsert;
  readonly #delete;

  /** `limit`: how many sessions are kept. */
  constructor(fast: Connection, clock: Pick<Clock, "now">, limit: number) {
    this.#fast = fast;
    this.#clock = clock;
    this.#rows = new LruRows(fast, "sessions", "session_id", limit);
    this.#selectLive = fast.prepare<[string, number], SessionRecord>(
      "SELECT * FROM sessions WHERE session_id = ? AND expires_at > ?",
    );
    this.#upsert = fast.prepare<[SessionRecord]>(
      `INSERT INTO sessions (session_id, last_write_task_uid, last_write_at, pinned_group,
         min_settings_version, last_used_at, expires_at)
       VALUES (:session_id, :last_write_task_uid, :last_write_at, :pinned_group,
         :min_settings_version, :last_used_at, :expires_at)
       ON CONFLICT (session_id) DO UPDATE SET last_write_task_uid = excluded.last_write_task_uid,
         last_write_at = excluded.last_write_at, pinned_group = excluded.pinned_group,
         min_settings_version = excluded.min_settings_version, last_used_at = excluded.last_used_at,
         expires_at = excluded.expires_at`,
    );
    this.#delete = fast.prepare<[string, number]>(
      "DELETE FROM sessions WHERE session_id = ? AND expires_at > ?",
    );
  }

  async use(id: SessionId, ttlMs: number): Promise<SessionRow | undefined> {
    checkTtl(ttlMs, "A session's life");
    return this.#fast.write("use a session", () => {
      const now = this.#clock.now();
      const stored = this.#load(id, now);
      return stored === undefined ? undefined : this.#store(stored, now, ttlMs);
    });
  }

  async get(id: SessionId): Promise<SessionRow | undefined> {
    return this.#fast.read("read a session", () => this.#load(id, this.#clock.now()));
  }

  async record(state: SessionState, ttlMs: number): Promise<SessionRow> {
    checkSession(state);
    checkTtl(ttlMs, "A session's life");
    return this.#fast.write("record a session", () => {
      const now = this.#clock.now();
      const stored = this.#load(state.id, now);
      if (stored !== undefined) return this.#store(mergeSession(stored, state), now, ttlMs);
      this.#rows.sweep(now);
      const row = this.#store(state, now, ttlMs);
      this.#rows.makeRoom(now);
      return row;
    });
  }

  async delete(id: SessionId): Promise<boolean> {
    return this.#fast.write("end a session", () => this.#delete.run(id, this.#clock.now()).changes > 0);
  }

  async count(): Promise<number> {
    return this.#fast.read("count the sessions", () => this.#rows.countLive(this.#clock.now()));
  }

  async pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#fast.fencedWrite("prune sessions", fence, () => this.#rows.prune(this.#clock.now(), limit));
  }

  #load(id: SessionId, now: number): SessionRow | undefined {
    const record = this.#selectLive.get(id, now);
    return record === undefined ? undefined : decode(record);
  }

  #store(state: SessionState, now: number, ttlMs: number): SessionRow {
    const record: SessionRecord = {
      session_id: state.id,
      last_write_task_uid: state.lastWriteTaskUid,
      last_write_at: state.lastWriteAt,
      pinned_group: state.pinnedGroup,
      min_settings_version: state.minSettingsVersion,
      last_used_at: this.#rows.nextUse(now),
      expires_at: now + ttlMs,
    };
    this.#upsert.run(record);
    return decode(record);
  }
}

function decode(record: SessionRecord): SessionRow {
  return {
    id: record.session_id as SessionId,
    lastWriteTaskUid: record.last_write_task_uid as TaskUid | null,
    lastWriteAt: record.last_write_at,
    pinnedGroup: record.pinned_group,
    minSettingsVersion: record.min_settings_version,
    expiresAt: record.expires_at,
  };
}
