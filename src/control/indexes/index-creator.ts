import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import {
  type Index,
  IndexSchema,
  ReplicaSchema,
  ReplicaState,
  ShardPlacementSchema,
  type Topology,
  type Writer,
} from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { newInstance, physicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import { DEFAULT_CLIENT_SETTINGS, initialNodeSettings } from "../../settings/canonical-settings.js";
import { type FencingToken, type TaskStore, workflowId } from "../../store/task-store.js";
import type { ControlMetrics } from "../metrics.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { choosePlacement, NoPlacementError, type PlacementChoice } from "./placement-choice.js";

/** The index cannot be created now; nothing of it is left in the catalogue. Trying again later can succeed. */
export class IndexCreationError extends Error {
  override readonly name = "IndexCreationError";
}

/** A node has left the fleet while an index was being created on it. */
class NodeGoneError extends Error {
  constructor(readonly nodeId: string) {
    super(`node ${nodeId} has left the fleet`);
  }
}

/** What index is to be created. */
export interface NewIndex {
  readonly uid: string;
  readonly primaryKey: string | undefined;
  /** Its writer from the beginning; the first one to claim it where none is given. */
  readonly writer?: Writer | undefined;
}

/** A task on a node that belongs to the creation of an index. */
export interface CreationTask {
  readonly nodeId: string;
  readonly nodeTaskUid: number;
}

/** An index that has been created and published. */
export interface CreatedIndex {
  readonly index: Index;
  readonly topology: Topology;
  /** The index creations on the nodes, which finish after this. */
  readonly nodeTasks: readonly CreationTask[];
}

/** What {@link IndexCreator} works with. */
export interface IndexCreatorOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  /** Milliseconds that a node may take to accept a request; 3,000 unless given. */
  readonly nodeTimeoutMs?: number;
}

/** Each attempt goes without the nodes that failed in the one before. */
const MAX_ATTEMPTS = 4;
const KIND = "create-index";

interface WorkflowState {
  readonly uid: string;
  readonly instance: string;
  readonly nodeIds: readonly string[];
  readonly nodeTasks: readonly CreationTask[];
  /** The client task that the creation is for. */
  readonly taskUid?: number;
}

type Sent =
  | { readonly kind: "accepted"; readonly tasks: readonly CreationTask[] }
  | { readonly kind: "failed"; readonly error: Error };

/**
 * Creates indexes on their nodes and publishes them in one epoch. What a node accepted is undone where another one
 * refuses or is silent, and the next attempt, under another instance, goes without that node. Each attempt is stored before it starts,
 * so that what a crash leaves on the nodes is found and removed (invariant 9).
 */
export class IndexCreator {
  readonly #options: IndexCreatorOptions;

  constructor(options: IndexCreatorOptions) {
    this.#options = options;
  }

