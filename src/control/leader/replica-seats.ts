import type { Logger } from "pino";
import type { Timer, World } from "../../runtime/world.js";
import { type FencingToken, type LeaseTable, leaseScope } from "../../store/task-store.js";
import type { ProtocolRange } from "../../topology/protocol.js";

/** A process of the control plane, as it enters itself in the store. */
export interface ReplicaIdentity {
  /** HOST:PORT at which others reach it. */
  readonly address: string;
  /** Names one run of the process. */
  readonly session: string;
  /** Miroir's version. */
  readonly version: string;
  readonly protocol: ProtocolRange;
}

/** Processes that one store serves at most. */
export const MAX_REPLICAS = 16;

/** What {@link ReplicaSeats} works with. */
export interface ReplicaSeatsOptions {
  readonly leases: LeaseTable;
  readonly world: World;
  readonly logger: Logger;
  readonly self: ReplicaIdentity;
  /** Milliseconds after which a process that says nothing counts as gone; 15,000 unless given. */
  readonly ttlMs?: number;
  /** Milliseconds between two looks, and two signs of life; 3,000 unless given. */
  readonly refreshMs?: number;
}

/** A seat as it was seen last, and since when it has been unchanged, on the monotonic clock. */
interface Seen {
  readonly holder: string;
  readonly expiresAt: number;
  readonly since: number;
}

/**
 * The running control processes, each on a seat: a lease of the store, whose holder's name says what the process is. A leader thereby knows
 * who could lead next, and does not write what that one could not read.
 *
 * Whether a seat is taken by somebody alive is told by its being renewed, not by comparing clocks.
 */
export class ReplicaSeats {
  readonly #options: ReplicaSeatsOptions;
  readonly #ttlMs: number;
  readonly #refreshMs: number;
  readonly #seen = new Map<number, Seen>();
  #seat: FencingToken | undefined;
  #next: Timer | undefined;
  #closed = false;
  #last: Promise<void> = Promise.resolve();

  constructor(options: ReplicaSeatsOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? 15_000;
    this.#refreshMs = options.refreshMs ?? 3_000;
  }

  /** Takes a seat and looks at the others, now and from now on. A store that does not answer is asked again. */
  async start(): Promise<void> {
    await this.#turn();
    if (this.#closed) return;
    this.#next = this.#options.world.timers.after(this.#refreshMs, () => {
      this.#last = this.start();
    });
  }

  /** The processes that run, this one among them, as the store said at the last look; in the order of their seats. */
  live(): readonly ReplicaIdentity[] {
    const now = this.#options.world.clock.monotonic();
    const others = [...this.#seen]
      .sort(([left], [right]) => left - right)
      .filter(([, { since }]) => now - since < this.#ttlMs)
      .flatMap(([, { holder }]) => readHolder(holder) ?? []);
    const { self } = this.#options;
    return others.some(({ session }) => session === self.session) ? others : [...others, self];
  }

  /** Gives the seat back at once. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#next?.cancel();
    await this.#last;
    const seat = this.#seat;
    this.#seat = undefined;
    if (seat !== undefined) await this.#options.leases.release(seat);
  }

  async #turn(): Promise<void> {
    try {
      await this.#sit();
      await this.#look();
    } catch (error) {
      this.#options.logger.debug({ err: error }, "the store did not say which control processes run");
    }
  }

  async #sit(): Promise<void> {
    const { leases, logger, self } = this.#options;
    if (this.#seat !== undefined) {
      const renewed = await leases.renew(this.#seat, this.#ttlMs);
      if (renewed !== undefined) return;
      this.#seat = undefined;
    }
    const holder = holderOf(self);
    for (let number = 0; number < MAX_REPLICAS; number++) {
      const scope = seatScope(number);
      const lease = await leases.acquire({ scope, holder, ttlMs: this.#ttlMs });
      if (lease === undefined) continue;
      this.#seat = { scope, holder, term: lease.term };
      return;
    }
    logger.warn({ seats: MAX_REPLICAS }, "more control processes run on this store than it serves");
  }

  async #look(): Promise<void> {
    const { leases, world } = this.#options;
    const seats = await Promise.all(
      Array.from({ length: MAX_REPLICAS }, (_, number) => leases.current(seatScope(number))),
    );
    const now = world.clock.monotonic();
    for (const [number, lease] of seats.entries()) {
      const former = this.#seen.get(number);
      if (lease === undefined) this.#seen.delete(number);
      else if (former?.holder !== lease.holder || former.expiresAt !== lease.expiresAt) {
        this.#seen.set(number, { holder: lease.holder, expiresAt: lease.expiresAt, since: now });
      }
    }
  }
}

function seatScope(number: number) {
  return leaseScope(`control-${number}`);
}

function holderOf({ address, session, version, protocol }: ReplicaIdentity): string {
  return [address, session, version, `${protocol.min}-${protocol.max}`].join("/");
}

/** The process that a seat's holder names; undefined for a name of another form. */
function readHolder(holder: string): ReplicaIdentity | undefined {
  const [, address, session, version, min, max] =
    /^([^/]+)\/([^/]+)\/([^/]*)\/(\d+)-(\d+)$/.exec(holder) ?? [];
  if (address === undefined || session === undefined || version === undefined) return undefined;
  return { address, session, version, protocol: { min: Number(min), max: Number(max) } };
}
