import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import { epochReached } from "../../topology/epoch.js";
import { ControlRefusedError, ControlUnavailableError } from "../control-transport.js";
import type { TopologySource } from "../topology/topology-view.js";
import { controlUnavailable } from "./api-errors.js";

/** How long a change is waited for until this proxy acts on it. Milliseconds. */
const EPOCH_WAIT_MS = 5_000;

/**
 * A call to the control plane on behalf of a client.
 *
 * @param refusals what is answered where the control plane refuses, by code
 * @throws MeilisearchError 503 where it does not answer
 */
export async function asked<T>(
  call: () => Promise<T>,
  refusals: Partial<Record<ControlRefusedError["code"], () => Error>> = {},
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ControlUnavailableError) throw controlUnavailable(error);
    if (error instanceof ControlRefusedError) throw refusals[error.code]?.() ?? error;
    throw error;
  }
}

/**
 * Resolves once this proxy's topology holds an epoch: until then it would still act on what was before.
 *
 * @throws MeilisearchError 503
 */
export async function untilEpoch(
  topology: TopologySource,
  epoch: Epoch | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (epoch === undefined) return;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(EPOCH_WAIT_MS)]);
  await topology
    .waitFor((view) => epochReached(view.epoch, epoch), limit)
    .catch((cause: unknown) => {
      throw controlUnavailable(cause);
    });
}
