import type { Logger } from "pino";
import { createClusterService } from "../control/cluster/cluster-service.js";
import { createControlPlane } from "../control/control-plane.js";
import type { ControlPlaneConfig } from "../control/control-plane-options.js";
import { LEADER_SCOPE } from "../control/leader/leadership.js";
import type { ReplicaIdentity } from "../control/leader/replica-seats.js";
import { TermTransport } from "../control/leader/term-transport.js";
import type { LeaderServices } from "../control/server/replica-services.js";
import type { ServerMetrics } from "../control/server/server-metrics.js";
import type { ProxyFleet } from "../control/topology/proxy-fleet.js";
import { createTopologyService } from "../control/topology/subscribe.js";
import { createTopologyControl, type TopologyControl } from "../control/topology/topology-control.js";
import { ClusterLostError } from "../control/topology/topology-manager.js";
import type { Epoch } from "../gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../meilisearch/transport.js";
import { createIpPolicy } from "../outbound/ip-policy.js";
import { createUndiciOutbound } from "../outbound/undici-outbound.js";
import type { World } from "../runtime/world.js";
import type { Lease, TaskStore } from "../store/task-store.js";
import type { Config } from "./config.js";
import { controlPlaneConfig, initialTopology, leaderTimes } from "./control-plane-config.js";
import { packageVersion } from "./options.js";

/** What every candidacy of a process works with. */
export interface CandidacyOptions {
  readonly config: Config;
  readonly world: World;
  readonly logger: Logger;
  readonly store: TaskStore;
  readonly transport: NodeTransport;
  readonly metrics: ServerMetrics;
  /** Names this candidacy, and no other one ever. */
  readonly holder: string;
  /** The control processes that run, any of which may lead next; this one alone unless given. */
  readonly replicas?: () => readonly ReplicaIdentity[];
  /** The cluster that the store was seen to hold before; undefined where it has not been read yet. */
  readonly clusterId: string | undefined;
  /** Milliseconds to wait for another leader's end, then {@link WaitedInVainError}; without end unless given. */
  readonly patienceMs?: number;
  /** How often nodes are looked at; each part's own defaults unless given. */
  readonly pace?: Pick<ControlPlaneConfig, "audit" | "monitor">;
}

/** What becomes of a candidacy, as it happens. */
export interface CandidacyObserver {
  /** The store was read: the cluster that it holds, or will hold. */
  cluster(clusterId: string): void;
  /** Another process leads; called again when that changes. */
  standingBy(leader: Lease | undefined): void;
  /** This process leads, and its services answer. */
  serving(services: LeaderServices): void;
  /** The lease is gone or was given back; called at once, before the services' parts have ended. */
  over(): void;
}

/** Another process kept the lease for longer than this one waits. */
export class WaitedInVainError extends Error {
  override readonly name = "WaitedInVainError";
  /** The other process, as it names itself; undefined where the store could not say. */
  readonly leader: string | undefined;

  constructor(leader: string | undefined) {
    super(`another control plane (${leader ?? "unknown"}) holds the leader lease`);
    this.leader = leader;
  }
}

/** How long a task that left a replica behind waits for proxies to know of it, in milliseconds. */
const ACKNOWLEDGE_WAIT_MS = 3_000;
/** Milliseconds between two looks at who leads: those who ask a standby are sent there. */
const WATCH_MS = 500;
/** Milliseconds that each part of a term may take to end: longer than the store's deadline and the waits for proxies together. */
const TAKE_DOWN_MS = 15_000;

/**
 * Stands for the leadership once: waits for the lease, leads with everything built anew from the store, and takes it
 * all down when the lease is lost or the signal aborts. Nothing that one term held in memory reaches the next, so that
 * a process that leads again is no different from one that has just started.
 *
 * Resolves when it is over. Rejects, with everything taken down and the lease given back, where the term could not begin.
 */
export async function standForLeadership(
  options: CandidacyOptions,
  observer: CandidacyObserver,
  stop: AbortSignal,
): Promise<void> {
  const { logger } = options;
  const closers: (() => Promise<void>)[] = [];
  const over = new AbortController();
  try {
    await lead(options, observer, AbortSignal.any([stop, over.signal]), over, closers);
  } catch (error) {
    // What was under way when the lease ended has failed because of that; a lost cluster is why it ended.
    if (error instanceof ClusterLostError || !(over.signal.aborted || stop.aborted)) throw error;
    logger.debug({ err: error }, "the term ended before it had begun");
  } finally {
    observer.over();
    await takeDown(closers, options, stop);
  }
}

/** Ends the parts in turn. One that does not end in time ends the process, rather than keep it from ever leading again. */
async function takeDown(
  closers: readonly (() => Promise<void>)[],
  { logger, world }: CandidacyOptions,
  stop: AbortSignal,
): Promise<void> {
  let stuck = false;
  for (const close of closers) {
    const late = new AbortController();
    const timeout = world.timers.sleep(TAKE_DOWN_MS, late.signal).then(
      () => true,
      () => false,
    );
    const ended = close().then(
      () => false,
      (error: unknown) => {
        logger.warn({ err: error }, "could not end a part of the control plane cleanly");
        return false;
      },
    );
    if (await Promise.race([ended, timeout])) {
      stuck = true;
      logger.error({ limitMs: TAKE_DOWN_MS }, "a part of the control plane does not end");
    }
    late.abort();
  }
  if (stuck && !stop.aborted) {
    throw new Error(
      "a part of the ended term does not end; this process is of no use any more, start it again",
    );
  }
}

