import type { MessageInitShape } from "@bufbuild/protobuf";
import { type DeleteTasksRequestSchema, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { formatMoment } from "../../tasks/rfc3339.js";
import { typeName } from "../../tasks/task-names.js";
import { untilAnswered } from "./control-calls.js";
import type { BackupKind, ExportRequest, TaskRemovalWrite, WriteAnswer, WriteResult } from "./types.js";
import type { WriteCore } from "./write-core.js";

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
    return { status: 202, body: enqueued(taskUid, TaskType.INDEX_COMPACTION, enqueuedAt, uid) };
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
    const type = kind === "delete" ? TaskType.TASK_DELETION : TaskType.TASK_CANCELATION;
    return { status: 200, body: enqueued(taskUid, type, enqueuedAt) };
  }

  /** Has the control plane copy indexes to another Meilisearch. */
  async export(request: ExportRequest): Promise<WriteResult> {
    this.core.requireWritable();
    const { control, lease, config } = this.core.context;
    const taskUid = await this.core.uids.take();
    const enqueuedAt = this.core.now();
    await untilAnswered<unknown>(
      this.core.context,
      () =>
        control.export(
          { ...request, taskUid, session: lease.session },
          { timeoutMs: config.controlTimeoutMs },
        ),
      taskUid,
      "exporting indexes",
    );
    return { status: 200, body: enqueued(taskUid, TaskType.EXPORT, enqueuedAt) };
  }

  /** Has the control plane back the fleet up. */
  async backUp(kind: BackupKind): Promise<WriteResult> {
    this.core.requireWritable();
    const { control, lease, config } = this.core.context;
    const taskUid = await this.core.uids.take();
    const enqueuedAt = this.core.now();
    const request = { taskUid, session: lease.session };
    const options = { timeoutMs: config.controlTimeoutMs };
    await untilAnswered<unknown>(
      this.core.context,
      () =>
        kind === "dump" ? control.createDump(request, options) : control.createSnapshot(request, options),
      taskUid,
      `creating the ${kind}`,
    );
    const type = kind === "dump" ? TaskType.DUMP_CREATION : TaskType.SNAPSHOT_CREATION;
    return { status: 202, body: enqueued(taskUid, type, enqueuedAt) };
  }
}

function enqueued(
  taskUid: bigint,
  type: TaskType,
  enqueuedAt: Parameters<typeof formatMoment>[0],
  indexUid: string | null = null,
): WriteAnswer {
  return {
    taskUid: Number(taskUid),
    indexUid,
    status: "enqueued",
    type: typeName(type),
    enqueuedAt: formatMoment(enqueuedAt),
  };
}
