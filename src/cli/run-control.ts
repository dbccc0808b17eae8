import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { createClusterService } from "../control/cluster/cluster-service.js";
import { createControlPlane } from "../control/control-plane.js";
import { createControlServer } from "../control/server/control-server.js";
import { createServerMetrics } from "../control/server/server-metrics.js";
import type { ProxyFleet } from "../control/topology/proxy-fleet.js";
import { createTopologyService } from "../control/topology/subscribe.js";
import { createTopologyControl } from "../control/topology/topology-control.js";
import { type Epoch, type Topology, TopologySchema } from "../gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../meilisearch/transport.js";
import { createUndiciTransport } from "../meilisearch/undici-transport.js";
import type { World } from "../runtime/world.js";
import { openSqliteTaskStore } from "../store/sqlite/sqlite-task-store.js";
import type { TaskStore } from "../store/task-store.js";
import { type Config, hostInUrl, splitHostPort } from "./config.js";
import { CommandError, ExitCode } from "./exit-codes.js";
import { listenError } from "./listen-error.js";
import { packageVersion } from "./options.js";

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
  /** Gives the leader lease back and ends; calls under way are finished first. */
  close(): Promise<void>;
}

/** How long a task that left a replica behind waits for proxies to know of it, in milliseconds. */
const ACKNOWLEDGE_WAIT_MS = 3_000;

/** How long a control plane waits for the leader lease at its start, in milliseconds: longer than another's lease can last. */
const LEADER_WAIT_MS = 30_000;

/**
 * Starts a control plane: store, leadership, nodes, services.
 *
 * @throws CommandError for a busy port, `NodeSetupError` for a node that cannot be used, and the store's own errors.
 */
export async function runControl(options: RunControlOptions): Promise<RunningControl> {
  const { config, world, logger } = options;
  mkdirSync(config.data_dir, { recursive: true });
  const store = await openSqliteTaskStore({ path: join(config.data_dir, "control.db"), clock: world.clock });
  const transport = options.transport ?? createUndiciTransport();
  const closers: (() => Promise<void>)[] = [() => store.close()];
  if (options.transport === undefined) closers.unshift(() => transport.close());
  const closeAll = async (): Promise<void> => {
    for (const close of closers) await close();
  };
  try {
    const address = await assemble({ ...options, store, transport, closers });
    return { address, close: closeAll };
  } catch (error) {
    await closeAll().catch((closing: unknown) =>
      logger.warn({ err: closing }, "could not close after a failed start"),
    );
    throw error;
  }
}

interface Assembly extends RunControlOptions {
  readonly store: TaskStore;
  readonly transport: NodeTransport;
  /** Called in order at the end; what is started later goes in front. */
  readonly closers: (() => Promise<void>)[];
}

async function assemble({ config, world, logger, store, transport, closers }: Assembly): Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "miroir_control_" });
  const metrics = createServerMetrics(registry);
  const initial = await initialTopology(store, config);
  const credentialListeners = new Set<() => void>();
  let credentials: () => ReturnType<typeof plane.credentials> = () => [];
  const control = createTopologyControl({
    store,
    world,
    logger,
    initial,
    observer: metrics.fleet,
    credentials: {
      current: () => credentials(),
      onChange: (listener) => {
        credentialListeners.add(listener);
        return () => credentialListeners.delete(listener);
      },
    },
    proxies: { leaseMs: config.lease_duration_ms },
  });
  const plane = await createControlPlane({
    world,
    transport,
    store,
    topology: control.topology,
    fence: () => control.leadership.fence(),
    config: { nodes: nodesOf(config), groups: config.groups },
    logger,
    metrics: registry,
    acknowledged: (epoch) => acknowledgedByAll(control.fleet, epoch),
  });
  credentials = () => plane.credentials();
  plane.onCredentialsChange(() => {
    for (const listener of credentialListeners) listener();
  });
  const stopFollowing = metrics.follow(control);
  closers.unshift(async () => stopFollowing());
  closers.unshift(() => control.close());
  await control.start();
  await control.whenLeading(AbortSignal.timeout(LEADER_WAIT_MS));
  await control.topology.change("cluster as configured", (draft) => {
    draft.replicationFactor = initial.replicationFactor;
    draft.defaultShards = initial.defaultShards;
    draft.minInSync = initial.minInSync;
  });
  closers.unshift(() => plane.stop());
  await plane.start();

  const server = createControlServer({
    services: {
      topology: createTopologyService({
        topology: control.topology,
        fleet: control.fleet,
        world,
        observer: metrics.fleet,
      }),
      tasks: plane.services.tasks,
      indexes: plane.services.indexes,
      cluster: createClusterService({
        topology: control.topology,
        fleet: control.fleet,
        version: packageVersion(),
        probe: (nodeId) => plane.nodeStatus().get(nodeId),
        openNodeTasks: () => Promise.resolve(plane.openTaskCounts()),
        openTasks: () => store.tasks.countOpen(),
      }),
    },
    health: {
      serving: () => control.leadership.state().kind === "leader",
      onChange: (listener) => control.leadership.onChange(listener),
    },
    world,
    logger,
    metrics,
    ...(config.admin_key === undefined ? {} : { adminKey: config.admin_key }),
    ...(config.grpc_tls === undefined ? {} : { tls: serverTls(config.grpc_tls) }),
  });
  closers.unshift(() => server.close());
  const { host, port } = splitHostPort(config.grpc);
  const bound = await server.listen(host, port).catch((error: unknown) => {
    throw listenError("grpc", config.grpc, error);
  });
  return `${hostInUrl(host)}:${bound.port}`;
}

/** Resolves when every connected proxy knows an epoch; one that stays behind is waited for no longer than its lease may take to end. */
async function acknowledgedByAll(fleet: ProxyFleet, epoch: Epoch): Promise<void> {
  const signal = AbortSignal.timeout(ACKNOWLEDGE_WAIT_MS);
  await Promise.allSettled(fleet.proxies().map(({ session }) => fleet.waitForAck(epoch, session, signal)));
}

/** The stored cluster's id with today's configuration; a fresh id for a fresh store. */
async function initialTopology(store: TaskStore, config: Config): Promise<Topology> {
  const stored = await store.topology.load();
  const clusterId =
    stored === undefined ? randomUUID() : fromBinary(TopologySchema, stored.document).epoch?.clusterId;
  const nodesInGroup = Math.max(1, Math.floor(config.nodes.length / config.groups));
  return create(TopologySchema, {
    epoch: { clusterId: clusterId ?? randomUUID() },
    replicationFactor: config.replication_factor ?? Math.min(2, nodesInGroup),
    defaultShards: config.shards,
    minInSync: config.min_in_sync,
  });
}

function nodesOf(config: Config): Config["nodes"] {
  return config.nodes.map((node) => ({ ...node, key: node.key ?? config.node_key }));
}

function serverTls(tls: NonNullable<Config["grpc_tls"]>): { cert: Buffer; key: Buffer; clientCa?: Buffer } {
  return {
    cert: readPem(tls.cert),
    key: readPem(tls.key),
    ...(tls.ca === undefined ? {} : { clientCa: readPem(tls.ca) }),
  };
}

/**
 * Reads a PEM file that the configuration names.
 *
 * @throws CommandError (usage) where it cannot be read.
 */
export function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CommandError(ExitCode.usage, `grpc_tls: cannot read ${path}`, { cause: error });
  }
}
