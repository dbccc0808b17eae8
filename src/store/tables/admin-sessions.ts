import type { AdminSessionId, ApiKeyHash } from "../ids.js";

/** One signed-in session of the admin interface. Times are milliseconds since the Unix epoch. */
export interface AdminSessionRow {
  readonly id: AdminSessionId;
  readonly csrfToken: string;
  /** Of the admin key used at login: a change of the key ends its sessions. */
  readonly adminKeyHash: ApiKeyHash;
  readonly createdAt: number;
  /** By the store's clock. */
  readonly expiresAt: number;
  readonly revoked: boolean;
  readonly userAgent: string | null;
  readonly sourceIp: string | null;
}

/** A session to begin. Its token, user agent and address have at most 16,384 characters each. */
export type NewAdminSession = Omit<AdminSessionRow, "createdAt" | "expiresAt" | "revoked">;

/**
 * Sessions of the admin interface. A revoked one stays until it would have ended, so that every process sees
 * that it was revoked. Any control process writes them, so they carry no fence. At most
 * `StoreLimits.adminSessions` at once; those that would end first make room for a new one.
 */
export interface AdminSessionsTable {
  /** Begins a session that ends `ttlMs` (ten years at most) from now. Rejects with `ConflictError` where the id is in use. */
  create(session: NewAdminSession, ttlMs: number): Promise<AdminSessionRow>;
  /** The session, revoked ones too; undefined where there is none or it ended. */
  get(id: AdminSessionId): Promise<AdminSessionRow | undefined>;
  /** Sessions that have not ended, in ascending order of the time at which they end, then of id. `limit`: 1 to 10,000; 1,000 unless given. */
  list(limit?: number): Promise<readonly AdminSessionRow[]>;
  /** Revokes the session for every process; false where there is none, it ended, or it was revoked before. */
  revoke(id: AdminSessionId): Promise<boolean>;
  /**
   * Revokes every session that was not begun with this admin key, and not revoked before. Returns how many. Done in
   * bounded steps, so that it holds up nobody: where it rejects as `maybe-executed`, some may be revoked already;
   * repeat it for the rest. Sessions begun meanwhile may be missed.
   */
  revokeOthers(adminKeyHash: ApiKeyHash): Promise<number>;
  /**
   * Calls back for every session revoked from now on, through this store or any other on the same data, within
   * a second; after a lost connection, for those revoked meanwhile too. A session may be told of twice, and one
   * that was revoked just before. Resolves, once it listens, with the function that ends it. The listener must
   * not throw.
   */
  onRevoked(listener: (id: AdminSessionId) => void): Promise<() => Promise<void>>;
}
