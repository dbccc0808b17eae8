import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  CancelTasksRequest,
  DeleteTasksRequest,
  ListTasksRequest,
  TaskService,
} from "../../gen/miroir/v1/tasks_pb.js";
import type { World } from "../../runtime/world.js";
import {
  type FencingToken,
  type TaskFilter,
  type TaskStore,
  type TaskUid,
  taskUid,
} from "../../store/task-store.js";
import { keepEmbedderSecrets } from "../settings/secret-keeper.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { statusFromProto, taskFromProto, taskToProto, timeFromProto, typeFromProto } from "./task-codec.js";
import type { TaskRegistry } from "./task-registry.js";
import type { TaskRemoval, TaskRemovalRequest } from "./task-removal.js";

/** What {@link createTaskService} works with. */
export interface TaskServiceOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly registry: TaskRegistry;
  readonly removal: TaskRemoval;
  readonly fence: () => FencingToken;
  readonly world: World;
}

const DEFAULT_LIMIT = 20;
/** Written anew in about a second, well within a lease. */
const MAX_COMPACTED_BYTES = 256 * 1024 * 1024;

/** Serves Miroir's own tasks. Requests are within the bounds that the proto files state. */
export function createTaskService(options: TaskServiceOptions): ServiceImpl<typeof TaskService> {
  const { store, topology, registry, removal, fence, world } = options;
  return {
    async allocateTaskUids({ count }) {
      return { firstUid: BigInt(await store.tasks.allocateUids(count, fence())), count };
    },
    async registerTasks({ tasks }) {
      const now = world.clock.now();
      await keepEmbedderSecrets(topology, tasks);
      await registry.register(tasks.map((task) => taskFromProto(task, now)));
      return {};
    },
    async getTask({ uid }) {
      const row = await store.tasks.get(taskUid(Number(uid)));
      if (row === undefined) throw new ConnectError(`no task has the uid ${uid}`, Code.NotFound);
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
    async compactTaskStore() {
      const result = await store.compact(MAX_COMPACTED_BYTES);
      if (result.kind === "too-large") {
        throw new ConnectError(
          `the task store has ${result.bytes} bytes, more than the ${MAX_COMPACTED_BYTES} that are written anew beside the work; delete tasks, or stop the control plane and compact the file by hand`,
          Code.FailedPrecondition,
        );
      }
      return { bytesBefore: BigInt(result.bytesBefore), bytesAfter: BigInt(result.bytesAfter) };
    },
    async deleteTasks(request) {
      await removal.delete(removalOf(request));
      return {};
    },
    async cancelTasks(request) {
      await removal.cancel(removalOf(request));
      return {};
    },
  };
}

function removalOf(request: DeleteTasksRequest | CancelTasksRequest): TaskRemovalRequest {
  const { taskUid: uid, matching, originalFilter } = request;
  return {
    uid: taskUid(Number(uid)),
    matching: matching === undefined ? undefined : filterOf(matching),
    originalFilter,
  };
}

/** An empty list on the wire is an absent one. */
function filterOf(request: ListTasksRequest): TaskFilter {
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
