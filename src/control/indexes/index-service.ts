import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { IndexService } from "../../gen/miroir/v1/indexes_pb.js";
import type { Epoch, Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { ShardHasher } from "../../placement/shard.js";
import type { World } from "../../runtime/world.js";
import {
  type FencingToken,
  type IndexInstance,
  indexInstance,
  nodeId,
  nodeTaskUid,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../store/task-store.js";
import { enqueuedTask } from "../tasks/enqueued-task.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TaskRegistry } from "../tasks/task-registry.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { createElection } from "./election-service.js";
import { commitGeneration, type GenerationCommitOptions } from "./generation-commit.js";
import type { IndexCompaction } from "./index-compaction.js";
import { type CreatedIndex, IndexCreationError, type IndexCreator, type NewIndex } from "./index-creator.js";
import type { IndexNames } from "./index-names.js";
import { createIndexReads, indexOf } from "./index-reads.js";

/** What {@link createIndexService} works with. */
export interface IndexServiceOptions extends Pick<GenerationCommitOptions, "withoutLease"> {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly hasher: ShardHasher;
  readonly creator: IndexCreator;
  readonly registry: TaskRegistry;
  readonly names: IndexNames;
  readonly compaction: IndexCompaction;
  /** When documents of the index changed last, where the topology does not say it yet. */
  readonly updatedAt: (instance: string) => number | undefined;
  /** Index creations under way at once; more are refused with RESOURCE_EXHAUSTED. 1,000 unless given. */
  readonly maxCreations?: number;
}

/** Names of indexes whose creation or check is under way, each with what comes last in its queue. */
type Queues = Map<string, Promise<unknown>>;

/** Serves the catalogue of indexes. Calls about one name run one after the other, so that concurrent callers get one index. */
export function createIndexService(options: IndexServiceOptions): ServiceImpl<typeof IndexService> {
  const { topology, hasher, names } = options;
  const queues: Queues = new Map();
  const alone = <T>(uid: string, work: () => Promise<T>): Promise<T> =>
    inTurn(queues, uid, options.maxCreations ?? 1_000, async () => {
      // A new index must not take a name from under a change that was accepted before.
      if (!topology.current().indexes.some((index) => index.uid === uid)) await names.settled(uid);
      return work();
    });
  return {
    ensureIndex: ({ uid, primaryKey, writer, replacedPrimaryKey }) =>
      alone(uid, () => ensureIndex(options, { uid, primaryKey, writer }, replacedPrimaryKey)),
    createIndex: ({ uid, primaryKey, writer, taskUid: task }) =>
      alone(uid, () => createIndex(options, Number(task), { uid, primaryKey, writer })),
    removeIndex: ({ instance }) => removeIndex(options, instance),
    swapIndexes: async ({ taskUid: task, swaps, waitMs }) => {
      const pairs = swaps.map(({ leftUid, rightUid, rename }) => ({
        indexes: [leftUid, rightUid] as const,
        rename,
      }));
      return given(await names.run(Number(task), { kind: "swap", swaps: pairs }, waitMs));
    },
    renameIndex: async ({ taskUid: task, uid, newUid, primaryKey, waitMs }) =>
      given(await names.run(Number(task), { kind: "rename", uid, newUid, primaryKey }, waitMs)),
    compactIndex: async ({ taskUid: task, uid }) => {
      await options.compaction.enqueue(Number(task), uid);
      return {};
    },
    ...createElection(topology, options.world),
    commitGeneration: (request) => commitGeneration(options, request),
    ...createIndexReads({ topology: () => topology.current(), hasher, updatedAt: options.updatedAt }),
  };
}

async function ensureIndex(
  options: IndexServiceOptions,
  wanted: NewIndex,
  replaced: string | undefined,
): Promise<{ index: Index; epoch: Epoch; created: boolean }> {
  const { topology, creator } = options;
  const { uid, primaryKey } = wanted;
  const held = topology.current().indexes.find((index) => index.uid === uid);
  if (held === undefined) {
    const created = await creating(() => creator.create(wanted));
    return { index: created.index, epoch: epochOf(created.topology), created: true };
  }
  if (primaryKey === undefined || held.primaryKey !== replaced) {
    return { index: held, epoch: epochOf(topology.current()), created: false };
  }
  const next = await topology.change(`index ${uid} gets its primary key`, (draft) => {
    const index = draft.indexes.find((candidate) => candidate.uid === uid);
    if (index !== undefined && index.primaryKey === replaced) index.primaryKey = primaryKey;
  });
  return { index: indexOf(next, uid), epoch: epochOf(next), created: false };
}

async function createIndex(
  options: IndexServiceOptions,
  task: number,
  wanted: NewIndex,
): Promise<{ epoch: Epoch }> {
  const { store, topology, creator, registry, world } = options;
  const { uid, primaryKey } = wanted;
  if ((await store.tasks.get(taskUid(task))) !== undefined) return { epoch: epochOf(topology.current()) };
  const earlier = await creator.publishedFor(task);
  if (earlier === undefined && topology.current().indexes.some((index) => index.uid === uid)) {
    await registry.register([alreadyExists(task, uid, primaryKey, world.clock.now())]);
    return { epoch: epochOf(topology.current()) };
  }
  const created = earlier ?? (await creating(() => creator.create(wanted, task)));
  await recordCreation(options, created, task);
  return { epoch: epochOf(topology.current()) };
}

/** Records the client task of an index creation; safe to repeat. */
export async function recordCreation(
  { registry, creator, world }: Pick<IndexServiceOptions, "registry" | "creator" | "world">,
  created: CreatedIndex,
  task: number,
): Promise<void> {
  const { index, nodeTasks } = created;
  await registry.register([
    {
      ...emptyTask(task, index.uid, index.primaryKey, world.clock.now()),
      instance: indexInstance(index.instance),
      nodeTasks: nodeTasks.map((entry) => ({
        nodeId: nodeId(entry.nodeId),
        nodeTaskUid: nodeTaskUid(entry.nodeTaskUid),
        status: "enqueued",
        error: null,
        shards: [],
        detailsJson: null,
        startedAt: null,
        finishedAt: null,
      })),
    },
  ]);
  await creator.finished(created);
}

async function removeIndex(
  { topology, store, fence }: IndexServiceOptions,
  instance: string,
): Promise<{ epoch: Epoch }> {
  const held = findInstance(topology.current(), instance);
  if (held === undefined) return { epoch: epochOf(topology.current()) };
  const next = await topology.change(`index ${held.uid} is removed`, (draft) => {
    draft.indexes = draft.indexes.filter((index) => index.instance !== instance);
  });
  await store.nodeSettingsVersions.delete(instance as IndexInstance, undefined, fence());
  return { epoch: epochOf(next) };
}

function alreadyExists(task: number, uid: string, primaryKey: string | undefined, now: number): TaskRow {
  return {
    ...emptyTask(task, uid, primaryKey, now),
    status: "failed",
    error: {
      message: `Index \`${uid}\` already exists.`,
      code: "index_already_exists",
      type: "invalid_request",
      link: "https://docs.meilisearch.com/errors#index_already_exists",
    },
    startedAt: now,
    finishedAt: now,
  };
}

function emptyTask(task: number, uid: string, primaryKey: string | undefined, now: number): TaskRow {
  return enqueuedTask({
    uid: taskUid(task),
    indexUid: uid,
    instance: null,
    type: "indexCreation",
    detailsJson: JSON.stringify({ primaryKey: primaryKey ?? null }),
    enqueuedAt: now,
  });
}

async function creating<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof IndexCreationError)) throw error;
    throw new ConnectError(error.message, Code.Unavailable, undefined, undefined, error);
  }
}

function inTurn<T>(queues: Queues, uid: string, limit: number, work: () => Promise<T>): Promise<T> {
  const before = queues.get(uid);
  if (before === undefined && queues.size >= limit) {
    throw new ConnectError(`${limit} index creations are under way; try again later`, Code.ResourceExhausted);
  }
  const run = (before ?? Promise.resolve()).then(work);
  const settled = run
    .catch(() => undefined)
    .finally(() => {
      if (queues.get(uid) === settled) queues.delete(uid);
    });
  queues.set(uid, settled);
  return run;
}

function given(epoch: Epoch | undefined): { readonly epoch?: Epoch } {
  return epoch === undefined ? {} : { epoch };
}

function epochOf(topology: Topology): Epoch {
  if (topology.epoch === undefined) throw new ConnectError("the topology has no epoch", Code.Internal);
  return topology.epoch;
}
