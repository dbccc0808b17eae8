import type { NodeClient } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import { NodeSetupError } from "./errors.js";
import { markNode, readMark } from "./node-keys.js";
import type { NodeVisit } from "./node-visit.js";
import { untilAnswered } from "./until-answered.js";

/** Begins the names of indexes that never exist: deleting one leaves a failed task, by which servers without keys are told apart. */
export const PROBE_PREFIX = "miroir-probe-";

/** A node as it was found just now. */
export interface VisitedNode {
  readonly id: string;
  readonly url: string;
  readonly visit: Pick<NodeVisit, "client" | "isKeyed">;
}

/** Nodes that answered before and then no more, by id, with what came of the last try. */
export type FallenSilent = ReadonlyMap<string, NodeUnavailableError>;

/**
 * Leaves a mark of this run on every server and reads all of them back: a server that was reached under
 * two URLs shows the same mark twice. Servers without keys are told apart by a task that fails at once.
 *
 * @param patienceMs for which a node is asked again that does not answer
 * @returns the nodes of which nothing can be said, because they stopped to answer
 * @throws NodeSetupError
 */
export async function refuseSameServers(
  world: World,
  clusterId: string,
  nodes: readonly VisitedNode[],
  patienceMs: number,
): Promise<FallenSilent> {
  const nonce = Buffer.from(world.random.bytes(8)).toString("hex");
  const silent = new Map<string, NodeUnavailableError>();
  const ask = async <T>({ id, visit }: VisitedNode, question: (client: NodeClient) => Promise<T>) => {
    if (silent.has(id)) return undefined;
    try {
      return await untilAnswered(world, patienceMs, () => question(visit.client));
    } catch (error) {
      if (!(error instanceof NodeUnavailableError)) throw error;
      silent.set(id, error);
      return undefined;
    }
  };
  const keyed = nodes.filter(({ visit }) => visit.isKeyed);
  await Promise.all(keyed.map((node) => ask(node, (client) => markNode(client, clusterId, node.id, nonce))));
  for (const node of keyed) {
    const mark = await ask(node, (client) => readMark(client, clusterId));
    if (silent.has(node.id) || mark?.nodeId === node.id) continue;
    const other = nodes.find((candidate) => candidate.id === mark?.nodeId);
    throw sameServer(node.id, other?.url ?? `the URL of ${mark?.nodeId ?? "another node"}`, node.url);
  }
  const open = nodes.filter(({ visit }) => !visit.isKeyed);
  if (open.length < 2) return silent;
  const probes = open.map((_, at) => `${PROBE_PREFIX}${nonce}-${at}`);
  for (const [at, node] of open.entries()) {
    await ask(node, (client) => client.deleteIndex(probes[at] as string));
  }
  for (const [at, node] of open.entries()) {
    const found = await ask(node, (client) => client.tasks({ indexUids: probes.join(",") }));
    const stranger = found?.results.find((task) => task.indexUid !== probes[at]);
    const other = open[probes.indexOf(stranger?.indexUid ?? "")];
    if (other !== undefined) throw sameServer(node.id, other.url, node.url);
  }
  return silent;
}

/** The same server was found under two URLs. */
export function sameServer(nodeId: string, url: string, otherUrl: string): NodeSetupError {
  return new NodeSetupError(
    "same_server",
    nodeId,
    `${url} and ${otherUrl} are the same Meilisearch server. Configure each server once; copies on one server protect nothing.`,
  );
}
