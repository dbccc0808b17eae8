import { NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";

const RETRY_MS = 200;

/**
 * Asks a node again for as long as it does not answer and `patienceMs` are not over. For questions that may be asked twice.
 *
 * @throws NodeUnavailableError the last one, and at once whatever else `ask` throws
 */
export async function untilAnswered<T>(
  { clock, timers }: Pick<World, "clock" | "timers">,
  patienceMs: number,
  ask: () => Promise<T>,
): Promise<T> {
  const deadline = clock.monotonic() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NodeUnavailableError) || clock.monotonic() + RETRY_MS >= deadline) throw error;
      await timers.sleep(RETRY_MS);
    }
  }
}
