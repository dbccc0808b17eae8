import type { Logger } from "pino";
import type { Timer, World } from "../../runtime/world.js";
import { type LeaseTable, leaseScope } from "../../store/task-store.js";

/** The store's name of the fleet's write lease. */
export const WRITER_SCOPE = leaseScope("writer");

/** The proxy that writes for the fleet. */
export interface WriterIdentity {
  readonly proxyId: string;
  readonly session: string;
  /** Base URL of its HTTP API. */
  readonly address: string;
}

type State =
  /** This control plane is not the leader, or has not yet read who wrote last. */
  | { readonly kind: "off" }
  /** A writer of an earlier term may still hold a lease until then; only that session may become the writer before. */
  | { readonly kind: "recovering"; readonly session: string; readonly until: number }
  | { readonly kind: "vacant" }
  /** The store is being told who writes next. */
  | { readonly kind: "recording"; readonly candidate: WriterIdentity }
  | { readonly kind: "held"; readonly writer: WriterIdentity; readonly until: number };

/** What {@link WriterElection} works with. */
export interface WriterElectionOptions {
  readonly leases: LeaseTable;
  readonly world: World;
  readonly logger: Logger;
  /** Milliseconds that a lease lasts. */
  readonly leaseMs: number;
  /** There may be a new answer to {@link WriterElection.writer}. */
  readonly onChange: () => void;
}

/**
 * Chooses the one proxy that writes for the whole fleet, and keeps to it: the writer changes only when the former one
 * has given its lease back, or when its lease has certainly run out (invariant 2). Who writes is stored before it is
 * told, so that a restarted control plane knows for whose lease to wait.
 *
 * The leases here are what the proxies hold in memory. The store's lease of the same scope only remembers the holder's name.
 */
export class WriterElection {
  readonly #options: WriterElectionOptions;
  /** Longer than the lease, since clocks do not run alike. */
  readonly #certainMs: number;
  #state: State = { kind: "off" };
  #timer: Timer | undefined;
  /** Grows with every begin and end, so that answers of the store to an earlier question are dropped. */
  #round = 0;

  constructor(options: WriterElectionOptions) {
    this.#options = options;
    this.#certainMs = options.leaseMs + Math.max(50, options.leaseMs / 20);
  }

  /** The writer whose lease may be running now. */
  writer(): WriterIdentity | undefined {
    return this.#state.kind === "held" ? this.#state.writer : undefined;
  }

  /** Whether `session` may still hold the write lease. */
  mayHold(session: string): boolean {
    switch (this.#state.kind) {
      case "held":
        return this.#state.writer.session === session;
      case "recovering":
        return this.#state.session === session;
      case "recording":
        return this.#state.candidate.session === session;
      case "vacant":
        return false;
      // Whoever wrote last is not known, so that nothing can be said against it.
      case "off":
        return true;
    }
  }

  /** Starts to choose, when this control plane becomes the leader. */
  async begin(): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    const startedAt = this.#now();
    const last = await this.#options.leases.current(WRITER_SCOPE);
    if (round !== this.#round) return;
    if (last === undefined) this.#become({ kind: "vacant" });
    else this.#become({ kind: "recovering", session: last.holder, until: startedAt + this.#certainMs });
  }

  /** Stops to choose, when this control plane is no longer the leader. Leases that were granted run on. */
  end(): void {
    this.#round += 1;
    this.#become({ kind: "off" });
  }

  /**
   * A live proxy that has acknowledged the topology asks for a lease. Renews it for the writer, makes it the writer where there is none,
   * and changes nothing otherwise.
   */
  ask(candidate: WriterIdentity): void {
    const state = this.#state;
    if (state.kind === "held" && state.writer.session === candidate.session) {
      this.#state = { kind: "held", writer: state.writer, until: this.#now() + this.#certainMs };
      this.#watch();
      return;
    }
    const free =
      state.kind === "vacant" ||
      (state.kind === "recovering" && (state.session === candidate.session || this.#now() >= state.until)) ||
      (state.kind === "held" && this.#now() >= state.until);
    if (!free) return;
    this.#become({ kind: "recording", candidate });
    const round = this.#round;
    this.#record(candidate).then(
      () => {
        if (round !== this.#round || !this.#isRecording(candidate)) return;
        this.#options.logger.info(candidate, "this proxy writes for the fleet from now on");
        this.#become({ kind: "held", writer: candidate, until: this.#now() + this.#certainMs });
      },
      (error: unknown) => {
        this.#options.logger.warn(
          { err: error },
          "the store did not take the new writer; the next heartbeat tries again",
        );
        // Told to nobody: who is told tries again, and would at once, for as long as the store fails.
        if (round === this.#round && this.#isRecording(candidate)) this.#state = { kind: "vacant" };
      },
    );
  }

  /** The proxy gave its lease back: it holds none any more, whatever was granted. */
  release(session: string): void {
    if (!this.mayHold(session) || this.#state.kind === "off") return;
    this.#become({ kind: "vacant" });
    this.#forget(session).catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, "the store did not take note of a lease that was given back");
    });
  }

  #isRecording(candidate: WriterIdentity): boolean {
    return this.#state.kind === "recording" && this.#state.candidate === candidate;
  }

  async #record(candidate: WriterIdentity): Promise<void> {
    const { leases, leaseMs } = this.#options;
    const last = await leases.current(WRITER_SCOPE);
    if (last !== undefined && last.holder !== candidate.session) await leases.release(last);
    const lease = await leases.acquire({ scope: WRITER_SCOPE, holder: candidate.session, ttlMs: leaseMs });
    if (lease === undefined) throw new Error("another control plane is choosing the writer");
  }

  async #forget(session: string): Promise<void> {
    const { leases } = this.#options;
    const last = await leases.current(WRITER_SCOPE);
    if (last?.holder === session) await leases.release(last);
  }

  #become(state: State): void {
    this.#state = state;
    this.#watch();
    this.#options.onChange();
  }

  /** Has the candidates looked at again when the present lease has certainly run out. */
  #watch(): void {
    this.#timer?.cancel();
    const state = this.#state;
    if (state.kind !== "held" && state.kind !== "recovering") return;
    this.#timer = this.#options.world.timers.after(Math.max(0, state.until - this.#now()), () => {
      if (this.#state !== state) return;
      if (this.#now() < state.until) this.#watch();
      else this.#become({ kind: "vacant" });
    });
  }

  #now(): number {
    return this.#options.world.clock.monotonic();
  }
}
