import { status } from "@grpc/grpc-js";
import { GrpcError } from "../client/grpc-adapter.js";
import { NotLeaderSchema } from "../gen/miroir/v1/control_pb.js";
import type { World } from "../runtime/world.js";
import type { ControlCallOptions } from "./control-transport.js";

/** Options of one attempt. */
export interface AttemptOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * What an attempt may be followed by. `read`: any control process may answer it, and one that is slow is passed over. `repeatable`: having it
 * done twice is having it done once. `once`: it is sent again only where it has certainly not been done.
 */
export type CallKind = "read" | "repeatable" | "once";

/** What {@link ControlFailOver} works with. */
export interface ControlFailOverOptions<Target> {
  /** Each control address with what reaches it. At least one. */
  readonly targets: readonly { readonly address: string; readonly target: Target }[];
  readonly world: World;
  /** Milliseconds since the control plane was last heard for which calls wait for a new leader; 15,000 unless given. */
  readonly patienceMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** Milliseconds that a control process has for a read while there are others to ask. */
const READ_ATTEMPT_MS = 1_500;
/** Bounds of the pause between two rounds over all addresses, in milliseconds. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 400;

/**
 * Finds the control process that answers: the one that is believed to lead, then the one that it names, then the others in turn. While the
 * control plane was heard a short while ago, a call that nobody answers waits for the next leader, within its own timeout; after that it
 * fails at once.
 */
export class ControlFailOver<Target> {
  readonly #options: ControlFailOverOptions<Target>;
  readonly #patienceMs: number;
  #leading = 0;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(options: ControlFailOverOptions<Target>) {
    if (options.targets.length === 0) throw new Error("no control address is given");
    this.#options = options;
    this.#patienceMs = options.patienceMs ?? 15_000;
  }

  /** The address that is believed to lead. */
  leading(): { readonly address: string; readonly target: Target } {
    return this.#at(this.#leading);
  }

  /** The control plane has said something. */
  heard(): void {
    this.#heardAt = this.#options.world.clock.monotonic();
  }

  /** What was begun at `address` has failed: the next one is believed to lead, or the one that the error names. */
  failedAt(address: string, error: unknown): void {
    if (this.leading().address !== address) return;
    this.#leading = this.#named(error) ?? (this.#leading + 1) % this.#options.targets.length;
  }

  /** The answer to a call. @throws what the last attempt did */
  async call<T>(
    kind: CallKind,
    attempt: (target: Target, options: AttemptOptions) => Promise<T>,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: ControlCallOptions = {},
  ): Promise<T> {
    const { clock, random, timers } = this.#options.world;
    const deadline = clock.monotonic() + timeoutMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      const outcome = await this.#round(kind, attempt, deadline, signal);
      if (outcome.kind === "answered") return outcome.answer;
      const now = clock.monotonic();
      // Half of the pause at random, so that those who wait for a new leader do not come all at once.
      const restMs = pauseMs / 2 + (pauseMs / 2) * random.next();
      const isHopeless = now - this.#heardAt > this.#patienceMs || now + restMs >= deadline;
      if (outcome.kind === "failed" || isHopeless) throw outcome.error;
      await timers.sleep(restMs, signal);
    }
  }

  /** One attempt at each address, from the one that is believed to lead. */
  async #round<T>(
    kind: CallKind,
    attempt: (target: Target, options: AttemptOptions) => Promise<T>,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<RoundOutcome<T>> {
    const count = this.#options.targets.length;
    const untried = Array.from({ length: count }, (_, step) => (this.#leading + step) % count);
    let last: unknown;
    for (let position = untried.shift(); position !== undefined; position = untried.shift()) {
      const leftMs = deadline - this.#options.world.clock.monotonic();
      if (leftMs <= 0 && last !== undefined) break;
      const timeoutMs = kind === "read" && untried.length > 0 ? Math.min(leftMs, READ_ATTEMPT_MS) : leftMs;
      try {
        const { target } = this.#at(position);
        const answer = await attempt(target, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
        this.heard();
        return { kind: "answered", answer };
      } catch (error) {
        if (signal?.aborted || !mayGoElsewhere(kind, error)) return { kind: "failed", error };
        last = error;
        const named = this.#named(error);
        if (named !== undefined && untried.includes(named)) {
          untried.splice(untried.indexOf(named), 1);
          untried.unshift(named);
        }
      }
    }
    return { kind: "nobody", error: last };
  }

  /** The position of the address that an error says leads; undefined where it says nothing, or names none that was given. */
  #named(error: unknown): number | undefined {
    const leader = leaderNamedBy(error);
    const position = this.#options.targets.findIndex(({ address }) => address === leader);
    return position < 0 ? undefined : position;
  }

  #at(position: number): { readonly address: string; readonly target: Target } {
    const found = this.#options.targets[position];
    if (found === undefined) throw new Error(`there is no control address ${position}`);
    return found;
  }
}

type RoundOutcome<T> =
  | { readonly kind: "answered"; readonly answer: T }
  /** Somebody refused it, or what became of it is not known. */
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "nobody"; readonly error: unknown };

/** Whether another address may be asked the same. */
function mayGoElsewhere(kind: CallKind, error: unknown): boolean {
  if (!(error instanceof GrpcError)) return false;
  if (error.code === status.DEADLINE_EXCEEDED) return kind === "read";
  if (error.code !== status.UNAVAILABLE) return false;
  return kind !== "once" || leaderNamedBy(error) !== undefined || wasNeverSent(error);
}

/** The address of the leader as a standby gave it, empty where it knew none; undefined where no standby has answered. */
function leaderNamedBy(error: unknown): string | undefined {
  return error instanceof GrpcError ? error.detail(NotLeaderSchema)?.leaderAddress : undefined;
}

/** grpc-js has no code of its own for this, but says it in these words. */
function wasNeverSent({ details }: GrpcError): boolean {
  return /^(No connection established|Name resolution failed)/.test(details);
}
