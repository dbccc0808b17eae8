import type { ExpiringTable } from "../expiring-table.js";
import type { SessionId, TaskUid } from "../ids.js";
import { checkTtl } from "../limits.js";
import { checkSession } from "../session-merge.js";
import type { FencingToken, SessionRow, SessionState, SessionsTable } from "../task-store.js";
import type { RedisBackend } from "./commit.js";
import { RedisLruTable } from "./lru-table.js";
import { RowFields } from "./row-fields.js";

/** Sessions on Redis. */
export class RedisSessionsTable implements SessionsTable, ExpiringTable {
  readonly #rows: RedisLruTable;
  readonly #limit: number;

  /** `limit`: how many sessions are kept. */
  constructor(backend: RedisBackend, limit: number) {
    this.#rows = new RedisLruTable(backend, "sessions");
    this.#limit = limit;
  }

  async use(id: SessionId, ttlMs: number): Promise<SessionRow | undefined> {
    checkTtl(ttlMs, "A session's life");
    const row = await this.#rows.run("lru-session-use", id, [id, ttlMs], "write", "use a session");
    return row === null ? undefined : decode(row);
  }

  async get(id: SessionId): Promise<SessionRow | undefined> {
    const row = await this.#rows.run("lru-get", id, [], "read", "read a session");
    return row === null ? undefined : decode(row);
  }

  async record(state: SessionState, ttlMs: number): Promise<SessionRow> {
    checkSession(state);
    checkTtl(ttlMs, "A session's life");
    const { id, lastWriteTaskUid, lastWriteAt, pinnedGroup, minSettingsVersion } = state;
    const row = await this.#rows.run(
      "lru-session-record",
      id,
      [
        id,
        ttlMs,
        this.#limit,
        lastWriteTaskUid ?? "",
        lastWriteAt ?? "",
        pinnedGroup ?? "",
        minSettingsVersion,
      ],
      "write",
      "record a session",
    );
    return decode(row);
  }

  async delete(id: SessionId): Promise<boolean> {
    return (await this.#rows.run("lru-delete", id, [id, "", ""], "write", "end a session")) === 1;
  }

  count(): Promise<number> {
    return this.#rows.count("count the sessions");
  }

  pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#rows.pruneExpired(limit, fence, "prune sessions");
  }
}

function decode(row: unknown): SessionRow {
  const fields = new RowFields(row, "a session");
  return {
    id: fields.text("session_id") as SessionId,
    lastWriteTaskUid: fields.integerOrNull("last_write_task_uid") as TaskUid | null,
    lastWriteAt: fields.integerOrNull("last_write_at"),
    pinnedGroup: fields.integerOrNull("pinned_group"),
    minSettingsVersion: fields.integer("min_settings_version"),
    expiresAt: fields.integer("expires_at"),
  };
}
