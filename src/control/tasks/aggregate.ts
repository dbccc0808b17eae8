import { setMember } from "../../json/edit.js";
import { hideInjectedFields } from "../../merge/index.js";
import { parsePhysicalName } from "../../placement/physical-name.js";
import { combineCounts, planCounts } from "../../placement/task-counts.js";
import { toClientDetails } from "../../settings/canonical-settings.js";
import { unguardMessage } from "../../settings/document-templates.js";
import {
  isFinalStatus,
  type NodeTaskRow,
  type TaskErrorRow,
  type TaskRow,
  type TaskStatus,
} from "../../store/task-store.js";
import { editDetails, editError } from "./edit-details.js";

/** Health of an index on one node (design §1). */
export type ReplicaHealth = "in_sync" | "joining" | "stale" | "suspect";

/** Where an index lives and how its replicas are. */
export interface IndexReplicas {
  /** By shard number: ids of the nodes that hold it. */
  readonly placement: readonly (readonly string[])[];
  readonly replicas: ReadonlyMap<string, ReplicaHealth>;
}

/** What a client task is, judged by its node tasks. */
export interface TaskVerdict {
  readonly status: TaskStatus;
  readonly error: TaskErrorRow | null;
  readonly detailsJson: string | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /**
   * Nodes whose outcome differs from their peers' on a shard that they share. Empty until the task is final. The
   * majority counts, and success where there is none; a node that alone holds some shard in sync is never listed.
   */
  readonly divergent: readonly string[];
}

/** Stands for all shards where the index is gone and its placement with it. */
const ANY_SHARD = -1;

/**
 * The client task that these node tasks make (design §5): `enqueued` until one starts, final when every node task
 * that counts is final. On each shard those of the in-sync replicas count; where there are none, the
 * suspect ones; else all. A shard's outcome is that of most of its replicas; the task fails with the
 * first error in time of a shard that failed.
 *
 * `index` is undefined where the index is gone; then all node tasks count. A task that is final already, and
 * one without node tasks, stay as they are.
 */
export function aggregateTask(task: TaskRow, index: IndexReplicas | undefined): TaskVerdict {
  if (isFinalStatus(task.status) || task.nodeTasks.length === 0) return asItIs(task);
  const reports = latestPerNode(task.nodeTasks);
  const shards = groupByShard(reports, index);
  const counted = new Set([...shards.values()].flatMap((onShard) => countedOnShard(onShard, index)));
  const startedAt = least([...counted].map((report) => report.startedAt));
  if ([...counted].some((report) => !isFinalStatus(report.status))) {
    const started = [...counted].some((report) => report.status !== "enqueued");
    const status = started || task.status === "processing" ? "processing" : "enqueued";
    return {
      ...asItIs(task),
      status,
      startedAt: status === "processing" ? (startedAt ?? task.startedAt) : null,
    };
  }
  const outcome = judge(shards, index);
  const finishedAt = greatest([...counted].map((report) => report.finishedAt));
  return {
    status: outcome.status,
    error: outcome.error === undefined ? null : cleanError(editError(outcome.error, task), task.indexUid),
    detailsJson: finalDetails(task, outcome.status, [...counted], shards, index),
    startedAt,
    finishedAt,
    divergent: outcome.divergent,
  };
}

/** A node's error as the client is to see it: physical names and injected fields replaced (invariant 11). */
export function cleanError(error: TaskErrorRow, indexUid: string | null): TaskErrorRow {
  const message = hideInjectedFields(unguardMessage(error.message)).replaceAll(
    /\bm[a-z2-7]{8}_\d+\b/g,
    (name) => (indexUid !== null && parsePhysicalName(name) !== undefined ? indexUid : name),
  );
  return { ...error, message };
}

/** What one node reports for the shards that count there. */
export interface CountReport {
  readonly nodeId: string;
  readonly shards: readonly number[];
  readonly count: number;
}

/**
 * A count over all documents that a task touched, from what several overlapping replicas report. Exact where every
 * shard has equally many reports, where some of the nodes partition the shards, and where the counts follow `weights`,
 * the documents of the request by shard.
 */
export function countOnce(
  reports: readonly CountReport[],
  weights: ReadonlyMap<number, number> = new Map(),
): number {
  const copies = new Map<number, number>();
  for (const { shards } of reports) {
    for (const shard of shards) copies.set(shard, (copies.get(shard) ?? 0) + 1);
  }
  const [perShard = 1, ...others] = new Set(copies.values());
  if (others.length === 0) {
    return Math.round(reports.reduce((sum, report) => sum + report.count, 0) / perShard);
  }
  // A node that got the task in parts reports several times.
  const parts = reports.map((report, at) => ({ ...report, part: `${report.nodeId} ${at}` }));
  const plan = planCounts(new Map(parts.map(({ part, shards }) => [part, new Set(shards)])));
  if (plan.kind !== "estimate" || weights.size === 0) {
    return combineCounts(plan, new Map(parts.map(({ part, count }) => [part, count])));
  }
  return countByWeight(reports, copies, weights);
}

