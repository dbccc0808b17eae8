import { setMember } from "../../json/edit.js";
import { hideInjectedFields } from "../../merge/index.js";
import { parsePhysicalName } from "../../placement/physical-name.js";
import { toClientDetails } from "../../settings/canonical-settings.js";
import { unguardMessage } from "../../settings/document-templates.js";
import {
  isFinalStatus,
  type NodeTaskRow,
  type TaskErrorRow,
  type TaskRow,
  type TaskStatus,
} from "../../store/task-store.js";
import { type CountReport, countByCopies, countOnce } from "./count-reports.js";
import { editDetails, editError } from "./edit-details.js";
import type { IndexReplicas } from "./index-replicas.js";
import {
  awaitedOnShard,
  countedOnShard,
  isSuccess,
  membersOnShard,
  shardsAsked,
  shardsOf,
} from "./shard-reports.js";

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

/**
 * The client task that these node tasks make (design §5): `enqueued` until one starts, final when every node task
 * that counts is final. On each shard those of the in-sync replicas count; where there are none, the
 * suspect ones; else all. A shard's outcome is that of most of its replicas; the task fails with the
 * first error in time of a shard that failed.
 *
 * Nodes that a copy fills, or takes shards from, are waited for too, so that whoever saw the task succeed finds its effect on either
 * side of a switch. What nodes report of shards that they are being filled with counts for nothing: they hold a part of them.
 *
 * `index` is undefined where the index is gone; then all node tasks count. A task that is final already, and
 * one without node tasks, stay as they are.
 */
export function aggregateTask(task: TaskRow, index: IndexReplicas | undefined): TaskVerdict {
  if (isFinalStatus(task.status) || task.nodeTasks.length === 0) return asItIs(task);
  const reports = latestPerNode(task.nodeTasks);
  const shards = shardsAsked(groupByShard(reports, index), index);
  const awaited = new Set([...shards].flatMap(([shard, onShard]) => awaitedOnShard(shard, onShard, index)));
  const startedAt = least([...awaited].map((report) => report.startedAt));
  if ([...awaited].some((report) => !isFinalStatus(report.status))) {
    const started = [...awaited].some((report) => report.status !== "enqueued");
    const status = started || task.status === "processing" ? "processing" : "enqueued";
    return {
      ...asItIs(task),
      status,
      startedAt: status === "processing" ? (startedAt ?? task.startedAt) : null,
    };
  }
  const outcome = judge(shards, index);
  const counted = new Set([...shards].flatMap(([shard, onShard]) => countedOnShard(shard, onShard, index)));
  const finishedAt = greatest([...awaited].map((report) => report.finishedAt));
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

function asItIs(task: TaskRow): TaskVerdict {
  const { status, error, detailsJson, startedAt, finishedAt } = task;
  return { status, error, detailsJson, startedAt, finishedAt, divergent: [] };
}

/**
 * A node that was sent the same part of a task twice counts with the later one: the former was settled before it was sent again. Parts
 * are told apart by their shards.
 */
function latestPerNode(nodeTasks: readonly NodeTaskRow[]): readonly NodeTaskRow[] {
  const made = new Set(nodeTasks.filter((task) => !isFencedOut(task)).map(({ nodeId }) => nodeId));
  const latest = new Map<string, NodeTaskRow>();
  for (const task of nodeTasks) {
    if (isFencedOut(task) && made.has(task.nodeId)) continue;
    const part = `${task.nodeId} ${task.shards.join(",")}`;
    const held = latest.get(part);
    if (held === undefined || held.nodeTaskUid < task.nodeTaskUid) latest.set(part, task);
  }
  return [...latest.values()];
}

/**
 * Whether the request came under a name that the index no longer bore (invariant 7). Where the node has another task of the same write, the
 * writer sent it again behind the rename, and this one never touched a document.
 */
function isFencedOut({ status, error }: NodeTaskRow): boolean {
  return status === "failed" && error?.code === "index_not_found";
}

/** Shards that reports name are all that the task is about: its writer named them, and others were only found in nodes' logs. */
function groupByShard(
  reports: readonly NodeTaskRow[],
  index: IndexReplicas | undefined,
): ReadonlyMap<number, readonly NodeTaskRow[]> {
  const groups = new Map<number, NodeTaskRow[]>();
  const named = new Set(reports.flatMap(({ shards }) => shards));
  for (const report of reports) {
    for (const shard of shardsOf(report, index)) {
      if (named.size > 0 && !named.has(shard)) continue;
      const group = groups.get(shard);
      if (group === undefined) groups.set(shard, [report]);
      else group.push(report);
    }
  }
  return groups;
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
  for (const [shard, reports] of shards) {
    const counted = membersOnShard(shard, reports, index);
    const succeeded = counted.filter((report) => report.status === "succeeded");
    const failed = counted.filter((report) => report.status !== "succeeded");
    const success = isSuccess(counted);
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
  const spread = wholeCounts(
    counted.map((report) => ({
      report,
      shards: shardsOf(report, index).filter((shard) =>
        countedOnShard(shard, shards.get(shard) ?? [], index).includes(report),
      ),
    })),
    shards.size,
    index,
  );
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

interface SpreadReport {
  readonly report: NodeTaskRow;
  readonly shards: readonly number[];
}

/**
 * A write that names no shards is counted by nodes over all that they hold, also what a copy is filling them with or has left there.
 * Such nodes count only where the others do not hold every shard.
 */
function wholeCounts(
  spread: readonly SpreadReport[],
  shards: number,
  index: IndexReplicas | undefined,
): readonly SpreadReport[] {
  const partial = index?.copy?.partial;
  if (partial === undefined) return spread;
  const whole = spread.filter(({ report }) => report.shards.length > 0 || !partial.has(report.nodeId));
  return new Set(whole.flatMap((entry) => entry.shards)).size === shards ? whole : spread;
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
