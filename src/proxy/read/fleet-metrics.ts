import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ListTasksRequestSchema,
  type Task,
  TaskStatus,
  TaskType,
} from "../../gen/miroir/v1/tasks_pb.js";
import type { World } from "../../runtime/world.js";
import { parseInstant } from "../../tasks/rfc3339.js";
import { statusName, typeName } from "../../tasks/task-names.js";
import type { ControlTransport } from "../control-transport.js";
import type { TopologySource } from "../topology/topology-view.js";
import { currentView } from "./indexes.js";
import type { StatsService } from "./stats.js";

/** One metric with its samples, as Prometheus reads it. */
export interface Metric {
  /** Without the `meilisearch_` in front. */
  readonly name: string;
  readonly help: string;
  readonly samples: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

/** What the fleet is measured with. */
export interface FleetMetricsDependencies {
  readonly world: World;
  readonly topology: TopologySource;
  readonly control: ControlTransport;
  readonly stats: StatsService;
}

type Selection = MessageInitShape<typeof ListTasksRequestSchema>;

/** Indexes of which tasks are counted one by one. */
const MAX_INDEXES = 5_000;
const OPEN = [TaskStatus.ENQUEUED, TaskStatus.PROCESSING];
const DOCUMENT_TYPES = [
  TaskType.DOCUMENT_ADDITION_OR_UPDATE,
  TaskType.DOCUMENT_EDITION,
  TaskType.DOCUMENT_DELETION,
];
/** How long a task is shown as the last one that indexed documents, beyond its own duration. Milliseconds. */
const LAST_INDEXED_SHOWN_MS = 300_000;

/**
 * Meilisearch's gauges about indexes and tasks, with what holds for the whole fleet.
 *
 * @throws MeilisearchError where the control plane or the shards do not answer
 */
export async function measureFleet(
  dependencies: FleetMetricsDependencies,
  signal: AbortSignal,
): Promise<readonly Metric[]> {
  const [ofIndexes, ofTasks] = await Promise.all([
    measureIndexes(dependencies, signal),
    measureTasks(dependencies, signal),
  ]);
  return [...ofIndexes, ...ofTasks];
}

interface Statistics {
  readonly databaseSize: number;
  readonly usedDatabaseSize: number;
  readonly lastUpdate: string | null;
  readonly indexes: Readonly<Record<string, { readonly numberOfDocuments: number }>>;
}

async function measureIndexes(
  { stats }: FleetMetricsDependencies,
  signal: AbortSignal,
): Promise<readonly Metric[]> {
  const format = { sizeFormat: "raw", showInternalDatabaseSizes: false } as const;
  const { body } = await stats.all(format, signal, () => true);
  const { databaseSize, usedDatabaseSize, lastUpdate, indexes } = JSON.parse(body) as Statistics;
  const lastSeconds = Number(parseInstant(lastUpdate ?? "", "that-day")?.seconds ?? 0n);
  return [
    gauge("db_size_bytes", "Meilisearch DB Size In Bytes", databaseSize),
    gauge("used_db_size_bytes", "Meilisearch Used DB Size In Bytes", usedDatabaseSize),
    gauge("index_count", "Meilisearch Index Count", Object.keys(indexes).length),
    {
      name: "index_docs_count",
      help: "Meilisearch Index Docs Count",
      samples: Object.entries(indexes).map(([index, { numberOfDocuments }]) => [
        { index },
        numberOfDocuments,
      ]),
    },
    gauge("last_update", "Meilisearch Last Update", lastSeconds),
  ];
}

async function measureTasks(
  dependencies: FleetMetricsDependencies,
  signal: AbortSignal,
): Promise<readonly Metric[]> {
  const { control, world, topology } = dependencies;
  const kinds = taskKinds([...currentView(topology).indexes.keys()].sort().slice(0, MAX_INDEXES));
  const options = { signal };
  const [{ totals }, oldest, newest] = await Promise.all([
    control.countTasks({ matching: kinds.map(({ selection }) => selection) }, options),
    control.listTasks({ statuses: OPEN, limit: 1, reverse: true }, options),
    control.listTasks({ statuses: [TaskStatus.SUCCEEDED], types: DOCUMENT_TYPES, limit: 1 }, options),
  ]);
  const samples = kinds.map(({ labels }, at) => [labels, Number(totals[at] ?? 0n)] as const);
  const processing = samples.find(([{ value }]) => value === statusName(TaskStatus.PROCESSING));
  const now = world.clock.now();
  const [waiting] = oldest.tasks;
  const waitedMs = waiting?.enqueuedAt === undefined ? 0 : Math.max(0, now - timestampMs(waiting.enqueuedAt));
  const [indexed] = newest.tasks;
  return [
    { name: "nb_tasks", help: "Meilisearch Number of tasks", samples },
    gauge("is_indexing", "Meilisearch Is Indexing", (processing?.[1] ?? 0) > 0 ? 1 : 0),
    gauge("task_queue_latency_seconds", "Meilisearch Task Queue Latency in Seconds", waitedMs / 1_000),
    ...(indexed === undefined ? [] : lastIndexed(indexed, now)),
  ];
}

interface TaskKind {
  readonly labels: { readonly kind: string; readonly value: string };
  readonly selection: Selection;
}

function taskKinds(indexUids: readonly string[]): readonly TaskKind[] {
  return [
    ...indexUids.map((uid) => kindOf("indexes", uid, { indexUids: [uid] })),
    ...known(TaskStatus).map((status) => kindOf("statuses", statusName(status), { statuses: [status] })),
    ...known(TaskType).map((type) => kindOf("types", typeName(type), { types: [type] })),
  ];
}

function kindOf(kind: string, value: string, selection: Selection): TaskKind {
  return { labels: { kind, value }, selection };
}

/** The members of an enumeration but for the one that means none. */
function known<T extends number>(members: Readonly<Record<string, string | T>>): T[] {
  return Object.values(members).filter((value): value is T => typeof value === "number" && value !== 0);
}

/** What the last task that indexed documents did, while it is recent; each task is a batch of its own. */
function lastIndexed(task: Task, now: number): readonly Metric[] {
  const { startedAt, finishedAt, detailsJson, uid, indexUid } = task;
  if (startedAt === undefined || finishedAt === undefined) return [];
  const durationMs = timestampMs(finishedAt) - timestampMs(startedAt);
  if (now - timestampMs(finishedAt) > durationMs + LAST_INDEXED_SHOWN_MS) return [];
  const details = detailsJson === "" ? {} : (JSON.parse(detailsJson) as Record<string, unknown>);
  const documents = ["indexedDocuments", "editedDocuments", "deletedDocuments"].reduce(
    (sum, member) => sum + Number(details[member] ?? 0),
    0,
  );
  const labels = { batch_uid: String(uid), index: indexUid };
  return [
    {
      name: "last_indexed_documents_count",
      help: "The last number of indexed documents in a batch",
      samples: [[labels, documents]],
    },
    {
      name: "last_indexed_documents_duration_ms",
      help: "The duration in ms of the last batch that indexed documents",
      samples: [[labels, durationMs]],
    },
  ];
}

/** A metric with one sample. */
export function gauge(name: string, help: string, value: number): Metric {
  return { name, help, samples: [[{}, value]] };
}