/** What all nodes report, over the mean number of replicas that a shard has in sync. */
function countByCopies(reports: readonly CountReport[], index: IndexReplicas): number {
  const copies = index.placement.reduce(
    (sum, nodes) => sum + Math.max(1, nodes.filter((id) => index.replicas.get(id) === "in_sync").length),
    0,
  );
  const total = reports.reduce((sum, report) => sum + report.count, 0);
  return Math.round((total * index.placement.length) / copies);
}

/** Spreads each report over its shards as the request's documents were; each shard takes the mean of its reports. */
function countByWeight(
  reports: readonly CountReport[],
  copies: ReadonlyMap<number, number>,
  weights: ReadonlyMap<number, number>,
): number {
  let total = 0;
  for (const { shards, count } of reports) {
    const whole = shards.reduce((sum, shard) => sum + (weights.get(shard) ?? 0), 0);
    for (const shard of shards) {
      const share = whole > 0 ? (weights.get(shard) ?? 0) / whole : 1 / shards.length;
      total += (count * share) / (copies.get(shard) ?? 1);
    }
  }
  return Math.round(total);
}

function asItIs(task: TaskRow): TaskVerdict {
  const { status, error, detailsJson, startedAt, finishedAt } = task;
  return { status, error, detailsJson, startedAt, finishedAt, divergent: [] };
}

/**
 * A node that was sent the same part of a task twice counts with the later one: the former was settled before it was sent again. Parts
 * are told apart by their shards.
 */
function latestPerNode(nodeTasks: readonly NodeTaskRow[]): readonly NodeTaskRow[] {
  const latest = new Map<string, NodeTaskRow>();
  for (const task of nodeTasks) {
    const part = `${task.nodeId} ${task.shards.join(",")}`;
    const held = latest.get(part);
    if (held === undefined || held.nodeTaskUid < task.nodeTaskUid) latest.set(part, task);
  }
  return [...latest.values()];
}

function shardsOf(report: NodeTaskRow, index: IndexReplicas | undefined): readonly number[] {
  if (report.shards.length > 0) return report.shards;
  const held =
    index?.placement.flatMap((nodes, shard) => (nodes.includes(report.nodeId) ? [shard] : [])) ?? [];
  return held.length > 0 ? held : [ANY_SHARD];
}

function groupByShard(
  reports: readonly NodeTaskRow[],
  index: IndexReplicas | undefined,
): ReadonlyMap<number, readonly NodeTaskRow[]> {
  const groups = new Map<number, NodeTaskRow[]>();
  for (const report of reports) {
    for (const shard of shardsOf(report, index)) {
      const group = groups.get(shard);
      if (group === undefined) groups.set(shard, [report]);
      else group.push(report);
    }
  }
  return groups;
}

function countedOnShard(
  reports: readonly NodeTaskRow[],
  index: IndexReplicas | undefined,
): readonly NodeTaskRow[] {
  if (index === undefined) return reports;
  for (const health of ["in_sync", "suspect"] as const) {
    const matching = reports.filter((report) => index.replicas.get(report.nodeId) === health);
    if (matching.length > 0) return matching;
  }
  return reports;
}

interface Outcome {
  readonly status: TaskStatus;
  readonly error: TaskErrorRow | undefined;
  readonly divergent: readonly string[];
}

function judge(
  shards: ReadonlyMap<number, readonly NodeTaskRow[]>,
  index: IndexReplicas | undefined,
): Outcome {
  const losers = new Set<string>();
  const failures = new Set<NodeTaskRow>();
  let canceled = true;
  for (const reports of shards.values()) {
    const counted = countedOnShard(reports, index);
    const succeeded = counted.filter((report) => report.status === "succeeded");
    const failed = counted.filter((report) => report.status !== "succeeded");
    const success = succeeded.length >= failed.length && succeeded.length > 0;
    for (const report of success ? failed : succeeded) losers.add(report.nodeId);
    if (success) canceled = false;
    else for (const report of failed) failures.add(report);
    if (failed.some((report) => report.status === "failed")) canceled = false;
  }
  const divergent = [...losers].filter((nodeId) => !holdsLast(nodeId, losers, index)).sort();
  if (failures.size === 0) return { status: "succeeded", error: undefined, divergent };
  if (canceled) return { status: "canceled", error: undefined, divergent };
  const first = [...failures]
    .filter((report) => report.error !== null)
    .sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0) || (a.nodeId < b.nodeId ? -1 : 1))[0];
  return { status: "failed", error: first?.error ?? UNKNOWN_FAILURE, divergent };
}

