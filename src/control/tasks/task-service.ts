import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { CancelTasksRequest, DeleteTasksRequest, TaskService } from "../../gen/miroir/v1/tasks_pb.js";
import type { World } from "../../runtime/world.js";
import { type FencingToken, type TaskStore, taskUid } from "../../store/task-store.js";
import { keepEmbedderSecrets } from "../settings/secret-keeper.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { taskFromProto } from "./task-codec.js";
import { createTaskReads, filterOf } from "./task-reads.js";
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
  /** When this process began to answer for the present term, on the monotonic clock; undefined where it does not yet. */
  readonly servingSince: () => number | undefined;
}

/** Milliseconds that proxies have, from the beginning of a term, to tell of what they accepted before it. */
const TELLING_MS = 5_000;
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
    ...createTaskReads(store, () =>
      stillUntold(world.clock.monotonic() - (options.servingSince() ?? Number.POSITIVE_INFINITY)),
    ),
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

function stillUntold(servingMs: number): ConnectError | undefined {
  if (servingMs > TELLING_MS) return undefined;
  return new ConnectError(
    "this control process has just begun to lead and is being told of tasks; try again shortly",
    Code.Unavailable,
  );
}

function removalOf(request: DeleteTasksRequest | CancelTasksRequest): TaskRemovalRequest {
  const { taskUid: uid, matching, originalFilter } = request;
  return {
    uid: taskUid(Number(uid)),
    matching: matching === undefined ? undefined : filterOf(matching),
    originalFilter,
  };
}
