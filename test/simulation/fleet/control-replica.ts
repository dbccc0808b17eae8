import type { Logger } from "pino";
import { Registry } from "prom-client";
import { standForLeadership } from "../../../src/cli/candidacy.js";
import type { Config } from "../../../src/cli/config.js";
import { createServerMetrics, type ServerMetrics } from "../../../src/control/server/server-metrics.js";
import type { NodeTransport } from "../../../src/meilisearch/transport.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import type { VirtualWorld } from "../virtual-world.js";
import { createProcessWorld, type ProcessWorld } from "./process-world.js";

/** What a leader serves. */
export type LeaderServices = Parameters<Parameters<typeof standForLeadership>[1]["serving"]>[0];

/** What a control process runs on. */
export interface ControlReplicaOptions {
  readonly name: string;
  readonly world: VirtualWorld;
  readonly config: Config;
  readonly logger: Logger;
  readonly store: (process: ProcessWorld) => TaskStore;
  readonly transport: (process: ProcessWorld) => NodeTransport;
}

/** Slower than by default: most of what happens in a run would be looks at nodes that have nothing to tell. */
const PACE = {
  audit: { busyIntervalMs: 100, waitingIntervalMs: 400, idleIntervalMs: 2_000, registrationGraceMs: 5_000 },
  monitor: { probeIntervalMs: 700, failuresToUnreachable: 2 },
} as const;

/** Milliseconds before another candidacy. */
const RETRY_MS = 500;

/** One control process, from its start to its end, composed as the program composes it. */
export class ControlReplica {
  readonly process: ProcessWorld;
  private readonly stop = new AbortController();
  private readonly metrics: ServerMetrics = createServerMetrics(new Registry());
  private serving: LeaderServices | undefined;
  private clusterId: string | undefined;
  private candidacies = 0;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly options: ControlReplicaOptions) {
    this.process = createProcessWorld(options.world);
    void this.run();
  }

  get name(): string {
    return this.options.name;
  }

  /** What this process serves as the leader; undefined while it does not lead. */
  services(): LeaderServices | undefined {
    return this.process.alive() ? this.serving : undefined;
  }

  kill(): void {
    this.process.kill();
    for (const listener of [...this.listeners]) listener();
  }

  /** Calls back when the process is killed; returns the function that ends it. */
  onKill(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Ends as on SIGTERM: the lease is given back at once. */
  shutDown(): void {
    this.stop.abort(new Error("the control plane stops"));
  }

  private async run(): Promise<void> {
    const { name, config, logger, store, transport } = this.options;
    const { signal } = this.stop;
    const world = this.process;
    const common = {
      config,
      pace: PACE,
      world,
      logger,
      store: store(world),
      transport: transport(world),
      metrics: this.metrics,
    };
    while (!signal.aborted) {
      const holder = `${name}/${++this.candidacies}/${world.random.next()}`;
      try {
        await standForLeadership(
          { ...common, holder, replicas: () => [], clusterId: this.clusterId },
          {
            cluster: (clusterId) => {
              this.clusterId = clusterId;
            },
            standingBy: () => undefined,
            serving: (services) => {
              this.serving = services;
            },
            over: () => {
              this.serving = undefined;
            },
          },
          signal,
        );
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error }, "a candidacy ended");
      }
      await world.timers.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }
}
