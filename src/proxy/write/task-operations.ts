import { TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { formatMoment } from "../../tasks/rfc3339.js";
import { typeName } from "../../tasks/task-names.js";
import { untilAnswered } from "./control-calls.js";
import type { BackupKind, ExportRequest, TaskRemovalWrite, WriteAnswer, WriteResult } from "./types.js";
import type { WriteCore } from "./write-core.js";

/** Work on the server rather than on documents: the control plane's, under uids of this proxy, so that they follow those of its writes. */
export class TaskOperations {
  constructor(private readonly core: WriteCore) {}

  /** Compacting an index: the control plane's work as well, one node after the other. */
  compactIndex(uid: string): Promise<WriteResult> {
    const { control } = this.core.context;
    return this.#enqueue(
      { status: 202, type: TaskType.INDEX_COMPACTION, indexUid: uid, what: "compacting the index" },
      (task, options) => control.compactIndex({ ...task, uid }, options),
    );
  }

  remove({ kind, matching, originalFilter }: TaskRemovalWrite): Promise<WriteResult> {
    const { control } = this.core.context;
    const removal = { originalFilter, ...(matching === undefined ? {} : { matching }) };
    return kind === "delete"
      ? this.#enqueue(
          { status: 200, type: TaskType.TASK_DELETION, what: "deleting tasks" },
          (task, options) => control.deleteTasks({ ...task, ...removal }, options),
        )
      : this.#enqueue(
          { status: 200, type: TaskType.TASK_CANCELATION, what: "canceling tasks" },
          (task, options) => control.cancelTasks({ ...task, ...removal }, options),
        );
  }

  /** Has the control plane copy indexes to another Meilisearch. */
  export(request: ExportRequest): Promise<WriteResult> {
    const { control } = this.core.context;
    return this.#enqueue({ status: 200, type: TaskType.EXPORT, what: "exporting indexes" }, (task, options) =>
      control.export({ ...request, ...task }, options),
    );
  }

  /** Has the control plane back the fleet up. */
  backUp(kind: BackupKind): Promise<WriteResult> {
    const { control } = this.core.context;
    return kind === "dump"
      ? this.#enqueue(
          { status: 202, type: TaskType.DUMP_CREATION, what: "creating the dump" },
          (task, options) => control.createDump(task, options),
        )
      : this.#enqueue(
          { status: 202, type: TaskType.SNAPSHOT_CREATION, what: "creating the snapshot" },
          (task, options) => control.createSnapshot(task, options),
        );
  }

  /** Hands a task over to the control plane, under a uid of this proxy. */
  async #enqueue(
    { status, type, indexUid, what }: Operation,
    send: (
      task: { readonly taskUid: bigint; readonly session: string },
      options: { readonly timeoutMs: number },
    ) => Promise<unknown>,
  ): Promise<WriteResult> {
    this.core.requireWritable();
    const { lease, config } = this.core.context;
    const taskUid = await this.core.uids.take();
    const enqueuedAt = this.core.now();
    const task = { taskUid, session: lease.session };
    const options = { timeoutMs: config.controlTimeoutMs };
    await untilAnswered<unknown>(this.core.context, () => send(task, options), taskUid, what);
    return { status, body: enqueued(taskUid, type, enqueuedAt, indexUid) };
  }
}

/** How the client is answered, and what is said to be under way. */
interface Operation {
  readonly status: 200 | 202;
  readonly type: TaskType;
  readonly indexUid?: string;
  readonly what: string;
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
