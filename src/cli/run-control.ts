import { hostname } from "node:os";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { NotLeaderError } from "../control/leader/leadership.js";
import { type ControlServices, createControlServer } from "../control/server/control-server.js";
import type { HealthState } from "../control/server/health.js";
import { createServerMetrics } from "../control/server/server-metrics.js";
import {
  ClusterLostError,
  TopologyConflictError,
  TopologyUnavailableError,
} from "../control/topology/topology-manager.js";
import { BackupService } from "../gen/miroir/v1/backups_pb.js";
import { ClusterService } from "../gen/miroir/v1/cluster_pb.js";
import { ExportService } from "../gen/miroir/v1/exports_pb.js";
import { FeatureService } from "../gen/miroir/v1/features_pb.js";
import { IndexService } from "../gen/miroir/v1/indexes_pb.js";
import { KeyService } from "../gen/miroir/v1/keys_pb.js";
import { ResourceService } from "../gen/miroir/v1/resources_pb.js";
import { SettingsService } from "../gen/miroir/v1/settings_pb.js";
import { TaskService } from "../gen/miroir/v1/tasks_pb.js";
import { TopologyService } from "../gen/miroir/v1/topology_pb.js";
import { VerifyService } from "../gen/miroir/v1/verify_pb.js";
import type { NodeTransport } from "../meilisearch/transport.js";
import { createUndiciTransport } from "../meilisearch/undici-transport.js";
import type { World } from "../runtime/world.js";
import { describeLocation } from "../store/store-location.js";
import { ConflictError, FencedError, type Lease, StoreUnavailableError } from "../store/task-store.js";
import { type CandidacyOptions, standForLeadership, WaitedInVainError } from "./candidacy.js";
import { type Config, hostInUrl, splitHostPort, storeLocation } from "./config.js";
import { CommandError, ExitCode } from "./exit-codes.js";
import { listenError } from "./listen-error.js";
import { openConfiguredStore } from "./open-store.js";
import { readPem } from "./read-pem.js";

/** What a control plane runs on. */
export interface RunControlOptions {
  readonly config: Config;
  readonly world: World;
  readonly logger: Logger;
  /** How nodes are reached; over HTTP unless given. */
  readonly transport?: NodeTransport;
}

/** A running control plane. */
export interface RunningControl {
  /** `host:port` of the gRPC and Connect server. */
  readonly address: string;
  /** Whether this process leads and its services answer; a standby's do not. */
  serving(): boolean;
  /** Rejects when the process cannot go on, such as with a store that was emptied; never resolves. */
  readonly failed: Promise<never>;
  /** Gives the leader lease back and ends; calls under way are finished first. */
  close(): Promise<void>;
}

/** How long a control plane on SQLite waits for the leader lease, in milliseconds: longer than another's lease can last. */
const LEADER_WAIT_MS = 30_000;
/** Milliseconds between two candidacies. */
const RETRY_MS = 500;

/**
 * Starts a control plane: store, server, and the first candidacy for the leadership. Resolves once it serves or, on a
 * store that several processes share, once it stands by for the one that leads.
 *
 * @throws CommandError for a busy port and for another process on the same SQLite store, `NodeSetupError` for a node
 * that cannot be used, and the store's own errors.
 */
export async function runControl(options: RunControlOptions): Promise<RunningControl> {
  const { config, logger, world } = options;
  const store = await openConfiguredStore(config, world, logger);
  const transport = options.transport ?? createUndiciTransport();
  const closeStore = async (): Promise<void> => {
    if (options.transport === undefined) await transport.close();
    await store.close();
  };
  const process = new ControlProcess({ ...options, store, transport });
  const server = createControlServer({
    services: process.services,
    health: process.health,
    world,
    logger,
    metrics: process.metrics,
    ...(config.admin_key === undefined ? {} : { adminKey: config.admin_key }),
    ...(config.grpc_tls === undefined ? {} : { tls: serverTls(config.grpc_tls) }),
  });
  const close = async (): Promise<void> => {
    await server.close();
    await process.stop();
    await closeStore();
  };
  try {
    const { host, port } = splitHostPort(config.grpc);
    const bound = await server.listen(host, port).catch((error: unknown) => {
      throw listenError("grpc", config.grpc, error);
    });
    const address = `${hostInUrl(host)}:${bound.port}`;
    await process.start(address);
    return { address, serving: () => process.health.serving(), failed: process.failed, close };
  } catch (error) {
    await close().catch((closing: unknown) =>
      logger.warn({ err: closing }, "could not close after a failed start"),
    );
    throw error;
  }
}

/** One process: a candidacy after the other, behind one server. */
class ControlProcess {
  readonly failed: Promise<never>;
  readonly metrics;
  readonly #options: RunControlOptions & Pick<CandidacyOptions, "store" | "transport">;
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  #fail: (error: unknown) => void = () => undefined;
  #serving: ControlServices | undefined;
  #leader: string | undefined;
  #clusterId: string | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: RunControlOptions & Pick<CandidacyOptions, "store" | "transport">) {
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

