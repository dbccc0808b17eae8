import { ControlRefusedError } from "../control-transport.js";
import { currentView } from "../read/indexes.js";
import type { TopologySource } from "../topology/topology-view.js";
import { controlUnavailable } from "./api-errors.js";
import { asked, untilEpoch } from "./control-asks.js";
import type { RouteServices } from "./services.js";

/** How often a change is made anew because another one came first. */
const MAX_ATTEMPTS = 10;
/** How long another change is waited for until this proxy knows it. Milliseconds. */
const WAIT_MS = 5_000;

/**
 * Changes what clients have set on the whole server, and resolves once this proxy acts on it. What was read is what is changed: where
 * another proxy was faster, `change` is asked again with what that one left.
 *
 * @param change gives the new JSON from the present one, undefined for a resource that is not there; may throw to give up
 * @param refusals what is answered where the control plane refuses, by code
 * @throws MeilisearchError, and what `change` throws
 */
export async function changeResource(
  { control, topology }: Pick<RouteServices, "control" | "topology">,
  name: string,
  change: (json: string | undefined) => string | undefined,
  signal: AbortSignal,
  refusals: Partial<Record<ControlRefusedError["code"], () => Error>> = {},
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const held = currentView(topology).resources.get(name);
    const json = change(held?.json);
    const expectedVersion = held?.version ?? 0n;
    try {
      const answer = await asked(
        () =>
          control.setResource({ name, expectedVersion, ...(json === undefined ? {} : { json }) }, { signal }),
        refusals,
      );
      await untilEpoch(topology, answer.epoch, signal);
      return;
    } catch (error) {
      const isLate = error instanceof ControlRefusedError && error.code === "aborted";
      if (!isLate || attempt >= MAX_ATTEMPTS) throw error;
    }
    await anotherVersion(topology, name, expectedVersion, signal);
  }
}

async function anotherVersion(
  topology: TopologySource,
  name: string,
  version: bigint,
  signal: AbortSignal,
): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]);
  await topology
    .waitFor((view) => (view.resources.get(name)?.version ?? 0n) !== version, limit)
    .catch((cause: unknown) => {
      throw controlUnavailable(cause);
    });
}
