import type { SessionId, TaskUid } from "../ids.js";

/** What a session's client relies on to read its own writes. */
export interface SessionState {
  readonly id: SessionId;
  /** The newest write of the session; null before the first. */
  readonly lastWriteTaskUid: TaskUid | null;
  /** When that write was accepted, in milliseconds since the Unix epoch. */
  readonly lastWriteAt: number | null;
  /** The replica group that has the write first; null for any. */
  readonly pinnedGroup: number | null;
  /** The settings version below which the session does not read. */
  readonly minSettingsVersion: number;
}

/** One session. */
export interface SessionRow extends SessionState {
  /** By the store's clock, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/**
 * Sessions. They end `ttlMs` (1 to ten years) after their last use, and where there are more than
 * `StoreLimits.sessions` those that have ended go first, then the least recently used, in the exact order of
 * uses. Any control process writes them, so they carry no fence.
 */
export interface SessionsTable {
  /**
   * The session, its life set by this use to `ttlMs` from now, which may be sooner than before; undefined where
   * there is none or it ended.
   */
  use(id: SessionId, ttlMs: number): Promise<SessionRow | undefined>;
  /** The session, without counting as a use. */
  get(id: SessionId): Promise<SessionRow | undefined>;
  /**
   * Records what the session's client must see, whatever the order in which its proxies report: the newest
   * write wins with its time and group (a state without a write is the oldest; of equals the later call
   * wins, with all that it says), `minSettingsVersion` never goes back. Counts as a use. Returns the session
   * as it is now.
   */
  record(state: SessionState, ttlMs: number): Promise<SessionRow>;
  /** Ends the session; false where there was none. */
  delete(id: SessionId): Promise<boolean>;
  /** How many sessions there are that have not ended. */
  count(): Promise<number>;
}
