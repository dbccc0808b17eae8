import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import { abortReason } from "../../runtime/abort.js";
import type { Timer, Timers } from "../../runtime/world.js";

/** What became of a wait for a proxy's acknowledgement. */
export type AckOutcome =
  | { readonly kind: "acked" }
  /** The proxy refused that epoch, or a later one, and goes on with the one it had. */
  | { readonly kind: "refused"; readonly error: string }
  /** The session is not connected and certainly holds no write lease. */
  | { readonly kind: "gone" };

interface Waiter {
  readonly epoch: Epoch;
  readonly session: string;
  readonly settle: (outcome: AckOutcome) => void;
}

const MAX_WAITERS = 10_000;
/** How often waits are looked at for what no event tells, the end of a lease above all. Milliseconds. */
const RECHECK_MS = 200;

/** The open waits for acknowledgements; at most 10,000. */
export class AckWaits {
  readonly #timers: Timers;
  readonly #outcomeOf: (epoch: Epoch, session: string) => AckOutcome | undefined;
  readonly #waiters = new Set<Waiter>();
  #recheck: Timer | undefined;

  /** `outcomeOf` says what became of a wait, or undefined while it is open. */
  constructor(timers: Timers, outcomeOf: (epoch: Epoch, session: string) => AckOutcome | undefined) {
    this.#timers = timers;
    this.#outcomeOf = outcomeOf;
  }

  /** Resolves with the outcome; rejects with the signal's reason when it aborts. */
  wait(epoch: Epoch, session: string, signal: AbortSignal): Promise<AckOutcome> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      const known = this.#outcomeOf(epoch, session);
      if (known !== undefined) {
        resolve(known);
        return;
      }
      if (this.#waiters.size >= MAX_WAITERS) {
        reject(new Error(`${MAX_WAITERS} waits for acknowledgements are open already`));
        return;
      }
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(abortReason(signal));
      };
      const waiter: Waiter = {
        epoch,
        session,
        settle: (outcome) => {
          this.#waiters.delete(waiter);
          signal.removeEventListener("abort", onAbort);
          resolve(outcome);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
      this.#schedule();
    });
  }

  /** Looks at every wait; called whenever one may have an outcome. */
  look(): void {
    for (const waiter of [...this.#waiters]) {
      const outcome = this.#outcomeOf(waiter.epoch, waiter.session);
      if (outcome !== undefined) waiter.settle(outcome);
    }
  }

  #schedule(): void {
    if (this.#recheck !== undefined) return;
    this.#recheck = this.#timers.after(RECHECK_MS, () => {
      this.#recheck = undefined;
      this.look();
      if (this.#waiters.size > 0) this.#schedule();
    });
  }
}
