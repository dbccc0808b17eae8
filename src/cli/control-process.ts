import { hostname } from "node:os";
import { collectDefaultMetrics, Registry } from "prom-client";
import { NotLeaderError } from "../control/leader/leadership.js";
import { type ReplicaIdentity, ReplicaSeats } from "../control/leader/replica-seats.js";
import { leaderAddress, leaderPrefix } from "../control/leader/standby-services.js";
import type { HealthState } from "../control/server/health.js";
import type { LeaderServices } from "../control/server/replica-services.js";
import { createServerMetrics } from "../control/server/server-metrics.js";
import { ProtocolBehindError } from "../control/topology/protocol-gate.js";
import {
  ClusterLostError,
  TopologyConflictError,
  TopologyUnavailableError,
} from "../control/topology/topology-manager.js";
import { describeLocation } from "../store/store-location.js";
import { ConflictError, FencedError, type Lease, StoreUnavailableError } from "../store/task-store.js";
import {
  type CandidacyObserver,
  type CandidacyOptions,
  standForLeadership,
  WaitedInVainError,
} from "./candidacy.js";
import { storeLocation } from "./config.js";
import { CommandError, ExitCode } from "./exit-codes.js";

/** What a {@link ControlProcess} runs on. */
export interface ControlProcessOptions
  extends Pick<CandidacyOptions, "config" | "world" | "logger" | "store" | "transport"> {
  /** Names this run of the process, never used again. */
  readonly session: string;
}

/** How long a control plane on SQLite waits for the leader lease at least, in milliseconds; never less than twice its duration. */
const LEADER_WAIT_MS = 30_000;
/** Milliseconds between two candidacies. */
const RETRY_MS = 500;

/** One process of the control plane: a candidacy after the other, and a seat in the store from its start to its end. */
export class ControlProcess {
  /** Rejects when the process cannot go on; never resolves. */
  readonly failed: Promise<never>;
  readonly metrics;
  readonly #options: ControlProcessOptions;
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  #fail: (error: unknown) => void = () => undefined;
  #serving: LeaderServices | undefined;
  #leader: string | undefined;
  #clusterId: string | undefined;
  #candidacies = 0;
  #seats: ReplicaSeats | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ControlProcessOptions) {
    this.#options = options;
    const registry = new Registry();
    collectDefaultMetrics({ register: registry, prefix: "miroir_control_" });
    this.metrics = createServerMetrics(registry);
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Who does not ask for it is told by the log.
    this.failed.catch(() => undefined);
  }

  readonly health: HealthState = {
    serving: () => this.#serving !== undefined,
    onChange: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };

  /** The services of the term under way; undefined while this process does not lead. */
  services(): LeaderServices | undefined {
    return this.#serving;
  }

  /** HOST:PORT of the process that leads, as far as this one knows. */
  leaderAddress(): string | undefined {
    return leaderAddress(this.#leader);
  }

  /** The control processes that run; none before this one has started. */
  live(): readonly ReplicaIdentity[] {
    return this.#seats?.live() ?? [];
  }

  /** Resolves once this process serves or stands by; rejects where the first candidacy fails before that. */
  async start(self: ReplicaIdentity): Promise<void> {
    const { logger, store, world } = this.#options;
    const seats = new ReplicaSeats({ leases: store.lease, world, logger, self });
    this.#seats = seats;
    await seats.start();
    await new Promise<void>((resolve, reject) => {
      let ready = false;
      const onReady = () => {
        ready = true;
        resolve();
      };
      this.#running = this.#run(self, onReady, () => ready).catch((error: unknown) => {
        if (!ready) {
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        logger.fatal({ err: error }, "the control plane cannot go on");
        this.#fail(error);
      });
    });
  }

  /** Gives the leader lease and the seat back, and ends. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#running;
    await this.#seats?.close();
  }

  async #run(self: ReplicaIdentity, onReady: () => void, isReady: () => boolean): Promise<void> {
    const { config, logger, world } = this.#options;
    const { signal } = this.#stop;
    const isShared = storeLocation(config).kind === "redis";
    const observer: CandidacyObserver = {
      cluster: (clusterId) => {
        this.#clusterId = clusterId;
      },
      standingBy: (leader) => {
        this.#standBy(leader);
        if (isShared) onReady();
      },
      serving: (services) => {
        this.#leader = undefined;
        this.#become(services);
        logger.info(
          { address: self.address, nodes: config.nodes.length, host: hostname() },
          "control plane is serving",
        );
        onReady();
      },
      over: () => this.#become(undefined),
    };
    while (!signal.aborted) {
      let pauseMs = RETRY_MS;
      this.#candidacies += 1;
      const candidacy: CandidacyOptions = {
        ...this.#options,
        metrics: this.metrics,
        holder: `${leaderPrefix(self)}${this.#candidacies}`,
        clusterId: this.#clusterId,
        replicas: () => this.live(),
        ...(isShared ? {} : { patienceMs: Math.max(LEADER_WAIT_MS, 2 * config.leader_lease_ms) }),
      };
      try {
        await standForLeadership(candidacy, observer, signal);
        if (!signal.aborted) logger.warn("no longer leading the control plane; standing for it again");
      } catch (error) {
        if (signal.aborted) return;
        const explained = this.#explain(error);
        if (!isReady() || !isPassing(explained)) throw explained;
        logger.warn({ err: error }, "the control plane cannot lead at present; trying again");
        // One that would misread the topology leaves the lease to others for a while.
        if (error instanceof ProtocolBehindError) pauseMs = config.leader_lease_ms;
      }
      await world.timers.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  #standBy(leader: Lease | undefined): void {
    this.#leader = leader?.holder;
    this.#options.logger.info(
      { leader: leader?.holder, term: leader?.term },
      "control plane is standing by: another one leads",
    );
  }

  #become(services: LeaderServices | undefined): void {
    if (this.#serving === services) return;
    this.#serving = services;
    for (const listener of [...this.#listeners]) listener();
  }

  /** An error of a candidacy, with where the store is and what to do, for those that an operator has to deal with. */
  #explain(error: unknown): unknown {
    const place = describeLocation(storeLocation(this.#options.config));
    if (error instanceof WaitedInVainError) {
      return new CommandError(
        ExitCode.failure,
        `another control plane (${error.leader ?? "unknown"}) leads on ${place}, and SQLite serves one process; stop it, or move the store to Redis (docs/guide/store.md)`,
      );
    }
    if (error instanceof ClusterLostError) {
      return new CommandError(ExitCode.failure, `${place}: ${error.message}`, { cause: error });
    }
    return error;
  }
}

/** Whether a term that could not begin may begin later, with nothing changed by hand. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof StoreUnavailableError ||
    error instanceof FencedError ||
    error instanceof ConflictError ||
    error instanceof NotLeaderError ||
    error instanceof ProtocolBehindError ||
    error instanceof TopologyConflictError ||
    error instanceof TopologyUnavailableError
  );
}