  /**
   * A new index, whose uid the catalogue must not hold.
   *
   * @throws IndexCreationError
   */
  async create(wanted: NewIndex, taskUid?: number): Promise<CreatedIndex> {
    const { uid } = wanted;
    const unusable = new Set<string>();
    let last: Error | undefined;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const instance = newInstance(this.#options.world.random.bytes(8));
      let choice: PlacementChoice;
      try {
        choice = choosePlacement(this.#options.topology.current(), instance, unusable);
      } catch (error) {
        if (!(error instanceof NoPlacementError)) throw error;
        this.#options.metrics.indexCreations.inc({ outcome: "refused" });
        const why =
          last === undefined ? error.message : `${error.message}; the last failure: ${last.message}`;
        throw new IndexCreationError(`index ${uid} cannot be created: ${why}`, { cause: last ?? error });
      }
      const outcome = await this.#attempt(wanted, instance, choice, taskUid);
      if (outcome.kind === "created") {
        this.#options.metrics.indexCreations.inc({ outcome: "created" });
        return outcome.created;
      }
      this.#options.metrics.indexCreations.inc({ outcome: "rolled_back" });
      for (const [nodeId, error] of outcome.failures) {
        unusable.add(nodeId);
        last = error;
      }
    }
    throw new IndexCreationError(
      `index ${uid} cannot be created: nodes kept failing; the last failure: ${last?.message ?? "unknown"}`,
      { cause: last },
    );
  }

  /** The nodes' tasks of the creation that was stored for a client task; undefined where none was published. */
  async publishedFor(taskUid: number): Promise<CreatedIndex | undefined> {
    for (const workflow of await this.#options.store.workflows.listOpen()) {
      if (workflow.kind !== KIND) continue;
      const state = JSON.parse(workflow.stateJson) as WorkflowState;
      if (state.taskUid !== taskUid) continue;
      const topology = this.#options.topology.current();
      const index = topology.indexes.find((candidate) => candidate.instance === state.instance);
      if (index !== undefined) return { index, topology, nodeTasks: state.nodeTasks };
    }
    return undefined;
  }

  /** The client task of a creation has been recorded; the creation needs no memory any more. */
  async finished(created: CreatedIndex): Promise<void> {
    await this.#close(created.index.instance);
  }

  /**
   * Takes up after a crash: removes what unpublished creations left on the nodes, and gives back the published ones
   * whose client task may not be recorded; the caller records them and calls {@link finished}.
   */
  async recover(): Promise<readonly (CreatedIndex & { readonly taskUid: number })[]> {
    const unrecorded: (CreatedIndex & { readonly taskUid: number })[] = [];
    for (const workflow of await this.#options.store.workflows.listOpen()) {
      if (workflow.kind !== KIND) continue;
      const state = JSON.parse(workflow.stateJson) as WorkflowState;
      const topology = this.#options.topology.current();
      const index = topology.indexes.find((candidate) => candidate.instance === state.instance);
      if (index === undefined) {
        await this.#remove(state.instance, state.nodeIds);
      } else if (state.taskUid !== undefined) {
        unrecorded.push({ index, topology, nodeTasks: state.nodeTasks, taskUid: state.taskUid });
        continue;
      }
      await this.#close(state.instance);
    }
    return unrecorded;
  }

  async #attempt(
    wanted: NewIndex,
    instance: string,
    choice: PlacementChoice,
    taskUid: number | undefined,
  ): Promise<
    | { readonly kind: "created"; readonly created: CreatedIndex }
    | { readonly kind: "failed"; readonly failures: ReadonlyMap<string, Error> }
  > {
    const { uid, primaryKey } = wanted;
    const nodeIds = [...choice.replicas].flatMap(([id, state]) =>
      state === ReplicaState.IN_SYNC ? [id] : [],
    );
    const state: WorkflowState = {
      uid,
      instance,
      nodeIds,
      nodeTasks: [],
      ...(taskUid === undefined ? {} : { taskUid }),
    };
    await this.#remember(state, "create");
    const sent = await Promise.all(nodeIds.map((id) => this.#createOn(id, instance, primaryKey)));
    const failures = new Map(
      sent.flatMap((result, at) =>
        result.kind === "failed" ? [[nodeIds[at] as string, result.error] as const] : [],
      ),
    );
    if (failures.size > 0) {
      this.#options.logger.warn(
        { index: uid, nodes: [...failures.keys()], err: [...failures.values()][0] },
        "nodes failed while an index was created; it is taken back",
      );
      await this.#remove(instance, nodeIds);
      await this.#close(instance);
      return { kind: "failed", failures };
    }
    const nodeTasks = sent.flatMap((result) => (result.kind === "accepted" ? result.tasks : []));
    if (taskUid !== undefined) await this.#remember({ ...state, nodeTasks }, "publish");
    try {
      const topology = await this.#publish(wanted, instance, choice);
      const index = topology.indexes.find((candidate) => candidate.instance === instance);
      if (index === undefined) throw new Error(`the published topology lacks the new index ${uid}`);
      if (taskUid === undefined) await this.#close(instance);
      return { kind: "created", created: { index, topology, nodeTasks } };
    } catch (error) {
      if (error instanceof NodeGoneError) {
        await this.#remove(instance, nodeIds);
        await this.#close(instance);
        return { kind: "failed", failures: new Map([[error.nodeId, error]]) };
      }
      // The workflow stays open: whether the topology was stored is not always known here, but it is after a restart.
      const published = this.#options.topology.current().indexes.some((index) => index.instance === instance);
      if (!published) await this.#remove(instance, nodeIds);
      throw error;
    }
  }

  async #createOn(nodeId: string, instance: string, primaryKey: string | undefined): Promise<Sent> {
    const name = physicalName(instance, 1);
    const timeoutMs = this.#options.nodeTimeoutMs ?? 3_000;
    const body = { uid: name, ...(primaryKey === undefined ? {} : { primaryKey }) };
    const json = "application/json";
    try {
      const client = this.#options.admin(nodeId);
      const creation = (await client.json({
        method: "POST",
        path: "/indexes",
        body: JSON.stringify(body),
        contentType: json,
        timeoutMs,
      })) as { taskUid: number };
      await client.json({
        method: "PATCH",
        path: `/indexes/${name}/settings`,
        body: JSON.stringify(initialNodeSettings()),
        contentType: json,
        timeoutMs,
      });
      return { kind: "accepted", tasks: [{ nodeId, nodeTaskUid: creation.taskUid }] };
    } catch (error) {
      if (error instanceof MeilisearchError || error instanceof NodeUnavailableError) {
        return { kind: "failed", error };
      }
      throw error;
    }
  }

