import { TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import { formatMoment } from "../../tasks/rfc3339.js";
import { typeName } from "../../tasks/task-names.js";
import { checkedIndexUid } from "../http/api-errors.js";
import { untilAnswered } from "./control-calls.js";
import type { IndexSwap, WriteResult } from "./types.js";
import type { WriteCore } from "./write-core.js";

/** How long a client waits for a change of names that can be made at once. Milliseconds. */
const FIRST_WAIT_MS = 200;
const LATER_WAIT_MS = 4_000;

/** Asks the control plane for a change of names, and again for its outcome. */
type NameCall = (taskUid: bigint, waitMs: number) => Promise<{ readonly epoch?: Epoch | undefined }>;

/**
 * Changes of index names. The control plane makes them once the tasks in front are final; until then writes to all the indexes wait in
 * their lanes, so that what was accepted before goes to the index of the old name, and what comes later to that of the new one.
 */
export class NameOperations {
  constructor(private readonly core: WriteCore) {}

  /** The swaps name every index once. */
  async swap(swaps: readonly IndexSwap[], signal: AbortSignal): Promise<WriteResult> {
    this.core.requireWritable();
    const { control, lease, config } = this.core.context;
    const request = {
      swaps: swaps.map(({ indexes: [leftUid, rightUid], rename }) => ({ leftUid, rightUid, rename })),
      session: lease.session,
    };
    return this.change(
      swaps.flatMap(({ indexes }) => indexes),
      { type: TaskType.INDEX_SWAP, indexUid: null, what: "swapping indexes" },
      signal,
      (taskUid, waitMs) =>
        control.swapIndexes({ ...request, taskUid, waitMs }, { timeoutMs: config.controlTimeoutMs + waitMs }),
    );
  }

  /** Renames an index, and sets its primary key where one is given. */
  async rename(
    uid: string,
    newUid: string,
    primaryKey: string | undefined,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    checkedIndexUid(uid);
    checkedIndexUid(newUid);
    this.core.requireWritable();
    const { control, lease, config } = this.core.context;
    const request = {
      uid,
      newUid,
      session: lease.session,
      ...(primaryKey === undefined ? {} : { primaryKey }),
    };
    return this.change(
      [uid, newUid],
      { type: TaskType.INDEX_UPDATE, indexUid: uid, what: "renaming the index" },
      signal,
      (taskUid, waitMs) =>
        control.renameIndex({ ...request, taskUid, waitMs }, { timeoutMs: config.controlTimeoutMs + waitMs }),
    );
  }

  /** Answers when the control plane has recorded the task; the lanes are held until it is done. */
  private change(
    names: readonly string[],
    task: { readonly type: TaskType; readonly indexUid: string | null; readonly what: string },
    signal: AbortSignal,
    call: NameCall,
  ): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      const work = async (): Promise<WriteResult> => {
        for (const name of names) await this.core.gather(name);
        const taskUid = await this.core.uids.take();
        const result: WriteResult = {
          status: 202,
          body: {
            taskUid: Number(taskUid),
            indexUid: task.indexUid,
            status: "enqueued",
            type: typeName(task.type),
            enqueuedAt: formatMoment(this.core.now()),
          },
        };
        const first = await untilAnswered(
          this.core.context,
          () => call(taskUid, FIRST_WAIT_MS),
          taskUid,
          task.what,
        );
        if (first?.epoch !== undefined) {
          await this.core.catalogue.waitForEpoch(first.epoch).catch(() => undefined);
          return result;
        }
        resolve(result);
        await this.untilDone(() => call(taskUid, LATER_WAIT_MS));
        return result;
      };
      this.core.inLanesUnregistered(names, signal, work).then(resolve, reject);
    });
  }

  /** Waits for the new names for as long as this proxy may write; its successor has them from the start. */
  private async untilDone(call: () => ReturnType<NameCall>): Promise<void> {
    const { world, config, closed, lease, logger } = this.core.context;
    while (!closed.aborted && lease.state().kind === "held") {
      try {
        const { epoch } = await call();
        if (epoch !== undefined) {
          await this.core.catalogue.waitForEpoch(epoch);
          return;
        }
      } catch (error) {
        logger.warn({ err: error }, "whether names of indexes have changed is not known yet");
        await world.timers.sleep(config.settleRetryMs, closed).catch(() => undefined);
      }
    }
  }
}
