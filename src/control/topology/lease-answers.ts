import type { Timer, World } from "../../runtime/world.js";
import { epochReached, formatEpoch } from "../../topology/epoch.js";
import type { ConnectedProxies, ConnectedProxy } from "./connected-proxies.js";
import type { ProxyStream } from "./proxy-stream.js";
import { ToldHolders } from "./told-holders.js";
import type { TopologyManager } from "./topology-manager.js";
import type { WriteLeases } from "./write-leases.js";

/** What {@link LeaseAnswers} works with. */
export interface LeaseAnswersOptions {
  readonly topology: Pick<TopologyManager, "current">;
  readonly proxies: ConnectedProxies;
  readonly leases: WriteLeases;
  readonly world: World;
  /** Milliseconds that a write lease lasts. */
  readonly leaseMs: number;
  /** Milliseconds for which a proxy may stay behind and still have its lease renewed. */
  readonly graceMs: number;
  /** Why no proxy is served; undefined while they are. */
  readonly whyNotServing: () => string | undefined;
}

/** Milliseconds of the pause between telling all proxies of others, for each of them. */
const TELLING_MS = 1;

/**
 * Answers the heartbeats of proxies with write leases (invariant 2): grants them to those that keep up with the topology, says to the
 * others why they get none, and tells everybody who holds one.
 */
export class LeaseAnswers {
  readonly #options: LeaseAnswersOptions;
  readonly #holders = new ToldHolders();
  /** Runs after all proxies were told of the holders of leases. */
  #telling: Timer | undefined;
  #tellsAgain = false;

  constructor(options: LeaseAnswersOptions) {
    this.#options = options;
  }

  /** Takes a heartbeat of a proxy, and answers it. */
  heartbeat(proxy: ConnectedProxy, sequence: bigint): void {
    proxy.heartbeat = { sequence, at: this.#now() };
    this.renew(proxy);
  }

  /** Grants a proxy that has asked of late what it may have, and tells it. */
  renew(proxy: ConnectedProxy): void {
    const { leaseMs, leases } = this.#options;
    const { heartbeat, stream } = proxy;
    if (heartbeat === undefined || this.#now() - heartbeat.at >= leaseMs) return;
    if (this.#refusal(stream) === undefined) leases.grant(proxy.holder);
    this.#answer(proxy);
  }

  /**
   * Tells every proxy of the holders of leases: at once, and again at the end of a pause that grows with their number, where there are others by
   * then. A thousand proxies that come together would otherwise be told a thousand times each.
   */
  tellAll(): void {
    if (this.#telling !== undefined) {
      this.#tellsAgain = true;
      return;
    }
    const { proxies, world } = this.#options;
    for (const proxy of proxies.all()) this.#answer(proxy);
    this.#tellsAgain = false;
    this.#telling = world.timers.after(proxies.size * TELLING_MS, () => {
      this.#telling = undefined;
      if (this.#tellsAgain) this.tellAll();
    });
  }

  /** Ends the pause between telling all, and does not tell them at its end. */
  end(): void {
    this.#telling?.cancel();
    this.#telling = undefined;
  }

  /** Why the proxy gets no lease; undefined where it gets one. */
  #refusal(stream: ProxyStream): string | undefined {
    const { graceMs, leases, topology, whyNotServing } = this.#options;
    const notServing = whyNotServing();
    if (notServing !== undefined) return notServing;
    const newest = topology.current().epoch;
    const nacked = stream.nacked();
    if (nacked !== undefined && epochReached(nacked.epoch, newest ?? nacked.epoch)) {
      return `this proxy refused epoch ${formatEpoch(nacked.epoch)}: ${nacked.error}`;
    }
    if (stream.acked() === undefined) return "this proxy has not acknowledged a topology yet";
    const since = stream.behindSince();
    const { session } = stream.hello;
    // What it wrote may be another's by now, so that it has to know before it may write again.
    if (!leases.holds(session) && (since !== undefined || leases.isBarred(session))) {
      return "this proxy does not hold the newest topology yet";
    }
    if (since !== undefined && this.#now() - since > graceMs) {
      return `this proxy is behind: it holds epoch ${formatEpoch(stream.acked())}, newest is ${formatEpoch(newest)}`;
    }
    return undefined;
  }

  /**
   * Answers the proxy's last heartbeat, for the first time or anew: a lease counts from when the proxy sent the
   * heartbeat, so that answering it again with other holders of leases promises nothing more.
   */
  #answer(proxy: ConnectedProxy): void {
    const { leaseMs, leases } = this.#options;
    const { heartbeat, stream } = proxy;
    if (heartbeat === undefined || stream.ended()) return;
    const refusal =
      this.#refusal(stream) ??
      (leases.holds(stream.hello.session) ? undefined : "the lease is granted with the next heartbeat");
    const { all, main } = this.#holders.of(leases.holders());
    if (refusal === undefined) proxy.leaseUntil = heartbeat.at + leaseMs;
    stream.grant({
      holders: all,
      rest: {
        sequence: heartbeat.sequence,
        durationMs: refusal === undefined ? leaseMs : 0,
        refusal: refusal ?? "",
        writerAddress: main?.address ?? "",
        ...(main === undefined ? {} : { writer: { proxyId: main.proxyId, session: main.session } }),
        holdersComplete: leases.complete(),
      },
    });
  }

  #now(): number {
    return this.#options.world.clock.monotonic();
  }
}
