import type { Task } from "../../gen/miroir/v1/tasks_pb.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import { createShardHasher, type ShardHasher } from "../../placement/shard.js";
import { createSharedAbort } from "../../runtime/abort.js";
import type { TestFaults } from "../../runtime/test-faults.js";
import type { World } from "../../runtime/world.js";
import type { ControlTransport } from "../control-transport.js";
import type { PeerCalls } from "../peers/peer-calls.js";
import type { TopologySource, WriteLease, WriterDirectory } from "../topology/topology-view.js";
import { WriterChoice } from "../topology/writer-choice.js";
import { CopyRunner, type CopyRunnerOptions } from "./copy/copy-runner.js";
import { DocumentEdits } from "./document-edits.js";
import { DocumentWrites } from "./document-writes.js";
import { FilterPreflight } from "./filter-preflight.js";
import type { WriterContext, WriterName } from "./generation-change.js";
import { type HandOverOutcome, HandOvers } from "./hand-over.js";
import { IndexOperations } from "./index-operations.js";
import { NameOperations } from "./name-operations.js";
import { createNodeCalls } from "./node-calls.js";
import { OpenSettings } from "./open-settings.js";
import { Sequences } from "./sequences.js";
import { SettingsRepairs } from "./settings-repairs.js";
import { createSpoolPool } from "./spool.js";
import { SuspectShedding } from "./suspect-shedding.js";
import { TaskOperations } from "./task-operations.js";
import { createTaskRegistrar } from "./task-registrar.js";
import { createTaskUids } from "./task-uids.js";
import type {
  BackupKind,
  DocumentWriteRequest,
  ExportRequest,
  IndexSwap,
  SettingsWrite,
  TaskRemovalWrite,
  WriteConfig,
  WriteLogger,
  WriteResult,
  WriteStats,
} from "./types.js";
import { WriteCore } from "./write-core.js";
import { WriteGates } from "./write-gates.js";
import type { WriteMetrics } from "./write-metrics.js";

/**
 * Takes clients' writes. Every method resolves once the write is accepted, which means: held by every in-sync replica of
 * each shard that it touches, or the replicas that missed it are durably stale (invariant 4); or recorded as a task that
 * has failed already, where Meilisearch would accept the write and fail its task. Every method rejects with
 * `MeilisearchError` otherwise: Meilisearch's own refusals, and Miroir's codes with 503 (nothing was sent) or 504
 * (`miroir_write_outcome_unknown`). `signal` takes a write back while its body is read or it waits for its turn; once
 * sending has begun it goes on.
 */
