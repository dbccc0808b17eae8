import type { Logger } from "pino";
import { type BackupFolder, removePartialBackups } from "../../dumps/backup-folder.js";
import { findDump } from "../../dumps/dump-reader.js";
import {
  DUMP_FORMAT,
  DUMP_VERSION,
  type DumpedIndex,
  KEYS_FILE,
  MANIFEST_FILE,
  RESOURCES_FILE,
  TASKS_FILE,
} from "../../dumps/manifest.js";
import type { ApiKey, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { World } from "../../runtime/world.js";
import { isFinalStatus, type TaskStore, type TaskUid, taskStatuses } from "../../store/task-store.js";
import { printTask } from "../../tasks/print-task.js";
import { CONFIGURED_WEBHOOK } from "../../webhooks/stored-webhooks.js";
import { type DocumentReader, IndexUnreadableError } from "../documents/document-reader.js";
import type { ControlMetrics } from "../metrics.js";
import { holdsSecrets, keptSecrets } from "../settings/secret-keeper.js";
import { cleanError } from "../tasks/aggregate.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TaskAttempt } from "../tasks/serial-tasks.js";
import { taskToProto } from "../tasks/task-codec.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { BackupKind } from "./backup-tasks.js";
import { printMs, printTime } from "./backup-times.js";
import { dumpIndex } from "./dump-index.js";
import { makeBackup } from "./make-backup.js";
import type { NodeTaskSource } from "./quiet-mark.js";

/** What {@link createDumpKind} works with. */
export interface DumpCreatorOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly documents: DocumentReader;
  readonly admin: NodeTaskSource;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  /** Where dumps are put. */
  readonly folder: string;
  /** Miroir's version. */
  readonly version: string;
}

const PAGE = 1_000;

/**
 * Dumps of the whole fleet, in Miroir's own format (`docs/guide/backup.md`). Catalogue, settings, keys and features are those of one epoch:
 * the one when the dump begins. Documents are streamed, each shard from one of its replicas.
 */
export function createDumpKind(options: DumpCreatorOptions): BackupKind {
  const { folder } = options;
  return {
    enqueuedDetails: detailsOf(null),
    removeRubbish: async () => {
      await removePartialBackups(folder);
    },
    run: async (attempt) => {
      const { clusterId = "" } = options.topology.current().epoch ?? {};
      const made = await findDump(folder, clusterId, attempt.task.uid);
      return detailsOf(made === undefined ? await createDump(options, attempt) : made.dumpUid);
    },
  };
}

/** Writes a dump and gives it its name. @returns its uid */
function createDump(options: DumpCreatorOptions, attempt: TaskAttempt): Promise<string> {
  return makeBackup({ ...options, kind: "dump" }, attempt, (target, uid) =>
    writeDump(options, attempt, uid, target),
  );
}

async function writeDump(
  options: DumpCreatorOptions,
  { task, startedAt, signal }: TaskAttempt,
  dumpUid: string,
  target: BackupFolder,
): Promise<void> {
  const { store, world, logger, metrics } = options;
  const topology = options.topology.current();
  const indexes: DumpedIndex[] = [];
  metrics.dumpDocuments.set(0);
  for (const index of topology.indexes) {
    const folder = `indexes/${indexes.length}`;
    const secrets = await keptSecrets(topology, store, index.instance);
    try {
      const contents = await dumpIndex(options, { index, secrets, folder, target, signal });
      indexes.push({
        uid: index.uid,
        primaryKey: index.primaryKey ?? null,
        createdAt: printTime(index.createdAt),
        updatedAt: printTime(index.updatedAt),
        shards: index.shards,
        folder,
        ...contents,
      });
    } catch (error) {
      const isGone = findInstance(options.topology.current(), index.instance) === undefined;
      if (!(isGone && error instanceof IndexUnreadableError)) throw unreadable(index.uid, error);
      await target.discard(folder);
      logger.info({ index: index.uid, dumpUid }, "an index was deleted while it was dumped, and is left out");
    }
  }
  await target.write(
    KEYS_FILE,
    [...topology.apiKeys]
      .sort(oldestFirst)
      .map((key) => `${JSON.stringify(printKey(key))}\n`)
      .join(""),
  );
  const resources = topology.resources.filter(
    ({ name }) => name !== CONFIGURED_WEBHOOK && !holdsSecrets(name),
  );
  const resourceLines = resources.map(({ name, json }) => `${JSON.stringify({ name, json })}\n`);
  await target.write(RESOURCES_FILE, resourceLines.join(""));
  let tasks = 0;
  const lines = finishedTasks(store, () => {
    tasks += 1;
  });
  await target.write(TASKS_FILE, lines);
  const manifest = {
    format: DUMP_FORMAT,
    version: DUMP_VERSION,
    dumpUid,
    taskUid: task.uid,
    clusterId: topology.epoch?.clusterId ?? "",
    epoch: printEpoch(topology),
    startedAt: printMs(startedAt),
    finishedAt: printMs(world.clock.now()),
    miroirVersion: options.version,
    meilisearchVersion: oldestVersion(topology),
    experimentalFeatures: topology.experimentalFeatures,
    indexes,
    keys: topology.apiKeys.length,
    resources: resources.length,
    tasks,
  };
  await target.write(MANIFEST_FILE, `${JSON.stringify(manifest)}\n`);
}

/** As the client is to see it: under the index's own name. */
function unreadable(uid: string, error: unknown): unknown {
  if (!(error instanceof IndexUnreadableError || error instanceof MeilisearchError)) return error;
  const { message } = cleanError({ message: error.message, code: "", type: "", link: "" }, uid);
  return new IndexUnreadableError(`Index \`${uid}\`: ${message}`, { cause: error });
}

/** An epoch as a manifest has it: without its cluster. */
export function printEpoch({ epoch }: Topology): { readonly term: string; readonly counter: string } {
  return { term: String(epoch?.term ?? 0n), counter: String(epoch?.counter ?? 0n) };
}

function detailsOf(dumpUid: string | null): string {
  return JSON.stringify({ dumpUid });
}

function oldestFirst(a: ApiKey, b: ApiKey): number {
  const [first, second] = [a.createdAt, b.createdAt];
  if (first?.seconds !== second?.seconds) return (first?.seconds ?? 0n) < (second?.seconds ?? 0n) ? -1 : 1;
  return (first?.nanos ?? 0) - (second?.nanos ?? 0);
}

function printKey({ uid, name, description, actions, indexes, expiresAt, ...times }: ApiKey): object {
  return {
    uid,
    name: name ?? null,
    description: description ?? null,
    actions,
    indexes,
    expiresAt: expiresAt === undefined ? null : printTime(expiresAt),
    createdAt: printTime(times.createdAt),
    updatedAt: printTime(times.updatedAt),
  };
}

function oldestVersion({ nodes }: Topology): string {
  const known = nodes.map(({ meilisearchVersion }) => meilisearchVersion).filter((text) => text !== "");
  return known.sort((a, b) => a.localeCompare(b, "en", { numeric: true }))[0] ?? "";
}

async function* finishedTasks(store: TaskStore, onTask: () => void): AsyncGenerator<string> {
  let from: TaskUid | undefined;
  do {
    const page = await store.tasks.list(
      { statuses: taskStatuses.filter(isFinalStatus) },
      { limit: PAGE, reverse: true, ...(from === undefined ? {} : { from }) },
    );
    for (const row of page.tasks) {
      onTask();
      yield `${printTask(taskToProto(row))}\n`;
    }
    from = page.next;
  } while (from !== undefined);
}
