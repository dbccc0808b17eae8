import type { World } from "../../runtime/world.js";
import { NodeSetupError } from "./errors.js";
import { markNode, readMark } from "./node-keys.js";
import type { NodeVisit } from "./node-visit.js";

/** Begins the names of indexes that never exist: deleting one leaves a failed task, by which servers without keys are told apart. */
export const PROBE_PREFIX = "miroir-probe-";

/** A node as it was found just now. */
export interface VisitedNode {
  readonly id: string;
  readonly url: string;
  readonly visit: Pick<NodeVisit, "client" | "isKeyed">;
}

/**
 * Leaves a mark of this run on every server and reads all of them back: a server that was reached under
 * two URLs shows the same mark twice. Servers without keys are told apart by a task that fails at once.
 *
 * @throws NodeSetupError
 */
export async function refuseSameServers(
  world: World,
  clusterId: string,
  nodes: readonly VisitedNode[],
): Promise<void> {
  const nonce = Buffer.from(world.random.bytes(8)).toString("hex");
  const keyed = nodes.filter(({ visit }) => visit.isKeyed);
  await Promise.all(keyed.map(({ id, visit }) => markNode(visit.client, clusterId, id, nonce)));
  for (const { id, url, visit } of keyed) {
    const mark = await readMark(visit.client, clusterId);
    if (mark?.nodeId === id) continue;
    const other = nodes.find((candidate) => candidate.id === mark?.nodeId);
    throw sameServer(id, other?.url ?? `the URL of ${mark?.nodeId ?? "another node"}`, url);
  }
  const open = nodes.filter(({ visit }) => !visit.isKeyed);
  if (open.length < 2) return;
  const probes = open.map((_, at) => `${PROBE_PREFIX}${nonce}-${at}`);
  for (const [at, { visit }] of open.entries()) await visit.client.deleteIndex(probes[at] as string);
  for (const [at, { id, url, visit }] of open.entries()) {
    const found = await visit.client.tasks({ indexUids: probes.join(",") });
    const stranger = found.results.find((task) => task.indexUid !== probes[at]);
    const other = open[probes.indexOf(stranger?.indexUid ?? "")];
    if (other !== undefined) throw sameServer(id, other.url, url);
  }
}

/** The same server was found under two URLs. */
export function sameServer(nodeId: string, url: string, otherUrl: string): NodeSetupError {
  return new NodeSetupError(
    "same_server",
    nodeId,
    `${url} and ${otherUrl} are the same Meilisearch server. Configure each server once; copies on one server protect nothing.`,
  );
}
