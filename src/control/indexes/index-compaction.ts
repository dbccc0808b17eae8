import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { parseBytes, printBytes } from "../../meilisearch/byte-size.js";
import { errorLink, MeilisearchError } from "../../meilisearch/errors.js";
import type { EnqueuedTask, NodeClient, NodeTaskRecord } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import {
  type IndexInstance,
  indexInstance,
  isFinalStatus,
  type TaskErrorRow,
  type TaskRow,
  type TaskStatus,
  type TaskStore,
  taskUid,
} from "../../store/task-store.js";
import { cleanError } from "../tasks/aggregate.js";
import { enqueuedTask } from "../tasks/enqueued-task.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TaskRegistry } from "../tasks/task-registry.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** What {@link IndexCompaction} works with. */
export interface IndexCompactionOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly registry: TaskRegistry;
  readonly admin: (nodeId: string) => NodeClient;
  readonly world: World;
  readonly logger: Logger;
  /** How long a node that does not answer is waited for before it is left out. Milliseconds; 60,000 unless given. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 60_000;
const POLL_MS = 50;
const MAX_POLL_MS = 1_000;
const RETRY_MS = 500;
/** Compactions waiting for their turn. */
const MAX_WAITING = 1_000;
/** Names that an index may be given while a node is asked to compact it. */
const MAX_NAMES = 20;

/** What compacting an index on one node came to; undefined where the node was left out. */
type NodeOutcome = Pick<NodeTaskRecord, "details" | "error"> | undefined;

/**
 * Compacts indexes on the nodes that hold them. A node runs a compaction before its ordinary tasks, and writes wait for it, so
 * only one node of the fleet compacts at any time (design §12). Contents stay as they are, so the task needs no place in the index's
 * order (invariant 6). It is recorded before it runs, and safe to run again.
 */
