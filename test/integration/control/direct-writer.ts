import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  NodeTaskSchema,
  type Task,
  TaskSchema,
  TaskStatus,
  TaskType,
} from "../../../src/gen/miroir/v1/tasks_pb.js";
import { type Index, ReplicaState } from "../../../src/gen/miroir/v1/topology_pb.js";
import type { EnqueuedTask } from "../../../src/meilisearch/node-client.js";
import { formatTaskMetadata } from "../../../src/meilisearch/task-metadata.js";
import { sequenceCode, shardCode } from "../../../src/placement/injected-fields.js";
import { physicalName } from "../../../src/placement/physical-name.js";
import { createShardHasher } from "../../../src/placement/shard.js";
import { toNodeSettings } from "../../../src/settings/canonical-settings.js";
import type { Harness } from "./control-harness.js";

/** Sends writes to the nodes as an index's writer does, one at a time, so that suites can leave steps out. */
export class DirectWriter {
  readonly session: string;
  readonly #harness: Harness;
  #sequence = 0;
  readonly #previous = new Map<string, number>();

  constructor(harness: Harness, session = "direct") {
    this.#harness = harness;
    this.session = session;
  }

  /** The task that adding these documents makes; `register` records it. */
  async add(
    indexUid: string,
    documents: readonly Record<string, unknown>[],
    skipNodes: readonly string[] = [],
  ): Promise<Task> {
    const index = this.#index(indexUid);
    const hasher = await createShardHasher();
    const uid = await this.#uid();
    this.#sequence += 1;
    const byShard = new Map<number, Record<string, unknown>[]>();
    for (const document of documents) {
      const shard = hasher.shardOf(String(document.id), index.shards);
      const injected = {
        ...document,
        _miroir_shard: shardCode(shard),
        _miroir_seq: sequenceCode(this.#sequence),
      };
      byShard.set(shard, [...(byShard.get(shard) ?? []), injected]);
    }
    const nodeTasks = [];
    for (const nodeId of this.#inSync(index)) {
      if (skipNodes.includes(nodeId)) continue;
      const shards = [...byShard.keys()].filter((shard) => index.placement[shard]?.nodeIds.includes(nodeId));
      if (shards.length === 0) continue;
      const body = shards.flatMap((shard) => byShard.get(shard) ?? []);
      const sent = await this.#send(index, nodeId, uid, "POST", "documents", body);
      nodeTasks.push(
        create(NodeTaskSchema, { nodeId, nodeTaskUid: sent.taskUid, status: TaskStatus.ENQUEUED, shards }),
      );
    }
    return create(TaskSchema, {
      uid: BigInt(uid),
      indexUid,
      instance: index.instance,
      type: TaskType.DOCUMENT_ADDITION_OR_UPDATE,
      status: TaskStatus.ENQUEUED,
      detailsJson: JSON.stringify({ receivedDocuments: documents.length, indexedDocuments: null }),
      enqueuedAt: timestampFromMs(Date.now()),
      nodeTasks,
      documentsByShard: Object.fromEntries([...byShard].map(([shard, list]) => [shard, BigInt(list.length)])),
    });
  }

  /** The task that deleting by filter makes on every node. */
  async deleteByFilter(indexUid: string, filter: string): Promise<Task> {
    const index = this.#index(indexUid);
    const uid = await this.#uid();
    this.#sequence += 1;
    const nodeTasks = [];
    for (const nodeId of this.#inSync(index)) {
      const sent = await this.#send(index, nodeId, uid, "POST", "documents/delete", { filter });
      nodeTasks.push(
        create(NodeTaskSchema, { nodeId, nodeTaskUid: sent.taskUid, status: TaskStatus.ENQUEUED }),
      );
    }
    return create(TaskSchema, {
      uid: BigInt(uid),
      indexUid,
      instance: index.instance,
      type: TaskType.DOCUMENT_DELETION,
      status: TaskStatus.ENQUEUED,
      detailsJson: JSON.stringify({
        providedIds: 0,
        deletedDocuments: null,
        originalFilter: JSON.stringify(filter),
      }),
      enqueuedAt: timestampFromMs(Date.now()),
      nodeTasks,
    });
  }

  /** The task that a settings change makes; `only` restricts it to some nodes. */
  async settings(indexUid: string, patch: Record<string, unknown>, only?: readonly string[]): Promise<Task> {
    const index = this.#index(indexUid);
    const uid = await this.#uid();
    const nodeTasks = [];
    for (const nodeId of only ?? this.#inSync(index)) {
      const sent = await this.#harness
        .admin(nodeId)
        .updateSettings(physicalName(index.instance, index.generation), toNodeSettings(patch));
      nodeTasks.push(
        create(NodeTaskSchema, { nodeId, nodeTaskUid: sent.taskUid, status: TaskStatus.ENQUEUED }),
      );
    }
    return create(TaskSchema, {
      uid: BigInt(uid),
      indexUid,
      instance: index.instance,
      type: TaskType.SETTINGS_UPDATE,
      status: TaskStatus.ENQUEUED,
      detailsJson: JSON.stringify(patch),
      enqueuedAt: timestampFromMs(Date.now()),
      nodeTasks,
    });
  }

  async register(...tasks: Task[]): Promise<void> {
    await this.#harness.tasks.registerTasks({ session: this.session, tasks });
  }

  #index(uid: string): Index {
    const index = this.#harness.topology.current().indexes.find((candidate) => candidate.uid === uid);
    if (index === undefined) throw new Error(`no index ${uid}`);
    return index;
  }

  #inSync(index: Index): string[] {
    return index.replicas.filter(({ state }) => state === ReplicaState.IN_SYNC).map(({ nodeId }) => nodeId);
  }

  async #uid(): Promise<number> {
    const { firstUid } = await this.#harness.tasks.allocateTaskUids({ count: 1, session: this.session });
    return Number(firstUid);
  }

  async #send(
    index: Index,
    nodeId: string,
    taskUid: number,
    method: "POST",
    path: string,
    body: unknown,
  ): Promise<EnqueuedTask> {
    const lane = `${nodeId}/${index.instance}`;
    const metadata = formatTaskMetadata({
      session: this.session,
      sequence: this.#sequence,
      previous: this.#previous.get(lane) ?? 0,
      taskUid,
    });
    this.#previous.set(lane, this.#sequence);
    return (await this.#harness.writer(nodeId).json({
      method,
      path: `/indexes/${physicalName(index.instance, index.generation)}/${path}?customMetadata=${encodeURIComponent(metadata)}`,
      body: JSON.stringify(body),
      contentType: "application/json",
    })) as EnqueuedTask;
  }
}
