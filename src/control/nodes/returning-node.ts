import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import { NodeSetupError } from "./errors.js";
import type { NodeAccess } from "./node-directory.js";
import { markNode } from "./node-keys.js";
import { type NodeVisit, refuseForeign, visitNode } from "./node-visit.js";

/**
 * Looks at what answers under a known node's address after it was away: the node itself, whose keys are made again where it lost its
 * data. Whether it has all of its data its task log tells, not this.
 *
 * @throws NodeSetupError where another node of the fleet or of another cluster answers there, its key is refused or its version is not
 *   supported; `NodeUnavailableError` where it is gone again
 */
export async function revisitNode(
  { transport, world }: { readonly transport: NodeTransport; readonly world: World },
  topology: Topology,
  { id, url, configuredKey: key }: NodeAccess,
): Promise<NodeVisit> {
  const clusterId = topology.epoch?.clusterId ?? "";
  const seen = await visitNode(transport, clusterId, {
    id,
    url,
    key,
    judge: (origin) => {
      const { markedAs } = origin;
      refuseForeign({ id, url }, origin);
      if (markedAs === undefined || markedAs === id) return;
      const other = topology.nodes.find((node) => node.id === markedAs);
      if (other === undefined) return;
      throw new NodeSetupError(
        "other_node",
        id,
        `the server at ${url} is ${markedAs} of this cluster (${other.url}) or has a copy of its data, so it is not used as ${id}. Correct the URLs, or start it on its own data directory.`,
      );
    },
  });
  if (seen.isKeyed && seen.markedAs !== id) {
    await markNode(seen.client, clusterId, id, Buffer.from(world.random.bytes(8)).toString("hex"));
  }
  return seen;
}
