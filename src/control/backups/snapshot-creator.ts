import { toJson } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { type BackupFolder, removePartialBackups } from "../../dumps/backup-folder.js";
import { MANIFEST_FILE } from "../../dumps/manifest.js";
import { type Topology, TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import type { World } from "../../runtime/world.js";
import { type ExportHeader, writeExport } from "../../store/export-file.js";
import type { TaskStore, TransferRecord } from "../../store/task-store.js";
import type { TaskAttempt } from "../tasks/serial-tasks.js";
import { withoutSecrets } from "../topology/subscribe.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { BackupKind } from "./backup-tasks.js";
import { printMs } from "./backup-times.js";
import { printEpoch } from "./dump-creator.js";
import { makeBackup } from "./make-backup.js";
import { makeNodeSnapshot, type NodeSnapshot } from "./node-snapshot.js";
import { isUnchangedBetween, type QuietMark, quietMark } from "./quiet-mark.js";

/** What {@link createSnapshotKind} works with. */
export interface SnapshotCreatorOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  readonly world: World;
  readonly logger: Logger;
  /** Where manifests of snapshots are put. */
  readonly folder: string;
  /** Miroir's version. */
  readonly version: string;
  /** What the export of the store says of it. */
  readonly describeStore: () => Promise<Pick<ExportHeader, "backend" | "schemaVersion">>;
  /** How long a node that does not answer is waited for. Milliseconds; 60,000 unless given. */
  readonly patienceMs?: number;
}

/** Some nodes have made no snapshot. */
export class SnapshotFailedError extends Error {
  override readonly name = "SnapshotFailedError";
}

/** What the manifest of a snapshot calls itself. */
const SNAPSHOT_FORMAT = "miroir-snapshot";
const SNAPSHOT_VERSION = 1;
/** The control plane's store, for `miroir store import`. */
const STORE_FILE = "control-store.jsonl";
const TOPOLOGY_FILE = "topology.json";

/**
 * Snapshots of the whole fleet: every node makes its own, where it keeps them, and a folder here says which they are, beside an export
 * of the control plane's store (`docs/guide/backup.md`).
 */
export function createSnapshotKind(options: SnapshotCreatorOptions): BackupKind {
  return {
    enqueuedDetails: null,
    removeRubbish: async () => {
      await removePartialBackups(options.folder);
    },
    run: async (attempt) => {
      await makeBackup({ ...options, kind: "snapshot" }, attempt, (target, uid) =>
        writeSnapshot(options, attempt, uid, target),
      );
      return null;
    },
  };
}

async function writeSnapshot(
  options: SnapshotCreatorOptions,
  { signal, startedAt, task }: TaskAttempt,
  snapshotUid: string,
  target: BackupFolder,
): Promise<void> {
  const { topology, world, version } = options;
  const before = topology.current();
  const mark = await contentMark(options, before);
  // Before the nodes' own: what the store says of a node's log must not be newer than the log that comes back with it.
  await target.write(STORE_FILE, exportStore(options, task.uid));
  await target.write(TOPOLOGY_FILE, printTopology(before));
  const nodes = await snapshotNodes(options, before, signal);
  const after = topology.current();
  const manifest = {
    format: SNAPSHOT_FORMAT,
    version: SNAPSHOT_VERSION,
    snapshotUid,
    taskUid: task.uid,
    clusterId: before.epoch?.clusterId ?? "",
    epoch: printEpoch(before),
    startedAt: printMs(startedAt),
    finishedAt: printMs(world.clock.now()),
    miroirVersion: version,
    unchanged:
      catalogueOf(before) === catalogueOf(after) &&
      isUnchangedBetween(mark, await contentMark(options, after)),
    nodes,
  };
  await target.write(MANIFEST_FILE, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** All nodes at once, to be as close to one moment as can be. @throws SnapshotFailedError that names every node without one */
async function snapshotNodes(
  options: SnapshotCreatorOptions,
  { nodes }: Topology,
  signal: AbortSignal,
): Promise<readonly NodeSnapshot[]> {
  const outcomes = await Promise.allSettled(
    nodes.map((node) => makeNodeSnapshot(options, node, options.admin(node.id), signal)),
  );
  signal.throwIfAborted();
  const failures = outcomes.flatMap((outcome, at) =>
    outcome.status === "rejected" ? [`${nodes[at]?.id}: ${messageOf(outcome.reason)}`] : [],
  );
  if (failures.length > 0) {
    throw new SnapshotFailedError(
      `${failures.length} of ${nodes.length} nodes made no snapshot (${failures.join("; ")}).`,
    );
  }
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

/** Which data is under which name; the times of the last writes, which are published behind them, are left out. */
function catalogueOf({ indexes }: Topology): string {
  return JSON.stringify(
    indexes.map(({ uid, instance, generation, settingsVersion }) => [
      uid,
      instance,
      String(generation),
      String(settingsVersion),
    ]),
  );
}

function contentMark(options: SnapshotCreatorOptions, { nodes }: Topology): Promise<QuietMark | undefined> {
  return quietMark(
    nodes.map(({ id }) => id),
    options,
  );
}

/** The whole store, but for the task that is under way: who imports it must not make the snapshot again. */
async function* exportStore(
  { store, world, describeStore }: SnapshotCreatorOptions,
  taskUid: number,
): AsyncGenerator<string> {
  const description = await describeStore();
  const records = async function* (): AsyncGenerator<TransferRecord> {
    for await (const record of store.transfer.export()) {
      if (record.table !== "tasks" || record.row.uid !== taskUid) yield record;
    }
  };
  const createdAt = printMs(world.clock.now());
  yield* writeExport({ createdAt, ...description, rows: await store.transfer.count() }, records());
}

function printTopology(topology: Topology): string {
  return `${JSON.stringify(toJson(TopologySchema, withoutSecrets(topology)), undefined, 2)}\n`;
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
