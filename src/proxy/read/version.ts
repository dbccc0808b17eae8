import { MeilisearchError } from "../../meilisearch/errors.js";
import { createNodeClient, type NodeVersion } from "../../meilisearch/node-client.js";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import { shardUnavailable } from "../http/api-errors.js";
import type { TopologySource } from "../topology/topology-view.js";
import { currentView } from "./indexes.js";

/** Says which Meilisearch clients are talking to. */
export interface VersionReader {
  /** The version of the oldest node, which is what clients can rely on everywhere. @throws MeilisearchError */
  version(): Promise<NodeVersion>;
}

/** How long an answer is given again. Milliseconds. */
const KEEP_MS = 10_000;
const TIMEOUT_MS = 2_000;

/** Asks all nodes, at most once in a while. */
export function createVersionReader(
  world: World,
  topology: TopologySource,
  transport: NodeTransport,
): VersionReader {
  let known: { readonly version: NodeVersion; readonly until: number } | undefined;

  const versionOf = async (nodeId: string): Promise<NodeVersion | undefined> => {
    const node = topology.current()?.nodes.get(nodeId);
    if (node === undefined) return undefined;
    try {
      return await createNodeClient(transport, node.adminAddress).version(TIMEOUT_MS);
    } catch (error) {
      if (error instanceof NodeUnavailableError || error instanceof MeilisearchError) return undefined;
      throw error;
    }
  };

  return {
    async version() {
      const now = world.clock.monotonic();
      if (known !== undefined && known.until > now) return known.version;
      const versions = await Promise.all([...currentView(topology).nodes.keys()].map(versionOf));
      const oldest = versions
        .filter((version) => version !== undefined)
        .sort((a, b) => compareVersions(a.pkgVersion, b.pkgVersion))[0];
      if (oldest === undefined) throw shardUnavailable([]);
      const { commitSha, commitDate, pkgVersion } = oldest;
      known = { version: { commitSha, commitDate, pkgVersion }, until: now + KEEP_MS };
      return known.version;
    },
  };
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split("."), b.split(".")];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const order = Number.parseInt(left[at] ?? "0", 10) - Number.parseInt(right[at] ?? "0", 10);
    if (order !== 0 && !Number.isNaN(order)) return order;
  }
  return 0;
}
