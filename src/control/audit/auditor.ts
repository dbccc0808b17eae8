import type { Logger } from "pino";
import { canonicalJson } from "../../json/canonical.js";
import type { NodeClient, NodeTaskRecord } from "../../meilisearch/node-client.js";
import type { TaskMetadata } from "../../meilisearch/task-metadata.js";
import { NEW_GENERATION, parsePhysicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import { initialNodeSettings } from "../../settings/canonical-settings.js";
import {
  type FencingToken,
  type IndexInstance,
  indexInstance,
  type NodeId,
  nodeId,
  nodeTaskUid,
  type TaskStore,
} from "../../store/task-store.js";
import type { ControlMetrics } from "../metrics.js";
import { PROBE_PREFIX } from "../nodes/same-server.js";
import { findInstance, markSuspect } from "../tasks/index-replicas.js";
import type { TaskRegistry } from "../tasks/task-registry.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { AuditTuning, LostTask } from "./audit-options.js";
import { NodeAudit } from "./node-audit.js";
import { NodeLog } from "./node-log.js";
import { lostUpdate } from "./node-task-updates.js";

/** What {@link Auditor} works with. */
export interface AuditorOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  readonly tuning: AuditTuning;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  readonly registry: () => TaskRegistry;
  /** Makes a node suspect for a reason. */
  readonly suspect: (nodeId: string, reason: string) => Promise<void>;
  /** A node's connection broke, or it refused its key. */
  readonly lostTouch: (nodeId: string) => void;
  /** Settings of an index were changed by a task that nobody registered. */
  readonly reconcileSettings: (instance: IndexInstance) => void;
}

/** Tasks that are looked up at once. */
const LOOK_UP = 1_000;
/** The details of the settings change that every new index is sent. */
const INITIAL_DETAILS = canonicalJson(initialNodeSettings());

/** One audit loop per node, and what follows from what the loops find. */
export class Auditor {
  readonly #options: AuditorOptions;
  readonly #audits = new Map<string, NodeAudit>();

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  /** Follows the logs of these nodes from now on. */
  async start(nodeIds: readonly string[]): Promise<void> {
    for (const id of nodeIds) {
      const audit = this.#create(nodeId(id));
      this.#audits.set(id, audit);
      await audit.start();
    }
  }

  /** Follows a node's log no more, and fails what was open there. */
  async remove(id: string): Promise<void> {
    const audit = this.#audits.get(id);
    this.#audits.delete(id);
    await audit?.stop();
    await this.#failOpenTasks(nodeId(id), `Node ${id} has left the fleet.`);
    await this.#options.store.nodeCursors.delete(nodeId(id), this.#options.fence());
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#audits.values()].map((audit) => audit.stop()));
  }

  /** Node tasks have been recorded that are not final yet. */
  registered(id: NodeId, uids: readonly number[]): void {
    this.#audits.get(id)?.registered(uids);
  }

  /** Compares a node's log with the one that was followed before. */
  async verify(id: string): Promise<void> {
    await this.#audits.get(id)?.verify();
  }