export interface WriteService {
  submit(request: DocumentWriteRequest, signal: AbortSignal): Promise<WriteResult>;
  /** The index's uid and key as the client sent them, already of the right types. */
  createIndex(
    index: { readonly uid: string; readonly primaryKey?: string | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult>;
  /** Sets the primary key, and gives the index another name where `newUid` is given. */
  updateIndex(
    indexUid: string,
    change: { readonly primaryKey?: string | undefined; readonly newUid?: string | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult>;
  /** Exchanges names of indexes, all of them or none; no index is named twice. */
  swapIndexes(swaps: readonly IndexSwap[], signal: AbortSignal): Promise<WriteResult>;
  /** Deletes finished tasks, or asks for open ones to be canceled. */
  removeTasks(request: TaskRemovalWrite): Promise<WriteResult>;
  /** Has an index's nodes give back the space that they do not use; contents stay as they are. */
  compactIndex(indexUid: string): Promise<WriteResult>;
  /** Copies indexes to another Meilisearch. */
  export(request: ExportRequest): Promise<WriteResult>;
  /** Backs the whole fleet up. */
  backUp(kind: BackupKind): Promise<WriteResult>;
  deleteIndex(indexUid: string, signal: AbortSignal): Promise<WriteResult>;
  updateSettings(write: SettingsWrite, signal: AbortSignal): Promise<WriteResult>;
  /** Makes another proxy the writer of an index, once the writes that have begun here are over. */
  handOver(instance: string, successor: WriterName, waitMs: number): Promise<HandOverOutcome>;
  /**
   * Takes no more writes, finishes those under way, hands the indexes over to other proxies and tells the control plane of the rest, until
   * `signal` aborts.
   */
  drain(signal: AbortSignal): Promise<void>;
  stats(): WriteStats;
  /** A task of this proxy that was accepted while the control plane was away and is not registered there yet. */
  unregisteredTask(uid: bigint): Task | undefined;
}

/** What a write service works with. */
export interface WriteServiceOptions {
  readonly world: World;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  /** The other proxies that may write; this one is alone unless given. */
  readonly directory?: WriterDirectory;
  /** Holds back writes to indexes that change hands; its own unless given. */
  readonly gates?: WriteGates;
  /** Asks other proxies for indexes that they write; no other proxy is known unless given. */
  readonly peers?: Pick<PeerCalls, "handOver">;
  readonly control: ControlTransport;
  readonly transport: NodeTransport;
  readonly config: WriteConfig;
  readonly logger: WriteLogger;
  readonly metrics: WriteMetrics;
  readonly testFaults?: TestFaults;
  /** What copies of shards are told besides. */
  readonly copies?: CopyRunnerOptions;
  /** The hash function of shards, where it is loaded already; loaded otherwise. */
  readonly hasher?: ShardHasher;
}

/** The write path of a proxy. It does nothing by itself until the first write, and holds nothing that a successor needs (invariant 7). */
export function createWriteService(options: WriteServiceOptions): WriteService {
  const { world, topology, lease, control, transport, config, logger, metrics } = options;
  const closing = createSharedAbort();
  const context: WriterContext = {
    world,
    topology,
    lease,
    writers: new WriterChoice({
      session: lease.session,
      proxyId: lease.proxyId,
      state: () => lease.state(),
      directory: options.directory,
    }),
    askForIndex: (proxy, request) =>
      options.peers?.handOver(proxy, request) ?? Promise.reject(new Error("no other proxy can be asked")),
    control,
    calls: createNodeCalls(transport, world, config, logger, metrics),
    config,
    logger,
    metrics,
    testFaults: options.testFaults,
    closed: closing.signal,
  };
  const uids = createTaskUids(control, lease.session, world, {
    block: config.taskUidBlock,
    ttlMs: config.taskUidTtlMs,
    timeoutMs: config.controlTimeoutMs,
  });
  const registrar = createTaskRegistrar(control, lease.session, world, logger, metrics, {
    maxPending: config.maxPendingRegistrations,
    timeoutMs: config.controlTimeoutMs,
  });
  const spools = createSpoolPool(
    {
      directory: config.spoolDirectory,
      memoryBytes: config.spoolMemoryBytes,
      maxFileBytes: config.maxSpoolBytes,
    },
    world.random,
  );
  const core = new WriteCore(
    context,
    uids,
    registrar,
    spools,
    Promise.resolve(options.hasher ?? createShardHasher()),
  );
  const openSettings = new OpenSettings(context);
  const preflight = new FilterPreflight(core, openSettings);
  const sequences = new Sequences(world);
  const edits = new DocumentEdits(core, preflight, sequences);
  const documents = new DocumentWrites(core, preflight, openSettings, sequences, edits);
  const indexes = new IndexOperations(core, openSettings);
  const names = new NameOperations(core);
  const tasks = new TaskOperations(core);
  const repairs = new SettingsRepairs(core, openSettings);
  const shedding = new SuspectShedding(core);
  const copies = new CopyRunner(core, openSettings, options.copies);
  const handOvers = new HandOvers(
    core,
    openSettings,
    options.gates ?? new WriteGates(world),
    options.directory,
  );
  handOvers
    .balance()
    .catch((error: unknown) =>
      logger.error({ err: error }, "indexes are not balanced over proxies any more"),
    );
  const stopWatching = topology.onChange((view) => {
    shedding.look(view);
    repairs.look(view);
    copies.look(view);
  });
  const known = topology.current();
  if (known !== undefined) copies.look(known);

  const stats = (): WriteStats => {
    const { lanes, writes } = core.queued();
    return {
      lanes,
      queued: writes,
      blockedIndexes: [...core.knownWriters()].flatMap(([instance, writer]) =>
        writer.blocked() === undefined ? [] : [topology.current()?.byInstance.get(instance)?.uid ?? instance],
      ),
      pendingRegistrations: registrar.pending(),
      spooledBytes: spools.fileBytes(),
    };
  };
  metrics.gauges(() => {
    const { queued, blockedIndexes, pendingRegistrations, spooledBytes } = stats();
    return { queued, blocked: blockedIndexes.length, pendingRegistrations, spooledBytes };
  });

  let underWay = 0;
  const counted = async <T>(write: () => Promise<T>): Promise<T> => {
    underWay++;
    try {
      return await write();
    } finally {
      underWay--;
    }
  };
  return {
    submit: (request, signal) => counted(() => documents.submit(request, signal)),
    createIndex: ({ uid, primaryKey }, signal) => counted(() => indexes.create(uid, primaryKey, signal)),
    updateIndex: (indexUid, { primaryKey, newUid }, signal) =>
      counted(() =>
        newUid === undefined
          ? indexes.update(indexUid, primaryKey, signal)
          : names.rename(indexUid, newUid, primaryKey, signal),
      ),
    compactIndex: (indexUid) => counted(() => tasks.compactIndex(indexUid)),
    removeTasks: (request) => counted(() => tasks.remove(request)),
    backUp: (kind) => counted(() => tasks.backUp(kind)),
    export: (request) => counted(() => tasks.export(request)),
    swapIndexes: (swaps, signal) => counted(() => names.swap(swaps, signal)),
    deleteIndex: (indexUid, signal) => counted(() => indexes.delete(indexUid, signal)),
    updateSettings: (write, signal) => counted(() => indexes.updateSettings(write, signal)),
    handOver: (instance, successor, waitMs) => handOvers.to(instance, successor, waitMs),
    async drain(signal) {
      core.stop();
      stopWatching();
      while (!signal.aborted && (underWay > 0 || stats().blockedIndexes.length > 0)) {
        await world.timers.sleep(20, signal).catch(() => undefined);
      }
      await handOvers.all(signal);
      await registrar.flush(signal);
      closing.abort(new Error("the proxy has stopped"));
      registrar.close();
    },
    stats,
    unregisteredTask: (uid) => registrar.find(uid),
  };
}
