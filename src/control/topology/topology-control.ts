import type { Logger } from "pino";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import { abortReason } from "../../runtime/abort.js";
import type { Timer, World } from "../../runtime/world.js";
import type { FencingToken, TaskStore } from "../../store/task-store.js";
import { minProtocolOf, PROTOCOL, type ProtocolRange } from "../../topology/protocol.js";
import { createLeadership, type Leadership, type LeadershipState } from "../leader/leadership.js";
import type { ReplicaIdentity } from "../leader/replica-seats.js";
import { ProtocolBehindError, type Speaker } from "./protocol-gate.js";
import {
  type CredentialsSource,
  createProxyFleet,
  type FleetObserver,
  type ProxyFleet,
} from "./proxy-fleet.js";
import { loadTopology } from "./stored-topology.js";
import { ClusterLostError, createTopologyManager, type TopologyManager } from "./topology-manager.js";

/** What {@link createTopologyControl} works with. */
export interface TopologyControlOptions {
  readonly store: TaskStore;
  readonly world: World;
  readonly logger: Logger;
  /** The topology of a fresh cluster; its epoch's cluster id names the cluster. */
  readonly initial: Topology;
  /** The cluster that the store was seen to hold; undefined for a store that was fresh. */
  readonly clusterId?: string | undefined;
  readonly credentials: CredentialsSource;
  readonly observer?: FleetObserver;
  /** The control processes that run, any of which may lead next; this one alone unless given. */
  readonly replicas?: () => readonly ReplicaIdentity[];
  /** What this process speaks; {@link PROTOCOL} unless given. */
  readonly protocol?: ProtocolRange;
  /** Miroir's version; empty unless given. */
  readonly version?: string;
  /** Names this run of the process; 16 random bytes in hexadecimal unless given. */
  readonly holder?: string;
  readonly leader?: { readonly ttlMs?: number; readonly renewMs?: number; readonly retryMs?: number };
  readonly proxies?: {
    readonly leaseMs?: number;
    readonly graceMs?: number;
    readonly maxProxies?: number;
    readonly silenceMs?: number;
  };
}

/** Leadership, topology and proxies, bound together: the topology changes and proxies are served only while this process leads. */
export interface TopologyControl {
  readonly leadership: Leadership;
  readonly topology: TopologyManager;
  readonly fleet: ProxyFleet;
  /** Tries for leadership and, where it is got at once, begins the term. Rejects with the store's error. */
  start(): Promise<void>;
  /**
   * Resolves once this process leads and its term's topology is published; rejects when the signal aborts, and with
   * {@link ClusterLostError}.
   */
  whenLeading(signal: AbortSignal): Promise<void>;
  /** Ends the streams of proxies, and gives the leader lease back. */
  close(): Promise<void>;
}

/** A control that does nothing yet; see {@link TopologyControl.start}. */
export function createTopologyControl(options: TopologyControlOptions): TopologyControl {
  return new Control(options);
}

/** Milliseconds before a term that could not begin is tried again. */
const RETRY_MS = 500;

class Control implements TopologyControl {
  readonly leadership: Leadership;
  readonly topology: TopologyManager;
  readonly fleet: ProxyFleet;
  readonly #options: TopologyControlOptions;
  readonly #protocol: ProtocolRange;
  readonly #waiting = new Set<() => void>();
  #lost: ClusterLostError | undefined;
  #leading: FencingToken | undefined;
  #last: Promise<void> = Promise.resolve();
  #retry: Timer | undefined;

