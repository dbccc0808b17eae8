import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ListTasksRequest, TaskService } from "../../gen/miroir/v1/tasks_pb.js";
import { type TaskFilter, type TaskStore, type TaskUid, taskUid } from "../../store/task-store.js";
import { statusFromProto, taskToProto, timeFromProto, typeFromProto } from "./task-codec.js";

const DEFAULT_LIMIT = 20;

/**
 * The methods of the task service that only read: any control process answers them, from the store.
 *
 * @param untold what is thrown for a task that is not recorded although its uid was given, as long as a proxy may have accepted it
 *   and not have told of it yet; undefined where every proxy has
 */
export function createTaskReads(
  store: Pick<TaskStore, "tasks">,
  untold: () => ConnectError | undefined,
): Pick<ServiceImpl<typeof TaskService>, "getTask" | "listTasks" | "countTasks"> {
  return {
    async getTask({ uid }) {
      const row = await store.tasks.get(taskUid(Number(uid)));
      if (row === undefined) {
        const reason = untold();
        if (reason !== undefined && uid < (await store.tasks.nextUid())) throw reason;
        throw new ConnectError(`no task has the uid ${uid}`, Code.NotFound);
      }
      return { task: taskToProto(row) };
    },
    async listTasks(request) {
      const page = await store.tasks.list(filterOf(request), {
        limit: request.limit ?? DEFAULT_LIMIT,
        reverse: request.reverse,
        ...(request.from === undefined ? {} : { from: taskUid(Number(request.from)) }),
      });
      return {
        tasks: page.tasks.map(taskToProto),
        total: BigInt(page.total),
        ...(page.next === undefined ? {} : { next: BigInt(page.next) }),
      };
    },
    async countTasks({ matching }) {
      const totals: bigint[] = [];
      for (const selection of matching) {
        const { total } = await store.tasks.list(filterOf(selection), { limit: 1 });
        totals.push(BigInt(total));
      }
      return { totals };
    },
  };
}

/** An empty list on the wire is an absent one. */
export function filterOf(request: ListTasksRequest): TaskFilter {
  const uids = (values: readonly bigint[]): TaskUid[] => values.map((value) => taskUid(Number(value)));
  return {
    ...given("uids", nonEmpty(uids(request.uids))),
    ...given("indexUids", nonEmpty(request.indexUids)),
    ...given("statuses", nonEmpty(request.statuses.map(statusFromProto))),
    ...given("types", nonEmpty(request.types.map(typeFromProto))),
    ...given("canceledBy", nonEmpty(uids(request.canceledBy))),
    ...given("beforeEnqueuedAt", timeFromProto(request.beforeEnqueuedAt)),
    ...given("afterEnqueuedAt", timeFromProto(request.afterEnqueuedAt)),
    ...given("beforeStartedAt", timeFromProto(request.beforeStartedAt)),
    ...given("afterStartedAt", timeFromProto(request.afterStartedAt)),
    ...given("beforeFinishedAt", timeFromProto(request.beforeFinishedAt)),
    ...given("afterFinishedAt", timeFromProto(request.afterFinishedAt)),
  };
}

function nonEmpty<T>(values: readonly T[]): readonly T[] | undefined {
  return values.length === 0 ? undefined : values;
}

function given<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: V });
}
