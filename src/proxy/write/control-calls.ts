import { ControlRefusedError, ControlUnavailableError } from "../control-transport.js";
import type { WriterContext } from "./generation-change.js";
import { controlRefused, outcomeUnknown } from "./refusals.js";

/**
 * Repeats a call to the control plane that is safe to repeat until it is answered, for as long as a client may be kept waiting.
 *
 * @param settled a refusal that says that an earlier attempt had its effect
 * @throws MeilisearchError `miroir_write_outcome_unknown` at the end of that time
 */
export async function untilAnswered<T>(
  { world, config, closed }: WriterContext,
  call: () => Promise<T>,
  taskUid: bigint,
  what: string,
  settled?: ControlRefusedError["code"],
): Promise<T | undefined> {
  const deadline = world.clock.monotonic() + config.settleHoldMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof ControlRefusedError) {
        if (attempt > 1 && error.code === settled) return undefined;
        throw controlRefused(what, error);
      }
      if (!(error instanceof ControlUnavailableError)) throw error;
      if (world.clock.monotonic() >= deadline) {
        throw outcomeUnknown(taskUid, "the control plane does not answer", { cause: error });
      }
    }
    await world.timers.sleep(config.settleRetryMs, closed);
  }
}
