import { ApiError } from "./errors.js";
import { type Batch, TASK_STATUSES, TASK_TYPES, type Task, type TaskStatus, type TaskType } from "./tasks.js";
import { parseDate, toNanoseconds } from "./time.js";
import { indexUidMessage, isIndexUid } from "./validate.js";

const DATE_NAMES = [
  "afterEnqueuedAt",
  "beforeEnqueuedAt",
  "afterStartedAt",
  "beforeStartedAt",
  "afterFinishedAt",
  "beforeFinishedAt",
] as const;
const PAGE_NAMES = ["limit", "from", "reverse"] as const;
const LIST_NAMES = ["batchUids", "uids", "canceledBy", "types", "statuses", "indexUids"] as const;

/** Which tasks are meant. An absent member selects all. */
export interface TaskFilter {
  readonly uids?: ReadonlySet<number>;
  readonly batchUids?: ReadonlySet<number>;
  readonly canceledBy?: ReadonlySet<number>;
  readonly types?: ReadonlySet<TaskType>;
  readonly statuses?: ReadonlySet<TaskStatus>;
  readonly indexUids?: ReadonlySet<string>;
  readonly dates: readonly { readonly name: (typeof DATE_NAMES)[number]; readonly nanoseconds: bigint }[];
}

/** A page of the task log. */
export interface TaskPage {
  readonly limit: number;
  readonly from: number | undefined;
  readonly reverse: boolean;
}

function invalid(name: string, code: string, message: string): ApiError {
  return new ApiError(code, `Invalid value in parameter \`${name}\`: ${message}`);
}

function positiveInteger(text: string, name: string, code: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw invalid(name, code, `could not parse \`${text}\` as a positive integer`);
}

function list<T>(
  query: URLSearchParams,
  name: string,
  parse: (text: string) => T,
): ReadonlySet<T> | undefined {
  const text = query.get(name);
  if (text === null || text === "*") return undefined;
  return new Set(text.split(",").map((item) => parse(item.trim())));
}

function oneOf<T extends string>(options: readonly T[], name: string, code: string, what: string) {
  return (text: string): T => {
    const found = options.find((option) => option.toLowerCase() === text.toLowerCase());
    if (found !== undefined) return found;
    const names = options.map((option) => `\`${option}\``).join(", ");
    throw invalid(
      name,
      code,
      `\`${text}\` is not a valid task ${what}. Available ${what === "status" ? "statuses" : "types"} are ${names}.`,
    );
  };
}

/** Reads the filters of a task query, and with `paged` its page. */
export function readTaskQuery(
  query: URLSearchParams,
  paged: boolean,
): { filter: TaskFilter; page: TaskPage } {
  const known: readonly string[] = paged
    ? [...PAGE_NAMES, ...LIST_NAMES, ...DATE_NAMES]
    : ["uids", "batchUids", ...LIST_NAMES.slice(2), ...DATE_NAMES];
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const names = known.map((option) => `\`${option}\``).join(", ");
    throw new ApiError("bad_request", `Unknown parameter \`${name}\`: expected one of ${names}`);
  }
  const dates = DATE_NAMES.flatMap((name) => {
    const text = query.get(name);
    if (text === null || text === "*") return [];
    const date = parseDate(text);
    if (date === undefined) {
      const code = `invalid_task_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
      throw invalid(
        name,
        code,
        `\`${text}\` is an invalid date-time. It should follow the YYYY-MM-DD or RFC 3339 date-time format.`,
      );
    }
    const day = 86_400_000_000_000n;
    const nanoseconds = date.nanoseconds + (date.dateOnly && name.startsWith("after") ? day : 0n);
    return [{ name, nanoseconds }];
  });
  const uids = list(query, "uids", (text) => positiveInteger(text, "uids", "invalid_task_uids"));
  const batchUids = list(query, "batchUids", (text) =>
    positiveInteger(text, "batchUids", "invalid_batch_uids"),
  );
  const canceledBy = list(query, "canceledBy", (text) =>
    positiveInteger(text, "canceledBy", "invalid_task_canceled_by"),
  );
  const types = list(query, "types", oneOf(TASK_TYPES, "types", "invalid_task_types", "type"));
  const statuses = list(
    query,
    "statuses",
    oneOf(TASK_STATUSES, "statuses", "invalid_task_statuses", "status"),
  );
  const indexUids = list(query, "indexUids", (text) => {
    if (!isIndexUid(text)) throw invalid("indexUids", "invalid_index_uid", indexUidMessage(text));
    return text;
  });
  const reverse = query.get("reverse") ?? "false";
  if (reverse !== "true" && reverse !== "false") {
    throw invalid(
      "reverse",
      "invalid_task_reverse",
      `could not parse \`${reverse}\` as a boolean, expected either \`true\` or \`false\``,
    );
  }
  const from = query.get("from");
  return {
    filter: {
      dates,
      ...(uids && { uids }),
      ...(batchUids && { batchUids }),
      ...(canceledBy && { canceledBy }),
      ...(types && { types }),
      ...(statuses && { statuses }),
      ...(indexUids && { indexUids }),
    },
    page: {
      limit: positiveInteger(query.get("limit") ?? "20", "limit", "invalid_task_limit"),
      from: from === null ? undefined : positiveInteger(from, "from", "invalid_task_from"),
      reverse: reverse === "true",
    },
  };
}

/** Whether a query names any filter at all, which cancelling and deleting demand. */
export function hasFilters(query: URLSearchParams): boolean {
  return [...LIST_NAMES, ...DATE_NAMES].some((name) => query.has(name));
}

/** Whether a task is meant by a filter. */
export function matchesTask(task: Task, filter: TaskFilter): boolean {
  const names = [...(task.indexUid === null ? [] : [task.indexUid]), ...task.alsoNames];
  return (
    (filter.uids?.has(task.uid) ?? true) &&
    (filter.batchUids === undefined || (task.batchUid !== null && filter.batchUids.has(task.batchUid))) &&
    (filter.canceledBy === undefined ||
      (task.canceledBy !== null && filter.canceledBy.has(task.canceledBy))) &&
    (filter.types?.has(task.type) ?? true) &&
    (filter.statuses?.has(task.status) ?? true) &&
    (filter.indexUids === undefined || names.some((name) => filter.indexUids?.has(name))) &&
    filter.dates.every(({ name, nanoseconds }) => {
      const time = name.endsWith("EnqueuedAt")
        ? task.enqueuedAt
        : name.endsWith("StartedAt")
          ? task.startedAt
          : task.finishedAt;
      if (time === null) return false;
      return name.startsWith("after") ? toNanoseconds(time) > nanoseconds : toNanoseconds(time) < nanoseconds;
    })
  );
}

/** A page of what matches, newest first unless reversed, with Meilisearch's `from` and `next`. */
export function pageOf<T extends Task | Batch>(matching: readonly T[], page: TaskPage) {
  const ordered = page.reverse ? matching : [...matching].reverse();
  const start = page.from;
  const reachable = ordered.filter(
    (item) => start === undefined || (page.reverse ? item.uid >= start : item.uid <= start),
  );
  const items = reachable.slice(0, page.limit);
  return {
    items,
    total: matching.length,
    limit: page.limit,
    from: items[0]?.uid ?? null,
    next: reachable[page.limit]?.uid ?? null,
  };
}