  constructor(options: TopologyControlOptions) {
    const { store, world, logger, credentials, observer } = options;
    this.#options = options;
    this.#protocol = options.protocol ?? PROTOCOL;
    this.leadership = createLeadership({
      leases: store.lease,
      world,
      logger,
      holder: options.holder ?? Buffer.from(world.random.bytes(16)).toString("hex"),
      aboveTerm: () => this.#termToLead(),
      ...options.leader,
    });
    this.topology = createTopologyManager({
      table: store.topology,
      logger,
      initial: options.initial,
      clusterId: options.clusterId,
      speakers: () => this.#speakers(),
    });
    this.fleet = createProxyFleet({
      topology: this.topology,
      credentials,
      world,
      logger,
      raiseTerm: async (term) => {
        await this.leadership.raise(term);
        await this.#last;
      },
      protocol: this.#protocol,
      version: options.version ?? "",
      ...(observer === undefined ? {} : { observer }),
      ...options.proxies,
    });
    this.leadership.onChange((state) => this.#follow(state));
  }

  async start(): Promise<void> {
    await this.leadership.start();
    await this.#last;
  }

  async whenLeading(signal: AbortSignal): Promise<void> {
    while (this.#leading === undefined) {
      if (this.#lost !== undefined) throw this.#lost;
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const done = () => {
          this.#waiting.delete(done);
          signal.removeEventListener("abort", onAbort);
          resolve();
        };
        const onAbort = () => {
          this.#waiting.delete(done);
          reject(abortReason(signal));
        };
        signal.addEventListener("abort", onAbort, { once: true });
        this.#waiting.add(done);
      });
    }
  }

  async close(): Promise<void> {
    this.#retry?.cancel();
    this.fleet.end("the control plane is shutting down");
    await this.leadership.close();
    await this.#last;
  }

  /** The stored topology's term, which the lease's has to be above. @throws ProtocolBehindError where this process would misread it */
  async #termToLead(): Promise<number> {
    const stored = await loadTopology(this.#options.store.topology);
    if (stored === undefined) return 0;
    const required = minProtocolOf(stored);
    if (required > this.#protocol.max) {
      throw new ProtocolBehindError("the stored topology", required, {
        max: this.#protocol.max,
        who: "this control process",
      });
    }
    return Number(stored.epoch?.term ?? 0n);
  }

  /** Every process that has to understand what this one writes. */
  #speakers(): readonly Speaker[] {
    const replicas = this.#options.replicas?.() ?? [];
    return [
      ...replicas.map(({ address, version, protocol }) => ({
        max: protocol.max,
        who: `the control process at ${address} (version ${version})`,
      })),
      ...this.fleet.proxies().map(({ proxyId, version, protocolMax }) => ({
        max: protocolMax,
        who: `the proxy ${proxyId} (version ${version})`,
      })),
    ];
  }

  /** Brings topology and proxies where leadership is; one change after the other. */
  #follow(state: LeadershipState): void {
    this.#retry?.cancel();
    if (state.kind !== "leader") {
      this.#leading = undefined;
      this.topology.endTerm();
      this.fleet.end(
        state.kind === "closed"
          ? "the control plane is shutting down"
          : "this control plane is no longer the leader",
      );
      return;
    }
    const { fence } = state;
    this.#last = this.#last.then(() => this.#lead(fence));
  }

  async #lead(fence: FencingToken): Promise<void> {
    if (!this.#isCurrent(fence)) return;
    const serving = this.#leading !== undefined;
    try {
      await this.topology.beginTerm(fence);
      // A new term of a leader that stays leaves the streams of its proxies as they are.
      if (!serving) this.fleet.begin();
    } catch (error) {
      if (error instanceof ClusterLostError) {
        this.#lost = error;
        this.#leading = undefined;
        for (const done of [...this.#waiting]) done();
        this.leadership.close().catch((closing: unknown) => {
          this.#options.logger.warn({ err: closing }, "could not give the leader lease back");
        });
        return;
      }
      this.#options.logger.error({ err: error, term: fence.term }, "the term could not begin; trying again");
      this.#retry = this.#options.world.timers.after(RETRY_MS, () => {
        this.#last = this.#last.then(() => this.#lead(fence));
      });
      return;
    }
    if (!this.#isCurrent(fence)) {
      if (this.leadership.state().kind !== "leader") {
        this.topology.endTerm();
        this.fleet.end("this control plane is no longer the leader");
      }
      return;
    }
    this.#leading = fence;
    for (const done of [...this.#waiting]) done();
  }

  #isCurrent(fence: FencingToken): boolean {
    const state = this.leadership.state();
    return state.kind === "leader" && state.fence.term === fence.term;
  }
}
