import type { ServiceImpl } from "@connectrpc/connect";
import type { BackupService } from "../gen/miroir/v1/backups_pb.js";
import type { CopyService } from "../gen/miroir/v1/copies_pb.js";
import type { ExportService } from "../gen/miroir/v1/exports_pb.js";
import type { FeatureService } from "../gen/miroir/v1/features_pb.js";
import type { IndexService } from "../gen/miroir/v1/indexes_pb.js";
import type { KeyService } from "../gen/miroir/v1/keys_pb.js";
import type { ResourceService } from "../gen/miroir/v1/resources_pb.js";
import type { SettingsService } from "../gen/miroir/v1/settings_pb.js";
import type { TaskService } from "../gen/miroir/v1/tasks_pb.js";
import type { NodeCredentials, Topology } from "../gen/miroir/v1/topology_pb.js";
import type { VerifyService } from "../gen/miroir/v1/verify_pb.js";
import type { WorkflowService } from "../gen/miroir/v1/workflows_pb.js";
import { createShardHasher } from "../placement/shard.js";
import type { TaskStore } from "../store/task-store.js";
import { createBackups } from "./backups/backups.js";
import { createFleetOperations, type FleetOperations } from "./cluster/fleet-operations.js";
import type { ControlPlaneOptions } from "./control-plane-options.js";
import { createCopyMetrics } from "./copy/copy-metrics.js";
import { CopyProgressBook } from "./copy/copy-progress.js";
import { createCopyService } from "./copy/copy-service.js";
import { DocumentReader } from "./documents/document-reader.js";
import { ExportTasks } from "./exports/export-tasks.js";
import { createFeatureService } from "./features/feature-service.js";
import { switchFeatures } from "./features/node-features.js";
import { IndexCompaction } from "./indexes/index-compaction.js";
import { IndexCreator } from "./indexes/index-creator.js";
import { IndexNames } from "./indexes/index-names.js";
import { createIndexService, recordCreation } from "./indexes/index-service.js";
import { UpdatedAt } from "./indexes/updated-at.js";
import { defaultKeys } from "./keys/default-keys.js";
import { createKeyService } from "./keys/key-service.js";
import { createControlMetrics } from "./metrics.js";
import { bootstrapNodes } from "./nodes/bootstrap-nodes.js";
import { enterNodes, nodesToBootstrap } from "./nodes/enter-nodes.js";
import type { FleetNodes } from "./nodes/fleet-nodes.js";
import { NodeDirectory } from "./nodes/node-directory.js";
import type { NodeHealth } from "./nodes/node-monitor.js";
import { NodeWatch } from "./nodes/node-watch.js";
import { OrphanCollection } from "./nodes/orphan-collection.js";
import { AutoRepair } from "./repair/auto-repair.js";
import { createResourceService } from "./resources/resource-service.js";
import { DriftCheck } from "./settings/drift-check.js";
import { SettingsCommits } from "./settings/settings-commits.js";
import { createSettingsService } from "./settings/settings-service.js";
import { IndexLookup } from "./tasks/index-replicas.js";
import { settleAfterChanges } from "./tasks/settle-after-changes.js";
import { TaskRegistry } from "./tasks/task-registry.js";
import { TaskRemoval } from "./tasks/task-removal.js";
import { RetentionLoop } from "./tasks/task-retention.js";
import { createTaskService } from "./tasks/task-service.js";
import { createVerifyService } from "./verify/verify-service.js";
import { enterConfiguredWebhook } from "./webhooks/configured-webhook.js";
import { announcing } from "./webhooks/finished-tasks.js";
import { WebhookFeed } from "./webhooks/webhook-feed.js";
import { createWebhookMetrics } from "./webhooks/webhook-metrics.js";
import { FleetWorkflowEngine } from "./workflows/fleet-workflow-engine.js";
import { workflowTuning } from "./workflows/workflow-options.js";
import { createWorkflowService } from "./workflows/workflow-service.js";

/** The deciding parts of the control plane: nodes, indexes, tasks, audit and settings. */
export interface ControlPlane {
  readonly services: {
    readonly tasks: ServiceImpl<typeof TaskService>;
    readonly backups: ServiceImpl<typeof BackupService>;
    readonly exports: ServiceImpl<typeof ExportService>;
    readonly indexes: ServiceImpl<typeof IndexService>;
    readonly keys: ServiceImpl<typeof KeyService>;
    readonly features: ServiceImpl<typeof FeatureService>;
    readonly settings: ServiceImpl<typeof SettingsService>;
    readonly verify: ServiceImpl<typeof VerifyService>;
    readonly copies: ServiceImpl<typeof CopyService>;
    readonly workflows: ServiceImpl<typeof WorkflowService>;
    readonly resources: ServiceImpl<typeof ResourceService>;
  };
  /** Nodes that come and go while the control plane runs. */
  readonly nodes: FleetNodes;
  /** What operators may change. */
  readonly fleetOperations: FleetOperations;
  /** Health by node id, for every node of the topology. */
  nodeStatus(): ReadonlyMap<string, NodeHealth>;
  /** Node tasks that Miroir waits for, by node. */
  openTaskCounts(): ReadonlyMap<string, number>;
  /** Keys of the nodes for proxies; a node that did not answer yet is absent. */
  credentials(): NodeCredentials[];
  /** Calls back when {@link credentials} have changed; returns the function that ends it. */
  onCredentialsChange(listener: () => void): () => void;
  /**
   * Visits the nodes, enters them in the topology, takes up unfinished work and follows the nodes. The term must have
   * begun. @throws NodeSetupError
   */
  start(): Promise<void>;
  /** Ends every loop; what is under way is finished first. All parts know of it before this returns its promise. */
  stop(): Promise<void>;
}

