import type { Lease } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import type { WriteLease } from "./topology-view.js";

/** Heartbeats whose answers may still come. */
const MAX_OUTSTANDING = 64;

/** The lease as the proxy holds it: granted by answers to heartbeats, counted from when each heartbeat was sent (invariant 2). */
export class HeldLease implements WriteLease {
  readonly proxyId: string;
  readonly session: string;
  readonly #clock: Clock;
  readonly #sentAt = new Map<bigint, number>();
  #sequence = 0n;
  #until = Number.NEGATIVE_INFINITY;
  #writer: { readonly session: string; readonly address: string } | undefined;
  #reason = "the control plane has granted no lease yet";
  #closed = false;

  constructor(proxyId: string, session: string, clock: Clock) {
    this.proxyId = proxyId;
    this.session = session;
    this.#clock = clock;
  }

  /** Notes that a heartbeat is sent now, and returns its sequence. */
  heartbeat(): bigint {
    this.#sequence += 1n;
    this.#sentAt.set(this.#sequence, this.#clock.monotonic());
    if (this.#sentAt.size > MAX_OUTSTANDING) this.#sentAt.delete(this.#sequence - BigInt(MAX_OUTSTANDING));
    return this.#sequence;
  }

  /** Takes the control plane's answer to a heartbeat of the present stream; one to an unknown heartbeat grants nothing. */
  answer(lease: Lease): void {
    const sentAt = this.#sentAt.get(lease.sequence);
    if (sentAt === undefined || this.#closed) return;
    const writer =
      lease.writer === undefined
        ? undefined
        : { session: lease.writer.session, address: lease.writerAddress };
    if (lease.durationMs === 0) {
      // What was granted before runs out by itself, unless it is certain that another proxy writes now.
      this.#reason = lease.refusal === "" ? "the control plane did not renew the lease" : lease.refusal;
      if (writer !== undefined && writer.session !== this.session) this.#until = Number.NEGATIVE_INFINITY;
      return;
    }
    this.#reason = "the lease ran out: the control plane has not renewed it";
    this.#until = sentAt + lease.durationMs;
    this.#writer = writer;
  }

  /** Forgets the heartbeats of a stream that has ended; what was granted runs on. */
  streamEnded(): void {
    this.#sentAt.clear();
  }

  /** Gives the lease up for good. */
  giveUp(): void {
    this.#closed = true;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#reason = "this proxy is shutting down";
  }

  state(): ReturnType<WriteLease["state"]> {
    if (this.#clock.monotonic() >= this.#until) return { kind: "none", reason: this.#reason };
    if (this.#writer === undefined) return { kind: "none", reason: "no proxy has been made the writer yet" };
    if (this.#writer.session === this.session) return { kind: "held" };
    return { kind: "elsewhere", address: this.#writer.address };
  }
}