  /** Reads what the logs of all nodes hold by now; those that cannot be read are passed over. */
  async refresh(): Promise<void> {
    await Promise.allSettled([...this.#audits.values()].map((audit) => audit.refresh()));
  }

  /** Resolves when every task of the node that is open now is final; undefined where none is. */
  settled(id: string): Promise<void> | undefined {
    const audit = this.#audits.get(id);
    return audit === undefined || audit.openTasks === 0 ? undefined : audit.settled();
  }

  /**
   * Whose documents the tasks touch that were open on a node when its connection broke, by instance of an index: shards, or `"all"` that
   * the node holds. Asking forgets them.
   */
  async takeInterrupted(id: string): Promise<ReadonlyMap<string, readonly number[] | "all">> {
    const { tasks } = this.#options.store;
    const uids = (this.#audits.get(id)?.takeInterrupted() ?? []).map(nodeTaskUid);
    const touched = new Map<string, ReadonlySet<number> | "all">();
    for (let at = 0; at < uids.length; at += LOOK_UP) {
      const asked = uids.slice(at, at + LOOK_UP);
      const refs = asked.map((uid) => ({ nodeId: nodeId(id), nodeTaskUid: uid }));
      const found = (await tasks.findByNodeTasks(refs)).filter((uid) => uid !== undefined);
      for (const { instance, nodeTasks, type } of await tasks.getMany(found)) {
        if (instance === null || !type.startsWith("document")) continue;
        for (const { shards, ...task } of nodeTasks) {
          if (task.nodeId !== id || !asked.includes(task.nodeTaskUid)) continue;
          const known = touched.get(instance) ?? new Set();
          const isAll = known === "all" || shards.length === 0;
          touched.set(instance, isAll ? "all" : new Set([...known, ...shards]));
        }
      }
    }
    return new Map(
      [...touched].map(([instance, shards]) => [instance, shards === "all" ? shards : [...shards]]),
    );
  }

  /** Node tasks that Miroir waits for, by node. */
  openTaskCounts(): ReadonlyMap<string, number> {
    return new Map([...this.#audits].map(([id, audit]) => [id, audit.openTasks]));
  }

  /** Unfinished tasks with metadata, in the logs of all nodes that answer. */
  async listUnfinished(): Promise<readonly (LostTask & { readonly nodeId: NodeId })[]> {
    const lists = await Promise.allSettled(
      [...this.#audits].map(async ([id, audit]) =>
        (await audit.unfinished()).map((task) => ({ ...task, nodeId: nodeId(id) })),
      ),
    );
    return lists.flatMap((list) => (list.status === "fulfilled" ? list.value : []));
  }

  #create(id: NodeId): NodeAudit {
    const { store, fence, world, logger, metrics, tuning, admin, registry } = this.#options;
    const log = new NodeLog(
      () => admin(id),
      () => metrics.auditRequests.inc({ node: id }),
    );
    return new NodeAudit({
      nodeId: id,
      log,
      store,
      fence,
      world,
      logger,
      metrics,
      tuning,
      sink: {
        apply: (updates) => registry().apply(updates),
        rebuild: (node, lost) => registry().rebuild(node, lost),
        judgeUnregistered: (node, record) => this.#judge(node, record),
        missingWrite: (node, record, metadata) => this.#missingWrite(node, record, metadata),
        logReplaced: (node, reason) => this.#logReplaced(node, reason),
        lostTouch: (node) => this.#options.lostTouch(node),
      },
    });
  }

  /**
   * What a task is that carries no metadata and that nobody registered. Work on whole indexes is Miroir's own: it
   * creates, changes, renames and deletes them under names that nobody else makes. Document writes are not, and what touches one
   * of the catalogue's indexes makes its replica suspect.
   */
  async #judge(id: NodeId, record: NodeTaskRecord): Promise<"control" | "unexpected"> {
    if (record.indexUid === null || record.indexUid.startsWith(PROBE_PREFIX)) return "control";
    const physical = parsePhysicalName(record.indexUid);
    if (physical === undefined) return this.#unexpected(id, record, "index");
    if (physical.generation === NEW_GENERATION) return "control";
    const isDocumentWrite = record.type.startsWith("document");
    const index = findInstance(this.#options.topology.current(), physical.instance);
    if (isDocumentWrite && index !== undefined) {
      await this.#suspectReplica(
        id,
        physical.instance,
        `node task ${record.uid} was written by somebody else`,
      );
      await this.#options.suspect(id, `unexpected ${record.type} ${record.uid} on ${record.indexUid}`);
      return this.#unexpected(id, record, "write");
    }
    if (index === undefined || record.status !== "failed") {
      if (record.type === "settingsUpdate" && index !== undefined) this.#reconcile(physical.instance, record);
      return "control";
    }
    if (record.type === "indexCreation" || record.type === "settingsUpdate") {
      const reason = `${record.type} failed: ${record.error?.message ?? "unknown"}`;
      await this.#suspectReplica(id, physical.instance, reason);
    }
    return "control";
  }

  /** The settings that every new index is sent are known; another change without a task is looked into. */
  #reconcile(instance: string, record: NodeTaskRecord): void {
    if (canonicalJson(record.details ?? {}) === INITIAL_DETAILS) return;
    this.#options.reconcileSettings(indexInstance(instance));
  }

  #unexpected(id: NodeId, record: NodeTaskRecord, reason: string): "unexpected" {
    this.#options.metrics.unexpectedTasks.inc({ node: id, reason });
    this.#options.logger.warn(
      { node: id, nodeTask: record.uid, type: record.type, physicalIndex: record.indexUid, reason },
      "a node ran a task that Miroir did not send",
    );
    return "unexpected";
  }

  async #missingWrite(id: NodeId, record: NodeTaskRecord, metadata: TaskMetadata): Promise<void> {
    this.#options.metrics.unexpectedTasks.inc({ node: id, reason: "gap" });
    this.#options.logger.warn(
      { node: id, nodeTask: record.uid, session: metadata.session, missing: metadata.previous },
      "a write is missing in a node's log",
    );
    const physical = parsePhysicalName(record.indexUid ?? "");
    if (physical !== undefined) {
      await this.#suspectReplica(id, physical.instance, `write ${metadata.previous} is missing`);
    }
  }

  /** Nothing that the node was sent before can be relied on; its open tasks will never finish. */
  async #logReplaced(id: NodeId, reason: string): Promise<void> {
    const { topology, metrics, suspect } = this.#options;
    metrics.unexpectedTasks.inc({ node: id, reason: "log_replaced" });
    await topology.change(`node ${id} lost its task log`, (draft) => {
      for (const index of draft.indexes) markSuspect(draft, index.instance, [id]);
    });
    await suspect(id, `another database answers: ${reason}`);
    await this.#failOpenTasks(id, `Node ${id} lost the task: another database answers under its address.`);
  }

  /** What a node was asked for and will never finish. */
  async #failOpenTasks(id: NodeId, message: string): Promise<void> {
    const { store, registry } = this.#options;
    for (;;) {
      const open = await store.tasks.openNodeTasks(id, { limit: 1_000 });
      if (open.length === 0) return;
      await registry().apply(
        open.map(({ nodeTaskUid, taskUid }) => ({ ...lostUpdate(id, nodeTaskUid, message), taskUid })),
      );
    }
  }

  async #suspectReplica(id: NodeId, instance: string, reason: string): Promise<void> {
    const { topology, logger } = this.#options;
    if (findInstance(topology.current(), instance) === undefined) return;
    logger.warn({ node: id, instance, reason }, "replica is suspect");
    await topology.change(`replica of ${instance} on ${id} is suspect: ${reason}`.slice(0, 200), (draft) => {
      markSuspect(draft, instance, [id]);
    });
  }
}