  /** The services of whichever term is under way; UNAVAILABLE where there is none, so that clients go elsewhere. */
  readonly services: ControlServices = {
    topology: forward(TopologyService, () => this.#current().topology),
    tasks: forward(TaskService, () => this.#current().tasks),
    indexes: forward(IndexService, () => this.#current().indexes),
    cluster: forward(ClusterService, () => this.#current().cluster),
    keys: forward(KeyService, () => this.#current().keys),
    features: forward(FeatureService, () => this.#current().features),
    backups: forward(BackupService, () => this.#current().backups),
    exports: forward(ExportService, () => this.#current().exports),
    settings: forward(SettingsService, () => this.#current().settings),
    verify: forward(VerifyService, () => this.#current().verify),
    resources: forward(ResourceService, () => this.#current().resources),
  };

  /** Resolves once this process serves or stands by; rejects where the first candidacy fails before that. */
  start(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      let ready = false;
      this.#running = this.#run(
        address,
        () => {
          ready = true;
          resolve();
        },
        () => ready,
      ).catch((error: unknown) => {
        if (!ready) {
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        this.#options.logger.fatal({ err: error }, "the control plane cannot go on");
        this.#fail(error);
      });
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#running;
  }

  async #run(address: string, onReady: () => void, isReady: () => boolean): Promise<void> {
    const { config, logger, world } = this.#options;
    const { signal } = this.#stop;
    const shared = storeLocation(config).kind === "redis";
    while (!signal.aborted) {
      try {
        await standForLeadership(
          {
            ...this.#options,
            metrics: this.metrics,
            holder: holderName(address, world),
            clusterId: this.#clusterId,
            ...(shared ? {} : { patienceMs: LEADER_WAIT_MS }),
          },
          {
            cluster: (clusterId) => {
              this.#clusterId = clusterId;
            },
            standingBy: (leader) => {
              this.#standBy(leader);
              if (shared) onReady();
            },
            serving: (services) => {
              this.#leader = undefined;
              this.#become(services);
              logger.info(
                { address, nodes: config.nodes.length, host: hostname() },
                "control plane is serving",
              );
              onReady();
            },
            over: () => this.#become(undefined),
          },
          signal,
        );
        if (!signal.aborted) logger.warn("no longer leading the control plane; standing for it again");
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof WaitedInVainError) throw this.#oneAtATime(error);
        if (error instanceof ClusterLostError) {
          const place = describeLocation(storeLocation(config));
          throw new CommandError(ExitCode.failure, `${place}: ${error.message}`, { cause: error });
        }
        if (!isReady() || !isPassing(error)) throw error;
        logger.warn({ err: error }, "the control plane cannot lead at present; trying again");
      }
      await world.timers.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  #standBy(leader: Lease | undefined): void {
    this.#leader = leader?.holder;
    this.#options.logger.info(
      { leader: leader?.holder, term: leader?.term },
      "control plane is standing by: another one leads",
    );
  }

  #become(services: ControlServices | undefined): void {
    if (this.#serving === services) return;
    this.#serving = services;
    for (const listener of [...this.#listeners]) listener();
  }

  #current(): ControlServices {
    if (this.#serving !== undefined) return this.#serving;
    throw new ConnectError(
      this.#leader === undefined
        ? "this control plane does not lead at present; ask another one, or try again shortly"
        : `this control plane stands by; ${this.#leader} leads`,
      Code.Unavailable,
    );
  }

  #oneAtATime({ leader }: WaitedInVainError): CommandError {
    const place = describeLocation(storeLocation(this.#options.config));
    return new CommandError(
      ExitCode.failure,
      `another control plane (${leader ?? "unknown"}) leads on ${place}, and SQLite serves one process; stop it, or move the store to Redis (docs/guide/store.md)`,
    );
  }
}

/** Names one candidacy: where it runs, for people, and which it is. */
function holderName(address: string, world: World): string {
  const { port } = splitHostPort(address);
  return `${hostname()}:${port}/${Buffer.from(world.random.bytes(8)).toString("hex")}`;
}

/** Whether a term that could not begin may begin later, with nothing changed by hand. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof StoreUnavailableError ||
    error instanceof FencedError ||
    error instanceof ConflictError ||
    error instanceof NotLeaderError ||
    error instanceof TopologyConflictError ||
    error instanceof TopologyUnavailableError
  );
}

/** A service whose methods are those of whatever `current` gives when they are called. */
function forward<S extends DescService>(service: S, current: () => ServiceImpl<S>): ServiceImpl<S> {
  const methods = service.methods.map(({ localName }) => {
    const call = (...parameters: unknown[]): unknown => {
      const implementation = current() as Readonly<Record<string, (...rest: unknown[]) => unknown>>;
      const method = implementation[localName];
      if (method === undefined) {
        throw new ConnectError(`${service.typeName}/${localName} is not served`, Code.Unimplemented);
      }
      return method.apply(implementation, parameters);
    };
    return [localName, call] as const;
  });
  return Object.fromEntries(methods) as ServiceImpl<S>;
}

function serverTls(tls: NonNullable<Config["grpc_tls"]>): { cert: Buffer; key: Buffer; clientCa?: Buffer } {
  return {
    cert: readPem(tls.cert, "grpc_tls"),
    key: readPem(tls.key, "grpc_tls"),
    ...(tls.ca === undefined ? {} : { clientCa: readPem(tls.ca, "grpc_tls") }),
  };
}
