import type { Logger } from "pino";
import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { nodeTimeMs } from "../../meilisearch/node-time.js";
import { parsePhysicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import {
  FencedError,
  type FencingToken,
  type IndexInstance,
  indexInstance,
  isFinalStatus,
  type NodeId,
  type NodeTaskUpdate,
  type TaskRow,
  type TaskStore,
  type TaskUid,
  taskUid,
} from "../../store/task-store.js";
import type { LostTask } from "../audit/audit-options.js";
import { knownType } from "../audit/node-log.js";
import { updateOf } from "../audit/node-task-updates.js";
import { NotLeaderError } from "../leader/leadership.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { aggregateTask, type TaskVerdict } from "./aggregate.js";
import { enqueuedTask } from "./enqueued-task.js";
import { findInstance, type IndexLookup, indexReplicas, markSuspect } from "./index-replicas.js";
import { StaleMarks } from "./stale-marks.js";

/** Decides what a settings task became, once its node tasks are final. */
export interface SettingsOutcomes {
  /** A settings change of this index has been sent. */
  opened(instance: IndexInstance, uid: TaskUid): Promise<void>;
  /** All node tasks that count are final. Resolves at once; the outcome arrives at {@link TaskRegistry.conclude}. */
  decide(task: TaskRow, verdict: TaskVerdict): void;
}

/** What {@link TaskRegistry} works with. */
export interface TaskRegistryOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly settings: SettingsOutcomes;
  readonly lookup: IndexLookup;
  /** Resolves when the connected proxies know an epoch, or cannot be waited for any longer. */
  readonly acknowledged?: (epoch: Epoch) => Promise<void>;
  /** Node tasks have been recorded that are not final yet. */
  readonly onOpenNodeTasks: (nodeId: NodeId, uids: readonly number[]) => void;
  /** Documents of this index have changed. */
  readonly onWritten: (instance: IndexInstance, at: number) => void;
  /** Unfinished node tasks that carry metadata, in the log of every node that answers. */
  readonly listUnfinished: () => Promise<readonly (LostTask & { readonly nodeId: NodeId })[]>;
}

/** Milliseconds after which a task that was rebuilt from metadata is taken as complete. */
const REBUILD_SETTLE_MS = 3_000;
/** Milliseconds after a failure of the store before every open task is judged again. */
const SETTLE_AGAIN_MS = 1_000;
const PAGE = 1_000;
/** Tasks with their node tasks that are recorded at once: with 50 node tasks each still what the store takes. */
const REGISTER_BATCH = 200;

/**
 * Records client tasks and keeps their status the aggregate of their node tasks. The marks on replicas that disagree
 * are published before the task is final, so that nobody who saw it succeed reads from a replica that missed it.
 */
export class TaskRegistry {
  readonly #options: TaskRegistryOptions;
  /** Rebuilt tasks whose node tasks on other nodes may not be known yet. */
  readonly #rebuilt = new Set<TaskUid>();
  #settlesLater = false;
  readonly #staleMarks: StaleMarks;

  constructor(options: TaskRegistryOptions) {
    this.#options = options;
    this.#staleMarks = new StaleMarks(options);
  }

  /** Records tasks with the node tasks that they became; idempotent. */
  async register(tasks: readonly TaskRow[]): Promise<void> {
    if (tasks.length === 0) return;
    const { store, fence, settings, onOpenNodeTasks } = this.#options;
    const rows: TaskRow[] = [];
    for (const some of batches(tasks, REGISTER_BATCH))
      rows.push(...(await store.tasks.upsert(some, fence())));
    const open = new Map<NodeId, number[]>();
    for (const row of rows) {
      this.#rebuilt.delete(row.uid);
      for (const { nodeId, nodeTaskUid, status } of row.nodeTasks) {
        if (isFinalStatus(status)) continue;
        const uids = open.get(nodeId);
        if (uids === undefined) open.set(nodeId, [nodeTaskUid]);
        else uids.push(nodeTaskUid);
      }
      if (row.type === "settingsUpdate" && !isFinalStatus(row.status) && row.instance !== null) {
        await settings.opened(row.instance, row.uid);
      }
    }
    for (const [nodeId, uids] of open) onOpenNodeTasks(nodeId, uids);
    await this.settle(rows);
  }