async function lead(
  options: CandidacyOptions,
  observer: CandidacyObserver,
  end: AbortSignal,
  over: AbortController,
  closers: (() => Promise<void>)[],
): Promise<void> {
  const { config, logger, metrics, store, world } = options;
  const { clusterId, initial } = await initialTopology(options);
  if (clusterId !== undefined) observer.cluster(clusterId);
  const credentialListeners = new Set<() => void>();
  let credentials: () => ReturnType<typeof plane.credentials> = () => [];
  const control = createTopologyControl({
    store,
    world,
    logger,
    initial,
    clusterId,
    holder: options.holder,
    ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
    version: packageVersion(),
    observer: metrics.fleet,
    credentials: {
      current: () => credentials(),
      onChange: (listener) => {
        credentialListeners.add(listener);
        return () => credentialListeners.delete(listener);
      },
    },
    leader: leaderTimes(config.leader_lease_ms),
    proxies: { leaseMs: config.lease_duration_ms },
  });
  const outbound = createUndiciOutbound(createIpPolicy(config.allowed_ip_networks));
  closers.unshift(() => outbound.close());
  const nodes = new TermTransport(options.transport);
  const plane = await createControlPlane({
    world,
    transport: nodes,
    outbound,
    store,
    topology: control.topology,
    fence: () => control.leadership.fence(),
    config: controlPlaneConfig(config, world, options.pace),
    logger,
    metrics: metrics.registry,
    acknowledged: (epoch) => acknowledgedByAll(control.fleet, epoch),
    withoutLease: (session, work) => control.fleet.withoutLease(session, work),
  });
  credentials = () => plane.credentials();
  plane.onCredentialsChange(() => {
    for (const listener of credentialListeners) listener();
  });
  const stopFollowing = metrics.follow(control);
  closers.unshift(async () => stopFollowing());
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= control.close();
    return closing;
  };
  closers.unshift(close);
  let led = false;
  control.leadership.onChange(({ kind }) => {
    if (kind === "leader") {
      led = true;
    } else if (led && !over.signal.aborted) {
      observer.over();
      over.abort(new Error("the leader lease is gone"));
      // At once, so that these parts never lead a second time; what fails is met again by the closer.
      close().catch(() => undefined);
    }
  });

  await control.start();
  await waitForTerm(control, options, observer, end);
  observer.cluster(control.topology.current().epoch?.clusterId ?? "");
  await control.topology.change("cluster as configured", (draft) => {
    draft.defaultShards = initial.defaultShards;
    draft.minInSync = initial.minInSync;
  });
  closers.unshift(() => {
    const stopped = plane.stop();
    // Once every part knows that it ends: none takes a request that is broken off for a sign of its node.
    nodes.end();
    return stopped;
  });
  const breakOff = () => nodes.end();
  end.throwIfAborted();
  end.addEventListener("abort", breakOff);
  await plane.start();
  end.removeEventListener("abort", breakOff);
  end.throwIfAborted();
  observer.serving({
    topology: createTopologyService({
      topology: control.topology,
      fleet: control.fleet,
      world,
      observer: metrics.fleet,
    }),
    tasks: plane.services.tasks,
    indexes: plane.services.indexes,
    keys: plane.services.keys,
    features: plane.services.features,
    backups: plane.services.backups,
    exports: plane.services.exports,
    settings: plane.services.settings,
    verify: plane.services.verify,
    copies: plane.services.copies,
    workflows: plane.services.workflows,
    resources: plane.services.resources,
    cluster: createClusterService({
      topology: control.topology,
      fleet: control.fleet,
      version: packageVersion(),
      probe: (nodeId) => plane.nodeStatus().get(nodeId),
      openNodeTasks: () => Promise.resolve(plane.openTaskCounts()),
      openTasks: () => store.tasks.countOpen(),
      operations: plane.fleetOperations,
    }),
  });
  await aborted(end);
}

/** Resolves once this process leads a term; says meanwhile who else does. */
async function waitForTerm(
  control: TopologyControl,
  { logger, patienceMs, store, world }: CandidacyOptions,
  observer: CandidacyObserver,
  end: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const patience = patienceMs === undefined ? [] : [AbortSignal.timeout(patienceMs)];
  let leader: Lease | undefined;
  const watch = async (): Promise<void> => {
    let known: string | undefined;
    for (let first = true; !done.signal.aborted; first = false) {
      try {
        leader = await store.lease.current(LEADER_SCOPE);
      } catch (error) {
        logger.debug({ err: error }, "the store did not say who leads");
      }
      if (done.signal.aborted || control.leadership.state().kind === "leader") return;
      if (first || leader?.holder !== known) observer.standingBy(leader);
      known = leader?.holder;
      await world.timers.sleep(WATCH_MS, done.signal).catch(() => undefined);
    }
  };
  const watching = control.leadership.state().kind === "leader" ? undefined : watch();
  try {
    await control.whenLeading(AbortSignal.any([end, ...patience]));
  } catch (error) {
    if (!end.aborted && patience.some((signal) => signal.aborted))
      throw new WaitedInVainError(leader?.holder);
    throw error;
  } finally {
    done.abort();
    await watching;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Resolves when every connected proxy knows an epoch; one that stays behind is waited for no longer than its lease may take to end. */
async function acknowledgedByAll(fleet: ProxyFleet, epoch: Epoch): Promise<void> {
  const signal = AbortSignal.timeout(ACKNOWLEDGE_WAIT_MS);
  await Promise.allSettled(fleet.proxies().map(({ session }) => fleet.waitForAck(epoch, session, signal)));
}
