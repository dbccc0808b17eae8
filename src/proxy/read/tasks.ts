import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ListTasksRequestSchema, Task, TaskStatus, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { printTask } from "../../tasks/print-task.js";
import { type Instant, parseInstant } from "../../tasks/rfc3339.js";
import { STATUSES, TYPES } from "../../tasks/task-names.js";
import { type ControlTransport, ControlUnavailableError } from "../control-transport.js";
import { apiError, controlUnavailable, indexUidFault } from "../http/api-errors.js";
import {
  boolean,
  ParameterFault,
  type ParameterReader,
  type ParameterValues,
  quotedList,
  readParameters,
  starOrList,
  unsigned32,
} from "../http/query-parameters.js";
import type { TaskLookups } from "./task-lookups.js";

function named<T>(
  names: ReadonlyMap<string, T>,
  kind: string,
  plural: string,
): ParameterReader<{ readonly value: T }> {
  return (name) => {
    const lower = name.toLowerCase();
    for (const [known, value] of names) {
      if (known.toLowerCase() === lower) return { value };
    }
    const available = [...names.keys()].map((known) => `\`${known}\``).join(", ");
    return new ParameterFault(
      `\`${name}\` is not a valid task ${kind}. Available ${plural} are ${available}.`,
    );
  };
}

const indexUid: ParameterReader<string> = (uid) => {
  const fault = indexUidFault(uid);
  return fault === undefined ? uid : new ParameterFault(fault);
};

/** A date alone means the whole day: `after` it begins with the next one. */
function date(bound: "before" | "after"): ParameterReader<{ readonly at: Instant | undefined }> {
  return (value) => {
    if (value === "*") return { at: undefined };
    const at = parseInstant(value, bound === "after" ? "next-day" : "that-day");
    return at === undefined
      ? new ParameterFault(
          `\`${value}\` is an invalid date-time. It should follow the YYYY-MM-DD or RFC 3339 date-time format.`,
        )
      : { at };
  };
}

const UIDS = { code: "invalid_task_uids", read: starOrList(unsigned32) } as const;
const BATCH_UIDS = { code: "invalid_batch_uids", read: starOrList(unsigned32) } as const;

const OTHER_FILTERS = {
  canceledBy: { code: "invalid_task_canceled_by", read: starOrList(unsigned32) },
  types: { code: "invalid_task_types", read: starOrList(named(TYPES, "type", "types")) },
  statuses: { code: "invalid_task_statuses", read: starOrList(named(STATUSES, "status", "statuses")) },
  indexUids: { code: "invalid_index_uid", read: starOrList(indexUid) },
  afterEnqueuedAt: { code: "invalid_task_after_enqueued_at", read: date("after") },
  beforeEnqueuedAt: { code: "invalid_task_before_enqueued_at", read: date("before") },
  afterStartedAt: { code: "invalid_task_after_started_at", read: date("after") },
  beforeStartedAt: { code: "invalid_task_before_started_at", read: date("before") },
  afterFinishedAt: { code: "invalid_task_after_finished_at", read: date("after") },
  beforeFinishedAt: { code: "invalid_task_before_finished_at", read: date("before") },
} as const;

/** In the order in which error messages list them, which is not the same for both. */
const FILTER_PARAMETERS = { uids: UIDS, batchUids: BATCH_UIDS, ...OTHER_FILTERS } as const;
const TASK_PARAMETERS = {
  limit: { code: "invalid_task_limit", read: unsigned32 },
  from: { code: "invalid_task_from", read: unsigned32 },
  reverse: { code: "invalid_task_reverse", read: boolean },
  batchUids: BATCH_UIDS,
  uids: UIDS,
  ...OTHER_FILTERS,
} as const;

/** The filters that Meilisearch names where none is given. */
const NAMED_FILTERS = [
  "uids",
  "indexUids",
  "statuses",
  "types",
  "canceledBy",
  "beforeEnqueuedAt",
  "afterEnqueuedAt",
  "beforeStartedAt",
  "afterStartedAt",
  "beforeFinishedAt",
  "afterFinishedAt",
] as const;

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 1_000_000;
const MAX_UID = 0xffff_ffffn;