  /** Merges what a node's log says; resolves with what belongs to no recorded task. */
  async apply(updates: readonly NodeTaskUpdate[]): Promise<readonly NodeTaskUpdate[]> {
    const { store, fence } = this.#options;
    const unknown: NodeTaskUpdate[] = [];
    try {
      for (const some of batches(updates)) {
        const result = await store.tasks.applyNodeTaskUpdates(some, fence());
        await this.settle(result.changed);
        unknown.push(...result.unknown);
      }
    } catch (error) {
      // The updates may be stored by now; told once more they change nothing, and nobody would judge their tasks.
      this.#settleAllLater();
      throw error;
    }
    return unknown;
  }

  /** Brings client tasks up to their node tasks. */
  async settle(rows: readonly TaskRow[]): Promise<void> {
    const { topology, settings, lookup } = this.#options;
    const current = topology.current();
    const ready: { row: TaskRow; verdict: TaskVerdict }[] = [];
    for (const row of rows) {
      if (isFinalStatus(row.status) || this.#rebuilt.has(row.uid)) continue;
      const index = lookup.find(current, row.instance);
      const verdict = aggregateTask(row, index === undefined ? undefined : indexReplicas(index));
      if (!isFinalStatus(verdict.status)) {
        if (verdict.status !== row.status || verdict.startedAt !== row.startedAt)
          ready.push({ row, verdict });
      } else if (row.type === "settingsUpdate" && index !== undefined) settings.decide(row, verdict);
      else ready.push({ row, verdict });
    }
    await this.conclude(ready);
  }

  /** Records verdicts; those of final tasks with all that follows from them. */
  async conclude(
    verdicts: readonly { readonly row: TaskRow; readonly verdict: TaskVerdict }[],
  ): Promise<void> {
    if (verdicts.length === 0) return;
    const { store, fence, world, onWritten } = this.#options;
    await this.#publishConsequences(verdicts);
    const finished = verdicts.filter(({ verdict }) => isFinalStatus(verdict.status));
    await this.#staleMarks.known(new Set(finished.flatMap(({ row }) => row.instance ?? [])));
    const concluded = verdicts.map(({ row, verdict }) => ({
      ...row,
      status: verdict.status,
      error: verdict.error,
      detailsJson: verdict.detailsJson,
      startedAt: verdict.startedAt ?? (isFinalStatus(verdict.status) ? world.clock.now() : null),
      finishedAt: isFinalStatus(verdict.status) ? (verdict.finishedAt ?? world.clock.now()) : null,
      nodeTasks: [],
    }));
    for (const some of batches(concluded)) await store.tasks.upsert(some, fence());
    for (const { row, verdict } of verdicts) {
      if (row.instance === null || verdict.status !== "succeeded" || row.type === "indexCompaction") continue;
      onWritten(row.instance, verdict.finishedAt ?? world.clock.now());
    }
  }

  /** Judges an index's open tasks again: the set of replicas that count has changed. */
  async settleIndex(indexUid: string): Promise<void> {
    await this.#settleOpen({ indexUids: [indexUid] });
  }

  /** Judges every open task: what became final while nobody was looking is recorded now. */
  async settleAll(): Promise<void> {
    await this.#settleOpen({});
  }

  /** Judges every open task in a moment, and again until that has succeeded or this process leads no more. */
  #settleAllLater(): void {
    if (this.#settlesLater) return;
    this.#settlesLater = true;
    const { world, logger } = this.#options;
    world.timers.after(SETTLE_AGAIN_MS, () => {
      this.#settlesLater = false;
      this.settleAll().catch((error: unknown) => {
        if (error instanceof NotLeaderError || error instanceof FencedError) return;
        logger.warn({ err: error }, "open tasks could not be judged again; trying later");
        this.#settleAllLater();
      });
    });
  }

  /** Records client tasks that only their node tasks tell of, and looks for their other node tasks. */
  async rebuild(nodeId: NodeId, lost: readonly LostTask[]): Promise<void> {
    const { store, fence, logger } = this.#options;
    const rows = new Map<TaskUid, TaskRow>();
    for (const { record, metadata } of lost) {
      const row = this.#rebuiltRow(taskUid(metadata.taskUid), record);
      if (row !== undefined && !rows.has(row.uid)) rows.set(row.uid, row);
    }
    const known = new Set((await store.tasks.getMany([...rows.keys()])).map((row) => row.uid));
    const missing = [...rows.values()].filter((row) => !known.has(row.uid));
    for (const row of missing) this.#rebuilt.add(row.uid);
    logger.warn(
      { node: nodeId, tasks: missing.map((row) => row.uid).slice(0, 20), count: missing.length },
      "tasks were never registered; rebuilt from the metadata of their node tasks",
    );
    try {
      for (const some of batches(missing)) await store.tasks.upsert(some, fence());
      await this.apply(lost.map(({ record }) => updateOf(nodeId, record)));
      // What was applied by an earlier attempt, of which no answer came, changes nothing now and is judged all the same.
      await this.settle(await store.tasks.getMany([...known]));
      if (missing.length === 0) return;
      const elsewhere = (await this.#options.listUnfinished()).filter(({ metadata }) =>
        this.#rebuilt.has(taskUid(metadata.taskUid)),
      );
      await this.apply(elsewhere.map((task) => updateOf(task.nodeId, task.record)));
      for (const task of elsewhere) this.#options.onOpenNodeTasks(task.nodeId, [task.record.uid]);
    } finally {
      // Also where this attempt has failed: the next one finds the tasks recorded, and waits for nothing.
      if (missing.length > 0) this.#settleRebuiltLater(missing.map((row) => row.uid));
    }
  }

  #settleRebuiltLater(uids: readonly TaskUid[]): void {
    const { world, store, logger } = this.#options;
    world.timers.after(REBUILD_SETTLE_MS, async () => {
      for (const uid of uids) this.#rebuilt.delete(uid);
      try {
        await this.settle(await store.tasks.getMany(uids));
      } catch (error) {
        logger.warn({ err: error }, "could not settle rebuilt tasks; trying later");
        this.#settleAllLater();
      }
    });
  }

