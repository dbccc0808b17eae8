import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import {
  type CommitGenerationRequest,
  DocumentReplicaSchema,
  type IndexService,
} from "../../gen/miroir/v1/indexes_pb.js";
import {
  type Epoch,
  type Index,
  IndexSchema,
  ReplicaState,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../placement/physical-name.js";
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
import type { IndexCompaction } from "./index-compaction.js";
import { type CreatedIndex, IndexCreationError, type IndexCreator, type NewIndex } from "./index-creator.js";
import type { IndexNames } from "./index-names.js";

/** What {@link createIndexService} works with. */
export interface IndexServiceOptions {
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
    inTurn(queues, uid, options.maxCreations ?? 1_000, work);
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
    commitGeneration: (request) => commitGeneration(options, request),
    async getIndex({ uid }) {
      return { index: withUpdatedAt(options, indexOf(topology.current(), uid)) };
    },
    async listIndexes({ pageSize, pageToken }) {
      const { indexes } = topology.current();
      const size = pageSize === 0 ? 100 : pageSize;
      const rest = pageToken === "" ? indexes : indexes.filter((index) => index.uid > pageToken);
      const page = rest.slice(0, size);
      return {
        indexes: page.map((index) => withUpdatedAt(options, index)),
        nextPageToken: rest.length > size ? (page.at(-1)?.uid ?? "") : "",
        total: BigInt(indexes.length),
      };
    },
    async explainDocument({ indexUid, primaryKey }) {
      const current = topology.current();
      const index = indexOf(current, indexUid);
      const shard = hasher.shardOf(primaryKey, index.shards);
      const nodes = new Map(current.nodes.map((node) => [node.id, node]));
      const states = new Map(index.replicas.map((replica) => [replica.nodeId, replica.state]));
      const replicas = (index.placement[shard]?.nodeIds ?? []).map((id) =>
        create(DocumentReplicaSchema, {
          nodeId: id,
          url: nodes.get(id)?.url ?? "",
          group: nodes.get(id)?.group ?? 0,
          state: states.get(id) ?? ReplicaState.UNSPECIFIED,
          physicalIndex: physicalName(index.instance, index.generation),
        }),
      );
      return { shard, replicas };
    },
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

async function commitGeneration(
  { topology, logger }: IndexServiceOptions,
  request: CommitGenerationRequest,
): Promise<{ index: Index; epoch: Epoch }> {
  const { instance, expectedGeneration, newGeneration, writer, reason } = request;
  const stale = new Set(request.staleNodeIds);
  const isClaim = newGeneration === expectedGeneration && writer !== undefined && stale.size === 0;
  if (newGeneration <= expectedGeneration && !isClaim) {
    throw new ConnectError("new_generation must be above expected_generation", Code.InvalidArgument);
  }
  const next = await topology.change(reason === "" ? "a new generation" : reason, (draft) => {
    const index = findInstance(draft, instance);
    if (index === undefined) throw new ConnectError(`no index has the instance ${instance}`, Code.NotFound);
    if (isCommitted(index, request, stale)) return;
    if (index.generation !== expectedGeneration) {
      const message = `index ${index.uid} is at generation ${index.generation}, not ${expectedGeneration}`;
      throw new ConnectError(message, Code.Aborted);
    }
    if (isClaim && index.writer !== undefined) {
      throw new ConnectError(
        `index ${index.uid} has a writer already; only a new generation can replace it`,
        Code.Aborted,
      );
    }
    refuseLastCopies(index, stale);
    for (const replica of index.replicas) {
      if (stale.has(replica.nodeId)) replica.state = ReplicaState.STALE;
    }
    index.generation = newGeneration;
    if (writer !== undefined) index.writer = writer;
  });
  const index = findInstance(next, instance);
  if (index === undefined) throw new ConnectError(`no index has the instance ${instance}`, Code.NotFound);
  logger.info(
    { index: index.uid, generation: String(index.generation), stale: [...stale], reason },
    "index has a new generation",
  );
  return { index, epoch: epochOf(next) };
}

/** Whether this very commit has taken place already. */
function isCommitted(index: Index, request: CommitGenerationRequest, stale: ReadonlySet<string>): boolean {
  return (
    index.generation === request.newGeneration &&
    (request.writer === undefined || index.writer?.session === request.writer.session) &&
    index.replicas.every((replica) => !stale.has(replica.nodeId) || replica.state === ReplicaState.STALE)
  );
}

function refuseLastCopies(index: Index, stale: ReadonlySet<string>): void {
  const inSync = new Set(
    index.replicas
      .filter((replica) => replica.state === ReplicaState.IN_SYNC)
      .map((replica) => replica.nodeId),
  );
  const lost = index.placement.filter(
    ({ nodeIds }) =>
      nodeIds.some((id) => inSync.has(id)) && !nodeIds.some((id) => inSync.has(id) && !stale.has(id)),
  );
  if (lost.length === 0) return;
  const shards = lost.slice(0, 10).map(({ shard }) => shard);
  throw new ConnectError(
    `index ${index.uid} would lose the last in-sync copy of ${lost.length} shards (${shards.join(", ")}${lost.length > 10 ? ", …" : ""})`,
    Code.FailedPrecondition,
  );
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

function indexOf(topology: Topology, uid: string): Index {
  const index = topology.indexes.find((candidate) => candidate.uid === uid);
  if (index === undefined) throw new ConnectError(`no index is called ${uid}`, Code.NotFound);
  return index;
}

function withUpdatedAt(options: IndexServiceOptions, index: Index): Index {
  const at = options.updatedAt(index.instance);
  return at === undefined ? index : create(IndexSchema, { ...index, updatedAt: timestampFromMs(at) });
}

function epochOf(topology: Topology): Epoch {
  if (topology.epoch === undefined) throw new ConnectError("the topology has no epoch", Code.Internal);
  return topology.epoch;
}