/** Whose tasks a client may see. Under a restriction, those of no index are hidden. */
export type TaskVisibility =
  | { readonly kind: "all" }
  | {
      readonly kind: "some";
      /** Indexes that are there, or that the client's key names. */
      readonly indexUids: readonly string[];
      readonly shows: (indexUid: string) => boolean;
    };

function visibleIndexes(
  asked: readonly string[] | undefined,
  visibility: TaskVisibility = { kind: "all" },
): readonly string[] | undefined {
  if (visibility.kind === "all") return asked;
  return asked === undefined ? visibility.indexUids : asked.filter(visibility.shows);
}

/** Times between which tasks lie; absent bounds do not restrict. */
type TimeBounds = Pick<
  MessageInitShape<typeof ListTasksRequestSchema>,
  | "beforeEnqueuedAt"
  | "afterEnqueuedAt"
  | "beforeStartedAt"
  | "afterStartedAt"
  | "beforeFinishedAt"
  | "afterFinishedAt"
>;

/** Which tasks a client asks for. A list given empty matches nothing; an absent one does not restrict. */
export interface TaskSelection {
  readonly uids: readonly number[] | undefined;
  readonly indexUids: readonly string[] | undefined;
  readonly statuses: readonly TaskStatus[] | undefined;
  readonly types: readonly TaskType[] | undefined;
  readonly canceledBy: readonly number[] | undefined;
  readonly times: TimeBounds;
}

/** A {@link TaskSelection} with the page of it that is asked for. */
export interface TaskQuery extends TaskSelection {
  readonly limit: number;
  readonly from: number | undefined;
  readonly reverse: boolean;
}

/**
 * Reads the parameters of `GET /tasks` and `GET /batches`.
 *
 * @throws MeilisearchError
 */
export function readTaskQuery(query: string, visibility: TaskVisibility): TaskQuery {
  const given = readParameters(query, TASK_PARAMETERS);
  return {
    ...selectionOf(given, visibility),
    limit: given.limit ?? DEFAULT_LIMIT,
    from: given.from,
    reverse: given.reverse ?? false,
  };
}

/**
 * Reads the parameters of `DELETE /tasks` and `POST /tasks/cancel`: filters alone, at least one of them.
 *
 * @throws MeilisearchError
 */
export function readTaskSelection(
  query: string,
  purpose: "delete" | "cancel",
  visibility: TaskVisibility,
): TaskSelection {
  const given = readParameters(query, FILTER_PARAMETERS);
  if (Object.keys(given).length === 0) {
    throw apiError(
      400,
      "missing_task_filters",
      `Query parameters to filter the tasks to ${purpose} are missing. Available query parameters are: ${quotedList(NAMED_FILTERS)}.`,
    );
  }
  return selectionOf(given, visibility);
}

function selectionOf(
  given: ParameterValues<typeof FILTER_PARAMETERS>,
  visibility: TaskVisibility,
): TaskSelection {
  return {
    uids: intersection(given.uids, given.batchUids),
    indexUids: visibleIndexes(given.indexUids, visibility),
    statuses: given.statuses?.map(({ value }) => value),
    types: given.types?.flatMap(({ value }) => (value === undefined ? [] : [value])),
    canceledBy: given.canceledBy,
    times: {
      ...bound("beforeEnqueuedAt", given.beforeEnqueuedAt),
      ...bound("afterEnqueuedAt", given.afterEnqueuedAt),
      ...bound("beforeStartedAt", given.beforeStartedAt),
      ...bound("afterStartedAt", given.afterStartedAt),
      ...bound("beforeFinishedAt", given.beforeFinishedAt),
      ...bound("afterFinishedAt", given.afterFinishedAt),
    },
  };
}

/** The filters of a selection as the control plane takes them; undefined for one that matches nothing, which an empty list there does not say. */
export function selectionRequest(
  selection: TaskSelection,
): MessageInitShape<typeof ListTasksRequestSchema> | undefined {
  const { uids, indexUids, statuses, types, canceledBy, times } = selection;
  if ([uids, indexUids, statuses, types, canceledBy].some((list) => list?.length === 0)) return undefined;
  return {
    uids: uids?.map(BigInt) ?? [],
    indexUids: [...(indexUids ?? [])],
    statuses: [...(statuses ?? [])],
    types: [...(types ?? [])],
    canceledBy: canceledBy?.map(BigInt) ?? [],
    ...times,
  };
}