  async #settleOpen(filter: { readonly indexUids?: readonly string[] }): Promise<void> {
    const { store } = this.#options;
    let from: TaskUid | undefined;
    do {
      const page = await store.tasks.list(
        { ...filter, statuses: ["enqueued", "processing"] },
        { limit: PAGE, reverse: true, ...(from === undefined ? {} : { from }) },
      );
      await this.settle(page.tasks);
      from = page.next;
    } while (from !== undefined);
  }

  /** What must be in the topology before anybody sees these tasks as final. */
  async #publishConsequences(
    verdicts: readonly { readonly row: TaskRow; readonly verdict: TaskVerdict }[],
  ): Promise<void> {
    const { topology, logger } = this.#options;
    const divergent = verdicts.filter(({ verdict }) => verdict.divergent.length > 0);
    const keys = verdicts.flatMap(({ row, verdict }) =>
      row.type === "indexUpdate" && verdict.status === "succeeded" ? primaryKeyOf(row) : [],
    );
    if (divergent.length === 0 && keys.length === 0) return;
    for (const { row, verdict } of divergent) {
      logger.warn(
        { task: row.uid, index: row.indexUid, nodes: verdict.divergent },
        "replicas disagree about a task; the odd ones are suspect",
      );
    }
    const next = await topology.change("outcome of tasks", (draft) => {
      for (const { row, verdict } of divergent) {
        if (row.instance !== null) markSuspect(draft, row.instance, verdict.divergent);
      }
      for (const { instance, primaryKey } of keys) {
        const index = findInstance(draft, instance);
        if (index !== undefined) index.primaryKey = primaryKey;
      }
    });
    if (next.epoch !== undefined) await this.#options.acknowledged?.(next.epoch);
  }

  #rebuiltRow(uid: TaskUid, record: NodeTaskRecord): TaskRow | undefined {
    const type = knownType(record.type);
    if (type === undefined) return undefined;
    const physical = parsePhysicalName(record.indexUid ?? "");
    const instance = physical === undefined ? null : indexInstance(physical.instance);
    const index = this.#options.lookup.find(this.#options.topology.current(), instance);
    return enqueuedTask({
      uid,
      indexUid: index?.uid ?? null,
      instance,
      type,
      detailsJson: null,
      enqueuedAt: nodeTimeMs(record.enqueuedAt) ?? this.#options.world.clock.now(),
    });
  }
}

function primaryKeyOf(row: TaskRow): { readonly instance: string; readonly primaryKey: string }[] {
  if (row.instance === null || row.detailsJson === null) return [];
  const { primaryKey } = JSON.parse(row.detailsJson) as { primaryKey?: unknown };
  return typeof primaryKey === "string" ? [{ instance: row.instance, primaryKey }] : [];
}

/** What the store takes in one call. */
function* batches<T>(entries: readonly T[], size = PAGE): Iterable<readonly T[]> {
  for (let at = 0; at < entries.length; at += size) yield entries.slice(at, at + size);
}
