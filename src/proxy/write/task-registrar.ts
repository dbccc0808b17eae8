import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Task, TaskSchema } from "../../gen/miroir/v1/tasks_pb.js";
import type { World } from "../../runtime/world.js";
import { ControlRefusedError, type ControlTransport, ControlUnavailableError } from "../control-transport.js";
import type { WriteLogger } from "./types.js";
import type { WriteMetrics } from "./write-metrics.js";

/** A task as it is registered. */
export type TaskInit = MessageInitShape<typeof TaskSchema>;

/** Makes accepted writes known to the control plane. */
export interface TaskRegistrar {
  /**
   * Resolves when the control plane knows the task, or, while it is away, when the task is kept for it. Never rejects:
   * the write has been accepted, and registering is safe to repeat.
   */
  register(task: TaskInit): Promise<void>;
  /** Whether there is room for another task that the control plane cannot be told of. */
  hasRoom(): boolean;
  pending(): number;
  /** An accepted task that the control plane does not know yet. */
  find(uid: bigint): Task | undefined;
  /** Resolves when nothing is pending, or `signal` aborts. */
  flush(signal: AbortSignal): Promise<void>;
  close(): void;
}

const BATCH = 500;
/** Short: clients ask for these tasks, at other proxies too. */
const MAX_RETRY_MS = 1_000;

/** A registrar that keeps at most `maxPending` tasks; whoever writes asks {@link TaskRegistrar.hasRoom} first. */
export function createTaskRegistrar(
  control: ControlTransport,
  session: string,
  world: World,
  logger: WriteLogger,
  metrics: WriteMetrics,
  options: { readonly maxPending: number; readonly timeoutMs: number },
): TaskRegistrar {
  const pending: TaskInit[] = [];
  const waiting = new Set<() => void>();
  const closed = new AbortController();
  let draining = false;

  const send = (tasks: readonly TaskInit[]) =>
    control.registerTasks({ session, tasks: [...tasks] }, { timeoutMs: options.timeoutMs });

  const drain = async (): Promise<void> => {
    let pause = 100;
    while (pending.length > 0 && !closed.signal.aborted) {
      const batch = pending.slice(0, BATCH);
      try {
        await send(batch);
        pending.splice(0, batch.length);
        pause = 100;
      } catch (error) {
        if (error instanceof ControlRefusedError && isFinal(error)) {
          pending.splice(0, batch.length);
          logger.error(
            { err: error, tasks: batch.map((task) => String(task.uid)) },
            "the control plane refuses to register accepted tasks; their node tasks can be found by customMetadata",
          );
          continue;
        }
        await world.timers.sleep(pause, closed.signal).catch(() => undefined);
        pause = Math.min(pause * 2, MAX_RETRY_MS);
      }
    }
    if (pending.length === 0) for (const done of waiting) done();
  };
  const keep = (task: TaskInit): void => {
    pending.push(task);
    metrics.registrationDelayed();
    startDraining();
  };
  const startDraining = (): void => {
    if (draining) return;
    draining = true;
    drain()
      .catch((error: unknown) => logger.error({ err: error }, "registering tasks failed"))
      .finally(() => {
        draining = false;
        // A task may have come in after the last look and before this line.
        if (pending.length > 0 && !closed.signal.aborted) startDraining();
      })
      .catch(() => undefined);
  };

  return {
    async register(task) {
      if (pending.length > 0) {
        keep(task);
        return;
      }
      try {
        await send([task]);
      } catch (error) {
        const kept = error instanceof ControlUnavailableError || error instanceof ControlRefusedError;
        const level = kept ? "warn" : "error";
        logger[level]({ err: error, task: String(task.uid) }, "an accepted task is registered later");
        keep(task);
      }
    },
    hasRoom: () => pending.length < options.maxPending,
    pending: () => pending.length,
    find: (uid) => {
      const task = pending.find((candidate) => candidate.uid === uid);
      return task === undefined ? undefined : create(TaskSchema, task);
    },
    flush: (signal) =>
      new Promise((resolve) => {
        if (pending.length === 0 || signal.aborted) {
          resolve();
          return;
        }
        const done = () => {
          waiting.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        waiting.add(done);
        signal.addEventListener("abort", done, { once: true });
      }),
    close: () => closed.abort(),
  };
}

/** Whether repeating the call cannot help. */
function isFinal(error: ControlRefusedError): boolean {
  return error.code === "invalid_argument" || error.code === "permission_denied";
}
