import type { MessageInitShape } from "@bufbuild/protobuf";
import { type DeleteTasksRequestSchema, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { formatInstant } from "../../tasks/rfc3339.js";
import { untilAnswered } from "./control-calls.js";
import type { TaskRemovalWrite, WriteResult } from "./types.js";
import { taskTypeName, type WriteCore } from "./write-core.js";

/** Work on the server rather than on documents: the control plane's, under uids of this proxy, so that they follow those of its writes. */
export class TaskOperations {
  constructor(private readonly core: WriteCore) {}

  /** Compacting an index: the control plane's work as well, one node after the other. */
  async compactIndex(uid: string): Promise<WriteResult> {
    this.core.requireWritable();
    const { control, lease, config } = this.core.context;
    const taskUid = await this.core.uids.take();
    const enqueuedAt = this.core.now();
    await untilAnswered<unknown>(
      this.core.context,
      () =>
        control.compactIndex(
          { taskUid, uid, session: lease.session },
          { timeoutMs: config.controlTimeoutMs },
        ),
      taskUid,
      "compacting the index",
    );
    return {
      status: 202,
      body: {
        taskUid: Number(taskUid),
        indexUid: uid,
        status: "enqueued",
        type: taskTypeName(TaskType.INDEX_COMPACTION),
        enqueuedAt: formatInstant(enqueuedAt),
      },
    };
  }

  async remove({ kind, matching, originalFilter }: TaskRemovalWrite): Promise<WriteResult> {
    this.core.requireWritable();
    const { control, lease, config } = this.core.context;
    const taskUid = await this.core.uids.take();
    const enqueuedAt = this.core.now();
    const request: MessageInitShape<typeof DeleteTasksRequestSchema> = {
      taskUid,
      originalFilter,
      session: lease.session,
      ...(matching === undefined ? {} : { matching }),
    };
    const options = { timeoutMs: config.controlTimeoutMs };
    await untilAnswered<unknown>(
      this.core.context,
      () =>
        kind === "delete" ? control.deleteTasks(request, options) : control.cancelTasks(request, options),
      taskUid,
      `${kind === "delete" ? "deleting" : "canceling"} tasks`,
    );
    return {
      status: 200,
      body: {
        taskUid: Number(taskUid),
        indexUid: null,
        status: "enqueued",
        type: taskTypeName(kind === "delete" ? TaskType.TASK_DELETION : TaskType.TASK_CANCELATION),
        enqueuedAt: formatInstant(enqueuedAt),
      },
    };
  }
}