export class IndexCompaction {
  readonly #options: IndexCompactionOptions;
  readonly #waiting = new Set<number>();
  readonly #stopping = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(options: IndexCompactionOptions) {
    this.#options = options;
  }

  /** Records the task, which runs when those before it are done. */
  async enqueue(uid: number, indexUid: string): Promise<void> {
    const { store, topology, registry, world } = this.#options;
    if ((await store.tasks.get(taskUid(uid))) !== undefined) return;
    if (this.#waiting.size >= MAX_WAITING) {
      throw new ConnectError(`${MAX_WAITING} compactions are waiting`, Code.ResourceExhausted);
    }
    const index = topology.current().indexes.find((candidate) => candidate.uid === indexUid);
    const row = enqueuedTask({
      uid: taskUid(uid),
      indexUid,
      instance: index === undefined ? null : indexInstance(index.instance),
      type: "indexCompaction",
      detailsJson: "{}",
      enqueuedAt: world.clock.now(),
    });
    await registry.register([row]);
    this.#append(row);
  }

  /** Takes up the tasks that were open when the control plane stopped. */
  async resume(): Promise<void> {
    const { tasks } = await this.#options.store.tasks.list(
      { types: ["indexCompaction"], statuses: ["enqueued", "processing"] },
      { limit: MAX_WAITING, reverse: true },
    );
    for (const row of tasks) this.#append(row);
  }

  /** Ends what is under way; it is taken up again by {@link resume}. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the control plane stops"));
    await this.#last;
  }

  #append(row: TaskRow): void {
    if (this.#waiting.has(row.uid)) return;
    this.#waiting.add(row.uid);
    this.#last = this.#last.then(() => this.#untilDone(row)).finally(() => this.#waiting.delete(row.uid));
  }

  async #untilDone(row: TaskRow): Promise<void> {
    const { world, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#run(row);
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error, task: row.uid }, "an index could not be compacted yet");
      }
      await world.timers.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  async #run(row: TaskRow): Promise<void> {
    const { world } = this.#options;
    const startedAt = world.clock.now();
    const index = this.#index(row.instance);
    if (index === undefined) return this.#conclude(row, "failed", startedAt, [], notFound(row.indexUid));
    await this.#conclude(row, "processing", startedAt, []);
    const outcomes: NonNullable<NodeOutcome>[] = [];
    for (const nodeId of nodesOf(index)) {
      const outcome = await this.#onNode(index.instance, nodeId);
      if (outcome !== undefined) outcomes.push(outcome);
    }
    if (this.#index(row.instance) === undefined) {
      return this.#conclude(row, "failed", startedAt, [], notFound(row.indexUid));
    }
    const failed = outcomes.find(({ error }) => error !== null);
    if (failed !== undefined || outcomes.length === 0) {
      const error = failed?.error ?? noNode(row.indexUid);
      return this.#conclude(row, "failed", startedAt, [], cleanError(error, row.indexUid));
    }
    await this.#conclude(row, "succeeded", startedAt, outcomes);
  }

  #index(instance: IndexInstance | null): Index | undefined {
    return findInstance(this.#options.topology.current(), instance);
  }

  /** Compacts on one node, under the name that the index has there by then. */
  async #onNode(instance: string, nodeId: string): Promise<NodeOutcome> {
    const { world, logger, patienceMs = PATIENCE_MS } = this.#options;
    let heard = world.clock.monotonic();
    for (let names = 0; names < MAX_NAMES; ) {
      this.#stopping.signal.throwIfAborted();
      const index = findInstance(this.#options.topology.current(), instance);
      const isHeld = index?.replicas.some(
        (replica) => replica.nodeId === nodeId && replica.state === ReplicaState.IN_SYNC,
      );
      if (index === undefined || isHeld !== true) return undefined;
      try {
        const outcome = await this.#compact(nodeId, physicalName(index.instance, index.generation));
        if (outcome?.error?.code !== "index_not_found") return outcome;
        names++;
        heard = world.clock.monotonic();
      } catch (error) {
        if (error instanceof MeilisearchError) return { details: null, error: error.body };
        if (!(error instanceof NodeUnavailableError)) throw error;
        if (world.clock.monotonic() - heard > patienceMs) {
          logger.warn(
            { err: error, node: nodeId, instance },
            "an index was not compacted on a node that is away",
          );
          return undefined;
        }
      }
      await world.timers.sleep(RETRY_MS, this.#stopping.signal);
    }
    return undefined;
  }

  async #compact(nodeId: string, name: string): Promise<NodeOutcome> {
    const { admin, world } = this.#options;
    const node = admin(nodeId);
    const { taskUid: uid } = (await node.json({
      method: "POST",
      path: `/indexes/${name}/compact`,
    })) as EnqueuedTask;
    for (let pause = POLL_MS; ; pause = Math.min(pause * 1.5, MAX_POLL_MS)) {
      await world.timers.sleep(pause, this.#stopping.signal);
      try {
        const task = await node.task(uid);
        if (task.status === "canceled") return { details: null, error: canceled() };
        if (isFinalStatus(task.status)) return task;
      } catch (error) {
        // Finished tasks are pruned from a node's log.
        if (error instanceof MeilisearchError && error.body.code === "task_not_found") return undefined;
        throw error;
      }
    }
  }

  async #conclude(
    row: TaskRow,
    status: TaskStatus,
    startedAt: number,
    outcomes: readonly NonNullable<NodeOutcome>[],
    error: TaskErrorRow | null = null,
  ): Promise<void> {
    const { registry, world } = this.#options;
    await registry.conclude([
      {
        row,
        verdict: {
          status,
          error,
          detailsJson: detailsOf(outcomes),
          startedAt,
          finishedAt: isFinalStatus(status) ? world.clock.now() : null,
          divergent: [],
        },
      },
    ]);
  }
}

/** Nodes with a replica that is read, in an order that every run has alike. */
function nodesOf(index: Index): readonly string[] {
  return index.replicas.map(({ nodeId }) => nodeId).sort();
}

/** Sizes over all nodes that have compacted; none before the end. */
function detailsOf(outcomes: readonly NonNullable<NodeOutcome>[]): string {
  const sum = (member: "preCompactionSize" | "postCompactionSize"): string =>
    printBytes(
      outcomes.reduce((total, { details }) => total + (parseBytes(String(details?.[member])) ?? 0), 0),
    );
  return outcomes.length === 0
    ? "{}"
    : JSON.stringify({
        preCompactionSize: sum("preCompactionSize"),
        postCompactionSize: sum("postCompactionSize"),
      });
}

function notFound(indexUid: string | null): TaskErrorRow {
  return failure("index_not_found", `Index \`${indexUid}\` not found.`, "invalid_request");
}

function noNode(indexUid: string | null): TaskErrorRow {
  return failure("internal", `No node that holds index \`${indexUid}\` could compact it.`, "internal");
}

function canceled(): TaskErrorRow {
  return failure("internal", "A node's own task was canceled past Miroir.", "internal");
}

function failure(code: string, message: string, type: string): TaskErrorRow {
  return { message, code, type, link: errorLink(code) };
}
