import { ApiError } from "../errors.js";
import { hasFilters, matchesTask, pageOf, readTaskQuery } from "../task-filter.js";
import { taskNotFound } from "../task-queue.js";
import { batchView, type Task, taskView } from "../tasks.js";
import { accepted, type RequestContext, type Route, reply } from "./context.js";

/** Whether a key may see a task: all may where it covers all indexes, else tasks of its indexes only. */
function visible({ access }: RequestContext, task: Task): boolean {
  return (
    access.indexes.includes("*") || (task.indexUid !== null && access.allows("tasks.get", task.indexUid))
  );
}

function taskUid(context: RequestContext): number {
  const text = context.params.task ?? "";
  if (/^\d+$/.test(text)) return Number(text);
  throw new ApiError(
    "invalid_task_uids",
    `Task uid \`${text}\` is invalid. It should only contain numeric characters.`,
  );
}

function listTasks(context: RequestContext) {
  const { filter, page } = readTaskQuery(context.query, true);
  const counted = context.node.queue.tasks.filter(
    (task) => visible(context, task) && matchesTask(task, filter),
  );
  // Swaps are counted under the names that they mention but listed under none, as Meilisearch does.
  const listed = counted.filter(
    (task) =>
      filter.indexUids === undefined || (task.indexUid !== null && filter.indexUids.has(task.indexUid)),
  );
  const result = pageOf(listed, page);
  return reply({
    results: result.items.map(taskView),
    total: counted.length,
    limit: result.limit,
    from: result.from,
    next: result.next,
  });
}

function listBatches(context: RequestContext) {
  const { filter, page } = readTaskQuery(context.query, true);
  const { queue } = context.node;
  const uids = new Set(
    queue.tasks
      .filter((task) => visible(context, task) && matchesTask(task, filter))
      .flatMap((task) => (task.batchUid === null ? [] : [task.batchUid])),
  );
  const result = pageOf(
    queue.batches.filter((batch) => uids.has(batch.uid)),
    page,
  );
  return reply({
    results: result.items.map(batchView),
    total: result.total,
    limit: result.limit,
    from: result.from,
    next: result.next,
  });
}

function selection(context: RequestContext, verb: "cancel" | "delete") {
  const { filter } = readTaskQuery(context.query, false);
  if (!hasFilters(context.query)) {
    throw new ApiError(
      "missing_task_filters",
      `Query parameters to filter the tasks to ${verb} are missing. Available query parameters are: \`uids\`, \`indexUids\`, \`statuses\`, \`types\`, \`canceledBy\`, \`beforeEnqueuedAt\`, \`afterEnqueuedAt\`, \`beforeStartedAt\`, \`afterStartedAt\`, \`beforeFinishedAt\`, \`afterFinishedAt\`.`,
    );
  }
  const uids = context.node.queue
    .select(filter)
    .filter((task) => visible(context, task))
    .map((task) => task.uid);
  return { uids, query: `?${decodeURIComponent(context.query.toString())}` };
}

/** Tasks and batches. */
export const TASK_ROUTES: readonly Route[] = [
  { method: "GET", path: "/tasks", action: "tasks.get", handle: listTasks },
  {
    method: "DELETE",
    path: "/tasks",
    action: "tasks.delete",
    handle: (context) =>
      accepted(
        context.node.queue.enqueue(null, { kind: "deleteTasks", ...selection(context, "delete") }),
        200,
      ),
  },
  {
    method: "POST",
    path: "/tasks/cancel",
    action: "tasks.cancel",
    handle: (context) =>
      accepted(
        context.node.queue.enqueue(null, { kind: "cancelTasks", ...selection(context, "cancel") }),
        200,
      ),
  },
  {
    method: "GET",
    path: "/tasks/:task",
    action: "tasks.get",
    handle: (context) => {
      const uid = taskUid(context);
      const task = context.node.queue.get(uid);
      if (task === undefined || !visible(context, task)) throw taskNotFound(uid);
      return reply(taskView(task));
    },
  },
  { method: "GET", path: "/batches", action: "tasks.get", handle: listBatches },
  {
    method: "GET",
    path: "/batches/:task",
    action: "tasks.get",
    handle: (context) => {
      const uid = context.params.task ?? "";
      const batch = context.node.queue.batch(Number(uid));
      if (batch === undefined) throw new ApiError("batch_not_found", `Batch \`${uid}\` not found.`);
      return reply(batchView(batch));
    },
  },
];