  #publish(
    { uid, primaryKey, writer }: NewIndex,
    instance: string,
    choice: PlacementChoice,
  ): Promise<Topology> {
    const now = timestampFromMs(this.#options.world.clock.now());
    const index = create(IndexSchema, {
      uid,
      instance,
      generation: 1n,
      ...(writer === undefined ? {} : { writer }),
      ...(primaryKey === undefined ? {} : { primaryKey }),
      shards: choice.placement.length,
      createdAt: now,
      updatedAt: now,
      settingsVersion: 1n,
      settingsJson: JSON.stringify(DEFAULT_CLIENT_SETTINGS),
      placement: choice.placement.map((nodeIds, shard) =>
        create(ShardPlacementSchema, { shard, nodeIds: [...nodeIds] }),
      ),
      replicas: [...choice.replicas].map(([nodeId, state]) => create(ReplicaSchema, { nodeId, state })),
    });
    return this.#options.topology.change(`index ${uid} is created`, (draft) => {
      if (draft.indexes.some((other) => other.uid === uid)) {
        throw new IndexCreationError(`index ${uid} exists already`);
      }
      const gone = [...choice.replicas.keys()].find((id) => !draft.nodes.some((node) => node.id === id));
      if (gone !== undefined) throw new NodeGoneError(gone);
      const at = draft.indexes.findIndex((other) => other.uid > uid);
      draft.indexes.splice(at === -1 ? draft.indexes.length : at, 0, index);
    });
  }

  /** Deletes a physical index wherever it may have been created; a node that does not answer keeps an empty one that nobody names. */
  async #remove(instance: string, nodeIds: readonly string[]): Promise<void> {
    const name = physicalName(instance, 1);
    const timeoutMs = this.#options.nodeTimeoutMs ?? 3_000;
    await Promise.all(
      nodeIds.map(async (nodeId) => {
        try {
          await this.#options.admin(nodeId).json({ method: "DELETE", path: `/indexes/${name}`, timeoutMs });
        } catch (error) {
          this.#options.logger.warn(
            { err: error, node: nodeId, physicalIndex: name },
            "could not take a half-created index back",
          );
        }
      }),
    );
  }

  async #remember(state: WorkflowState, step: string): Promise<void> {
    const { store, fence, world } = this.#options;
    const now = world.clock.now();
    const id = workflowId(`${KIND}/${state.instance}`);
    const held = await store.workflows.get(id);
    await store.workflows.put(
      {
        id,
        kind: KIND,
        step,
        stateJson: JSON.stringify(state),
        createdAt: held?.createdAt ?? now,
        updatedAt: now,
        finishedAt: null,
      },
      fence(),
    );
  }

  async #close(instance: string): Promise<void> {
    const { store, fence, world } = this.#options;
    const held = await store.workflows.get(workflowId(`${KIND}/${instance}`));
    if (held === undefined || held.finishedAt !== null) return;
    const now = world.clock.now();
    await store.workflows.put({ ...held, step: "done", updatedAt: now, finishedAt: now }, fence());
  }
}
