import type { Timer, Timers } from "../../runtime/world.js";
import { StoreClosedError, StoreUnavailableError } from "../errors.js";
import type { AdminSessionId } from "../ids.js";
import type { RedisBackend } from "./commit.js";
import { Subscription } from "./subscription.js";

type Listener = (id: AdminSessionId) => void;

/** Where revocations are recorded and published. */
export interface RevocationKeys {
  /** Revocations by number: `<expires_at>:<id>`. */
  readonly revoked: string;
  /** The last number. */
  readonly lastNumber: string;
  readonly channel: string;
}

/** Milliseconds between two looks at the last number, which finds what no message told of. */
const lookMs = 500;
/** Milliseconds to begin to listen. */
const startMs = 5_000;
const entriesALook = 1_000;
/** Revocations before the last one heard that are told of again after a lost connection: a failover may have lost some. */
const overlap = 100;

/**
 * Tells of revocations that any process records. Messages carry them at once; each has a number, and what is
 * recorded after the last number up to which all were heard is read after every lost connection, after a gap in the
 * numbers, and where the last number shows that a message is missing.
 */
export class RevocationFeed {
  readonly #backend: RedisBackend;
  readonly #keys: RevocationKeys;
  readonly #timers: Timers;
  readonly #listeners = new Set<{ readonly call: Listener }>();
  #listening: Listening | undefined;
  #closed = false;

  constructor(backend: RedisBackend, keys: RevocationKeys, timers: Timers) {
    this.#backend = backend;
    this.#keys = keys;
    this.#timers = timers;
  }

  /** Calls back for what is revoked from now on; resolves, once it listens, with what ends it. */
  async listen(call: Listener): Promise<() => Promise<void>> {
    if (this.#closed) throw new StoreClosedError();
    const listener = { call };
    this.#listeners.add(listener);
    const end = async (): Promise<void> => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
    this.#listening ??= new Listening(this.#backend, this.#keys, this.#timers, (id) => this.#tell(id));
    try {
      await this.#listening.started;
    } catch (error) {
      await end();
      throw error;
    }
    return end;
  }

  /** Forgets the listeners; who waits for the beginning is rejected with `StoreClosedError`. */
  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    this.#stop();
  }

  #tell(id: AdminSessionId): void {
    for (const { call } of [...this.#listeners]) call(id);
  }

  #stop(): void {
    this.#listening?.stop();
    this.#listening = undefined;
  }
}

/** One time of listening, from the first listener to the last. */
class Listening {
  /** Resolves when nothing that is revoked afterwards is missed. */
  readonly started: Promise<void>;
  readonly #backend: RedisBackend;
  readonly #keys: RevocationKeys;
  readonly #timers: Timers;
  readonly #tell: Listener;
  readonly #subscription: Subscription;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;
  readonly #startTimer: Timer;
  #lookTimer: Timer | undefined;
  /** All revocations up to this number were told of, or came before; undefined before the first look. */
  #heard: number | undefined;
  #looking = false;
  #lookAgain = false;
  /** How far behind `#heard` the next look begins. */
  #behind = 0;
  #stopped = false;

  constructor(backend: RedisBackend, keys: RevocationKeys, timers: Timers, tell: Listener) {
    this.#backend = backend;
    this.#keys = keys;
    this.#timers = timers;
    this.#tell = tell;
    let resolve = (): void => undefined;
    let reject = (_error: Error): void => undefined;
    this.started = new Promise<void>((onStarted, onFailed) => {
      resolve = onStarted;
      reject = onFailed;
    });
    // Whoever waits for it hears of it; it may fail when nobody does.
    this.started.catch(() => undefined);
    this.#resolve = resolve;
    this.#reject = reject;
    this.#startTimer = timers.after(startMs, () =>
      reject(
        new StoreUnavailableError(
          `Could not listen for revocations in ${backend.connection.place}: no subscription within ${startMs} ms. ` +
            "Check the server, and that the user's ACL allows SUBSCRIBE to the store's channels; repeat the call.",
          "certainly-aborted",
        ),
      ),
    );
    this.#subscription = new Subscription({
      client: backend.connection.duplicate(),
      channel: keys.channel,
      timers,
      onMessage: (message) => this.#onMessage(message),
      onListening: () => {
        this.#behind = overlap;
        this.#look();
      },
    });
    this.#lookLater();
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#startTimer.cancel();
    this.#lookTimer?.cancel();
    this.#subscription.stop();
    this.#reject(new StoreClosedError());
  }

  #onMessage(message: string): void {
    const colon = message.indexOf(":");
    const number = Number(message.slice(0, colon));
    if (colon < 1 || !Number.isSafeInteger(number)) return;
    this.#tell(message.slice(colon + 1) as AdminSessionId);
    if (this.#heard === undefined) return;
    if (number === this.#heard + 1) this.#heard = number;
    else if (number !== this.#heard) this.#look();
  }

  #lookLater(): void {
    this.#lookTimer = this.#timers.after(lookMs, () => {
      // Before the first look, that of the subscription is waited for.
      if (this.#heard !== undefined) this.#look();
      this.#lookLater();
    });
  }

  /** Reads what is recorded after what was heard; once more where it is asked for meanwhile. */
  #look(): void {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    void this.#lookWhileAsked().finally(() => {
      this.#looking = false;
    });
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#stopped) {
      this.#lookAgain = false;
      const behind = this.#behind;
      this.#behind = 0;
      try {
        await this.#catchUp(behind);
      } catch {
        // The next look, a moment later, begins where this one did; calls report what ails the store.
        this.#behind = Math.max(this.#behind, behind);
        return;
      }
    }
  }

  async #catchUp(behind: number): Promise<void> {
    const { connection } = this.#backend;
    const first = this.#heard;
    let known = first ?? 0;
    let after = Math.max(0, known - behind);
    for (;;) {
      const [last, entries] = (await connection.run(
        "admin-session-revoked",
        [this.#keys.revoked, this.#keys.lastNumber],
        // Who has only begun wants the last number and no entries.
        [known, after, first === undefined ? 0 : entriesALook],
        "read",
        "read the revocations",
      )) as [string, string[]];
      if (this.#stopped) return;
      for (let i = 0; i + 1 < entries.length; i += 2) {
        const entry = entries[i] ?? "";
        this.#tell(entry.slice(entry.indexOf(":") + 1) as AdminSessionId);
        after = Number(entries[i + 1]);
      }
      if (entries.length < 2 * entriesALook) {
        this.#heard = this.#advance(Number(last), known);
        break;
      }
      // What was read says where to go on, also where the numbers have begun anew.
      known = after;
      this.#heard = after;
    }
    if (first === undefined) {
      this.#startTimer.cancel();
      this.#resolve();
    }
  }

  /** Messages may have come on meanwhile; numbers that begin anew count from there. */
  #advance(last: number, known: number): number {
    return last >= known ? Math.max(last, this.#heard ?? 0) : last;
  }
}
