import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { parsePhysicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import { findInstance } from "../tasks/index-replicas.js";
import { NodeSetupError } from "./errors.js";

const PAGE = 1_000;
/** Milliseconds for a node to delete what lay there. */
const DELETION_MS = 60_000;
const POLL_MS = 100;

/** The names of all indexes on a node. */
export async function indexNames(client: NodeClient, signal?: AbortSignal): Promise<readonly string[]> {
  const names: string[] = [];
  for (let offset = 0; ; offset += PAGE) {
    const path = `/indexes?limit=${PAGE}&offset=${offset}`;
    const page = (await client.json({
      method: "GET",
      path,
      ...(signal === undefined ? {} : { signal }),
    })) as { readonly results: readonly { readonly uid: string }[] };
    names.push(...page.results.map(({ uid }) => uid));
    if (page.results.length < PAGE) return names;
  }
}

/**
 * Refuses a server that holds indexes which this fleet did not make: it serves somebody. What a former node of the fleet still holds
 * is the fleet's.
 *
 * @throws NodeSetupError
 */
export async function refuseStrangeIndexes(
  client: NodeClient,
  node: { readonly id: string; readonly url: string },
  topology: Topology,
  wasMember: boolean,
): Promise<void> {
  const strange = (await indexNames(client)).filter((name) => {
    const instance = parsePhysicalName(name)?.instance;
    return instance === undefined || !(wasMember || findInstance(topology, instance) !== undefined);
  });
  if (strange.length === 0) return;
  throw new NodeSetupError(
    "not_empty",
    node.id,
    `the server at ${node.url} holds ${strange.length} ${strange.length === 1 ? "index" : "indexes"} that this fleet did not make (${strange.slice(0, 5).join(", ")}). Take an empty server, or delete them there if nobody needs them.`,
  );
}

/** Deletes every index on a node that bears one of Miroir's physical names, and waits until the node has done so, for a while. */
export async function deletePhysicalIndexes({ clock, timers }: World, client: NodeClient): Promise<void> {
  const names = (await indexNames(client)).filter((name) => parsePhysicalName(name) !== undefined);
  let last: number | undefined;
  for (const name of names) last = (await client.deleteIndex(name)).taskUid;
  const until = clock.monotonic() + DELETION_MS;
  while (last !== undefined && clock.monotonic() < until) {
    if ((await client.task(last)).finishedAt !== null) return;
    await timers.sleep(POLL_MS);
  }
}