/**
 * `GET /tasks`: Miroir's own tasks, printed as Meilisearch prints them.
 *
 * @param query the client's query string
 * @throws MeilisearchError
 */
export async function listTasks(
  control: ControlTransport,
  query: string,
  signal: AbortSignal,
  visibility: TaskVisibility = { kind: "all" },
): Promise<string> {
  return listPage(control, readTaskQuery(query, visibility), printTask, signal);
}

/** One page of tasks, each printed by `print`. @throws MeilisearchError */
export async function listPage(
  control: ControlTransport,
  query: TaskQuery,
  print: (task: Task) => string,
  signal: AbortSignal,
): Promise<string> {
  const { limit, from: first, reverse } = query;
  const selected = selectionRequest(query);
  if (selected === undefined) {
    return JSON.stringify({ results: [], total: 0, limit, from: null, next: null });
  }
  const request = {
    ...selected,
    // A page of nothing still says where the next one begins: at its first task.
    limit: Math.min(Math.max(limit, 1), MAX_LIMIT),
    ...(first === undefined ? {} : { from: BigInt(first) }),
    reverse,
  };
  const answer = await asked(() => control.listTasks(request, { signal }));
  const page = limit === 0 ? [] : answer.tasks;
  const next = limit === 0 ? answer.tasks[0]?.uid : answer.next;
  const from = page[0]?.uid;
  const results = page.map(print).join(",");
  return `{"results":[${results}],"total":${answer.total},"limit":${limit},"from":${from ?? null},"next":${next ?? null}}`;
}

/**
 * The task that a path names. `unregistered` gives the tasks that this proxy accepted and the control plane was not told of yet.
 *
 * @throws MeilisearchError
 */
export async function getTask(
  lookups: TaskLookups,
  uidText: string,
  signal: AbortSignal,
  unregistered: (uid: bigint) => Task | undefined,
  visibility: TaskVisibility = { kind: "all" },
): Promise<Task> {
  const uid = uidInPath(uidText, "task");
  const task = await findTask(lookups, uid, signal, unregistered, visibility);
  if (task === undefined) throw apiError(404, "task_not_found", `Task \`${uid}\` not found.`);
  return task;
}

/** The uid in the path of one task or batch. @throws MeilisearchError for what is not an unsigned number of 32 bits */
export function uidInPath(text: string, kind: "task" | "batch"): bigint {
  const uid = /^\+?[0-9]+$/.test(text) ? BigInt(text.replace("+", "")) : undefined;
  if (uid !== undefined && uid <= MAX_UID) return uid;
  const name = kind === "task" ? "Task" : "Batch";
  throw apiError(
    400,
    `invalid_${kind}_uids`,
    `${name} uid \`${text}\` is invalid. It should only contain numeric characters.`,
  );
}

/** A task that the client may see; undefined where there is none. @throws MeilisearchError */
export async function findTask(
  lookups: TaskLookups,
  uid: bigint,
  signal: AbortSignal,
  unregistered: (uid: bigint) => Task | undefined,
  visibility: TaskVisibility,
): Promise<Task | undefined> {
  // The control plane does not know of what was accepted without it, until it has been told.
  const task = unregistered(uid) ?? (await asked(() => lookups.find(uid, signal)));
  const hidden = task !== undefined && visibility.kind === "some" && !visibility.shows(task.indexUid);
  return hidden ? undefined : task;
}

async function asked<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw error instanceof ControlUnavailableError ? controlUnavailable(error) : error;
  }
}

function bound(name: string, value: { readonly at: Instant | undefined } | undefined): object {
  return value?.at === undefined ? {} : { [name]: value.at };
}

function intersection(
  a: readonly number[] | undefined,
  b: readonly number[] | undefined,
): readonly number[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.filter((value) => b.includes(value));
}