/** The parts, bound together and not started. */
export async function createControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { world, transport, topology, fence, config, logger } = options;
  const webhooks = new WebhookFeed({
    ...options,
    metrics: createWebhookMetrics(options.metrics),
    tuning: config.webhooks,
  });
  const store = announcing(options.store, (rows) => webhooks.finished(rows));
  const metrics = createControlMetrics(options.metrics);
  const directory = new NodeDirectory(transport);
  const admin = (nodeId: string) => directory.admin(nodeId);
  const common = { store, topology, fence, world, logger, metrics };
  const updatedAt = new UpdatedAt(world, topology, logger, config.updatedAt);
  const settings = new SettingsCommits({
    ...common,
    admin,
    ...(options.acknowledged === undefined ? {} : { acknowledged: options.acknowledged }),
    onDrift: (instance) => drift.askFor(instance),
    conclude: (verdicts) => registry.conclude(verdicts),
  });
  const drift: DriftCheck = new DriftCheck({
    ...common,
    admin,
    isChanging: (instance) => settings.isOpen(instance),
    tuning: config.drift,
  });
  const orphans = new OrphanCollection({ ...common, admin, tuning: config.orphans });
  const lookup = new IndexLookup();
  const registry: TaskRegistry = new TaskRegistry({
    ...common,
    lookup,
    ...(options.acknowledged === undefined ? {} : { acknowledged: options.acknowledged }),
    settings,
    onOpenNodeTasks: (nodeId, uids) => auditor.registered(nodeId, uids),
    onWritten: (instance, at) => updatedAt.note(instance, at),
    listUnfinished: () => auditor.listUnfinished(),
  });
  const featuresOf = (nodeId: string) =>
    switchFeatures([admin(nodeId)], enabledFeatures(topology.current()), logger);
  const hasher = await createShardHasher();
  const watch: NodeWatch = new NodeWatch({
    ...common,
    transport,
    directory,
    hasher,
    config,
    registry: () => registry,
    reconcileSettings: (instance) => settings.reconcile(instance),
    switchFeatures: featuresOf,
  });
  const { antiEntropy, auditor, fleet: nodes, monitor } = watch;
  const creator = new IndexCreator({
    ...common,
    admin,
    ...(config.nodeTimeoutMs === undefined ? {} : { nodeTimeoutMs: config.nodeTimeoutMs }),
  });
  const names = new IndexNames({
    ...common,
    registry,
    ...(options.acknowledged === undefined ? {} : { acknowledged: options.acknowledged }),
  });
  const compaction = new IndexCompaction({
    ...common,
    registry,
    admin,
    ...(config.compactionPatienceMs === undefined ? {} : { patienceMs: config.compactionPatienceMs }),
  });
  const indexes = createIndexService({
    ...common,
    hasher,
    creator,
    registry,
    names,
    compaction,
    updatedAt: (instance) => updatedAt.pending(instance),
    ...(options.withoutLease === undefined ? {} : { withoutLease: options.withoutLease }),
  });
  const backups = createBackups({ ...common, registry, transport, admin, config: config.backups });
  const exports = new ExportTasks({
    ...common,
    registry,
    documents: new DocumentReader({ ...common, transport, admin }),
    outbound: options.outbound,
    tuning: config.exports,
  });
  const copies = new CopyProgressBook(createCopyMetrics(options.metrics));
  const retention = new RetentionLoop({ store, fence, world, logger, tuning: config.retention });
  const removal = new TaskRemoval({
    store,
    fence,
    world,
    logger,
    refresh: () => auditor.refresh(),
    cancel: async (uids, canceledBy) =>
      (await exports.cancel(uids, canceledBy)) + (await backups.cancel(uids, canceledBy)),
  });
  let endListening: (() => void) | undefined;
  let servingSince: number | undefined;
  const workflows = new FleetWorkflowEngine({
    ...common,
    nodes: () => nodes,
    progressOf: (copyId) => copies.of(copyId),
    tuning: config.copies,
  });
  /** Work that is in the store before it begins, and goes on under the next leader. */
  const recordedWork = [names, compaction, removal, backups, exports, workflows];
  const autoRepair = new AutoRepair({ ...common, workflows, admin, tuning: config.repair });

  return {
    services: {
      tasks: createTaskService({
        store,
        topology,
        registry,
        removal,
        fence,
        world,
        servingSince: () => servingSince,
      }),
      backups: backups.service,
      exports: exports.service,
      indexes,
      keys: createKeyService({ topology, clock: world.clock }),
      resources: createResourceService(topology),
      settings: createSettingsService(drift),
      verify: createVerifyService({ topology, transport, admin, world, hasher, logger }, antiEntropy),
      copies: createCopyService({
        topology,
        progress: copies,
        clock: world.clock,
        logger,
        ...(options.acknowledged === undefined ? {} : { acknowledged: options.acknowledged }),
      }),
      workflows: createWorkflowService(workflows, world),
      features: createFeatureService({
        topology,
        nodes: () => topology.current().nodes.map(({ id }) => admin(id)),
        logger,
      }),
    },
    nodes,
    fleetOperations: createFleetOperations({
      ...common,
      nodes,
      workflows,
      admin,
      shardsPerNode: workflowTuning(config.copies).shardsPerNode,
    }),
    nodeStatus: () => monitor.health(),
    openTaskCounts: () => auditor.openTaskCounts(),
    credentials: () => directory.credentials(),
    onCredentialsChange: (listener) => directory.onChange(listener),
    async start() {
      const nodes = await bootstrap(options);
      for (const node of nodes) {
        const keys = node.status.kind === "ready" ? node.status.keys : undefined;
        directory.put({ id: node.id, url: node.url, configuredKey: node.configuredKey, keys });
        if (node.status.kind === "down") monitor.noteDown(node.id, node.status.error);
      }
      await topology.change("nodes as configured", (draft) => {
        enterNodes(draft, nodes, world.clock.now());
        // As Meilisearch does where it starts without any.
        if (draft.apiKeys.length === 0) draft.apiKeys = defaultKeys(world.clock.now(), world.random);
        enterConfiguredWebhook(draft, config.webhook, world.clock.now());
      });
      // Before anything is judged, so that they are told of all that becomes final.
      webhooks.published(topology.current());
      await switchFeatures(
        nodes.filter(({ status }) => status.kind === "ready").map(({ id }) => admin(id)),
        enabledFeatures(topology.current()),
        logger,
      );
      await watch.start(nodes.map((node) => node.id));
      for (const created of await creator.recover()) {
        await recordCreation({ registry, creator, world }, created, created.taskUid);
      }
      await reopenSettings(store, settings);
      await registry.settleAll();
      for (const work of recordedWork) await work.resume();
      const settle = settleAfterChanges(registry, logger);
      lookup.published(topology.current());
      retention.start();
      drift.start();
      orphans.start();
      watch.startComparing();
      autoRepair.start();
      servingSince = world.clock.monotonic();
      endListening = topology.onChange((change) => {
        lookup.published(change.topology);
        copies.published(change.topology);
        webhooks.published(change.topology);
        settle(change);
        watch.published(change.topology);
      });
    },
    async stop() {
      endListening?.();
      // Side by side: each may have to wait for the store or for proxies, and none needs another one to end.
      const parts = [...recordedWork, retention, drift, orphans, autoRepair, watch, settings, webhooks];
      const ended = await Promise.allSettled(parts.map((part) => part.stop()));
      // Behind all that notes when an index was written.
      await updatedAt.flush().catch((error: unknown) => {
        logger.debug({ err: error }, "could not publish when indexes were last updated");
      });
      for (const part of ended) if (part.status === "rejected") throw part.reason;
    },
  };
}

/** Settings tasks that were open when the control plane stopped. */
async function reopenSettings(store: TaskStore, settings: SettingsCommits): Promise<void> {
  const page = await store.tasks.list(
    { types: ["settingsUpdate"], statuses: ["enqueued", "processing"] },
    { limit: 10_000 },
  );
  for (const { instance, uid } of page.tasks) if (instance !== null) await settings.opened(instance, uid);
}

function bootstrap({ world, transport, topology, config, logger }: ControlPlaneOptions) {
  const current = topology.current();
  return bootstrapNodes({
    world,
    transport,
    logger,
    clusterId: current.epoch?.clusterId ?? "",
    configured: nodesToBootstrap(current, config.nodes, config.nodeKey, logger),
    known: current.nodes,
    ...(config.groups === undefined ? {} : { groups: config.groups }),
    ...(config.bootstrapTimeoutMs === undefined ? {} : { timeoutMs: config.bootstrapTimeoutMs }),
  });
}

/** The features that every node is to have. */
function enabledFeatures({ experimentalFeatures }: Topology): Record<string, boolean> {
  return Object.fromEntries(experimentalFeatures.map((name) => [name, true]));
}
