import type { Timer, Timers } from "../../runtime/world.js";
import type { AdminSessionId } from "../ids.js";
import type { Connection } from "./connection.js";

type Listener = (id: AdminSessionId) => void;

interface RevocationRecord {
  position: number;
  session_id: string;
}

/** Milliseconds between two looks at what other connections wrote. */
const intervalMs = 250;
const rowsALook = 1_000;

/**
 * Tells of revocations that any process records in the file. SQLite notifies nobody, so the file's version is asked
 * for: a number in shared memory, which changes when another connection has written. Nothing is asked while nobody
 * listens.
 */
export class RevocationPoll {
  readonly #fast: Connection;
  readonly #timers: Timers;
  readonly #listeners = new Set<{ readonly call: Listener }>();
  readonly #version;
  readonly #newest;
  readonly #after;
  #timer: Timer | undefined;
  #seenVersion: number | undefined;
  #heard = 0;

  constructor(fast: Connection, timers: Timers) {
    this.#fast = fast;
    this.#timers = timers;
    this.#version = fast.prepare<[], { data_version: number }>("PRAGMA data_version");
    // Deleted rows count: positions are never given twice.
    this.#newest = fast.prepare<[], { seq: number }>(
      "SELECT seq FROM sqlite_sequence WHERE name = 'admin_revocations'",
    );
    this.#after = fast.prepare<[number, number], RevocationRecord>(
      "SELECT position, session_id FROM admin_revocations WHERE position > ? ORDER BY position LIMIT ?",
    );
  }

  /** Calls back for what is recorded from now on; returns what ends it. */
  listen(call: Listener): () => Promise<void> {
    if (this.#listeners.size === 0) {
      this.#heard = this.#fast.read("listen for revocations", () => this.#newest.get()?.seq ?? 0);
      this.#seenVersion = undefined;
      this.#schedule();
    }
    const listener = { call };
    this.#listeners.add(listener);
    return async () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#timer?.cancel();
    };
  }

  /** Tells of what is new; called after this connection has written, which leaves the version as it was. */
  look(): void {
    if (this.#listeners.size === 0) return;
    let records: readonly RevocationRecord[];
    do {
      try {
        records = this.#fast.read("read the revocations", () => this.#after.all(this.#heard, rowsALook));
      } catch {
        // The revocation itself was stored, and the next look finds it; calls report what ails the store.
        this.#seenVersion = undefined;
        return;
      }
      for (const { position, session_id } of records) {
        this.#heard = position;
        for (const { call } of [...this.#listeners]) call(session_id as AdminSessionId);
      }
    } while (records.length === rowsALook);
  }

  /** Forgets the listeners. */
  close(): void {
    this.#listeners.clear();
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#timers.after(intervalMs, () => {
      if (this.#listeners.size === 0) return;
      this.#schedule();
      const version = this.#readVersion();
      if (version === this.#seenVersion) return;
      this.#seenVersion = version;
      this.look();
    });
  }

  #readVersion(): number | undefined {
    try {
      return this.#fast.read("look for revocations", () => this.#version.get()?.data_version);
    } catch {
      // As in `look`: unknown, so that the next look reads.
      return undefined;
    }
  }
}