const UNKNOWN_FAILURE: TaskErrorRow = {
  message: "A node reports the task as neither succeeded nor failed with an error.",
  code: "internal",
  type: "internal",
  link: "https://docs.meilisearch.com/errors#internal",
};

/** Whether some shard would be left without an in-sync copy if all of `losers` lost theirs. */
function holdsLast(nodeId: string, losers: ReadonlySet<string>, index: IndexReplicas | undefined): boolean {
  if (index === undefined) return true;
  return index.placement.some(
    (nodes) =>
      nodes.includes(nodeId) &&
      !nodes.some((other) => !losers.has(other) && index.replicas.get(other) === "in_sync"),
  );
}

type Counter = "indexedDocuments" | "deletedDocuments" | "editedDocuments";

const COUNTERS: Readonly<Partial<Record<TaskRow["type"], readonly Counter[]>>> = {
  documentAdditionOrUpdate: ["indexedDocuments"],
  documentDeletion: ["deletedDocuments"],
  documentEdition: ["editedDocuments", "deletedDocuments"],
  indexDeletion: ["deletedDocuments"],
};

function finalDetails(
  task: TaskRow,
  status: TaskStatus,
  counted: readonly NodeTaskRow[],
  shards: ReadonlyMap<number, readonly NodeTaskRow[]>,
  index: IndexReplicas | undefined,
): string | null {
  if (task.type === "settingsUpdate") return settingsDetails(task, counted);
  const counters = COUNTERS[task.type];
  if (counters === undefined) return task.detailsJson;
  const spread = counted.map((report) => ({
    report,
    shards: shardsOf(report, index).filter((shard) =>
      countedOnShard(shards.get(shard) ?? [], index).includes(report),
    ),
  }));
  const count = (member: string, weights?: ReadonlyMap<number, number>): number | null => {
    const reports: CountReport[] = [];
    for (const { report, shards } of spread) {
      const count = numberIn(report.detailsJson, member);
      if (count === undefined) return null;
      reports.push({ nodeId: report.nodeId, shards, count });
    }
    // Nobody said which shards the requests of a rebuilt task covered; that each copy got its part is certain.
    if (task.detailsJson === null && index !== undefined) return countByCopies(reports, index);
    return countOnce(reports, weights);
  };
  let details = task.detailsJson ?? rebuiltDetails(task, counted, count);
  for (const counter of counters) {
    const isShown = status === "succeeded" || counter === counters[0];
    const value = status === "succeeded" ? count(counter, task.documentsByShard) : isShown ? 0 : null;
    details = setMember(Buffer.from(details), counter, JSON.stringify(value)).toString();
  }
  return details;
}

/** Details of a task whose registration never arrived, from those of its node tasks. */
function rebuiltDetails(
  task: TaskRow,
  counted: readonly NodeTaskRow[],
  count: (member: string) => number | null,
): string {
  if (task.type === "documentAdditionOrUpdate") {
    return JSON.stringify({ receivedDocuments: count("receivedDocuments"), indexedDocuments: null });
  }
  if (task.type === "documentEdition")
    return counted.map(editDetails).find((known) => known !== null) ?? "{}";
  const text = counted.find((report) => report.detailsJson !== null)?.detailsJson ?? "{}";
  const providedIds = numberIn(text, "providedIds");
  return providedIds === undefined || providedIds === 0
    ? text
    : setMember(Buffer.from(text), "providedIds", JSON.stringify(count("providedIds"))).toString();
}

/** The node's own print of the change (sets sorted, secrets masked), where the client's resets stay resets. */
function settingsDetails(task: TaskRow, counted: readonly NodeTaskRow[]): string | null {
  const text = counted.find((report) => report.detailsJson !== null)?.detailsJson;
  if (text === undefined || text === null) return task.detailsJson;
  const registered =
    task.detailsJson === null ? {} : (JSON.parse(task.detailsJson) as Record<string, unknown>);
  const printed = toClientDetails(JSON.parse(text) as Record<string, unknown>);
  for (const [name, value] of Object.entries(registered)) if (value === null) printed[name] = null;
  // Nodes are told to display everything.
  if (registered.displayedAttributes !== undefined)
    printed.displayedAttributes = registered.displayedAttributes;
  return JSON.stringify(printed);
}

function numberIn(detailsJson: string | null, member: string): number | undefined {
  if (detailsJson === null) return undefined;
  const value = (JSON.parse(detailsJson) as Record<string, unknown>)[member];
  return typeof value === "number" ? value : undefined;
}

function least(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => Math.min(a, b));
}

function greatest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => Math.max(a, b));
}
