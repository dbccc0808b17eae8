import { type Fleet, startFleet } from "../support/fleet.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";

/** A fleet's shape. */
export interface FleetShape {
  readonly nodes: number;
  readonly groups: number;
  readonly replicationFactor: number;
}

/** A fleet and a plain node that were started to be compared. */
export interface ComparedServers {
  readonly whole: MeilisearchHttp;
  readonly fleet: MeilisearchHttp;
  /** The shards of an index on each node. */
  distribution(index: string): Promise<Readonly<Record<string, readonly number[]>>>;
  stop(): Promise<void>;
}

/**
 * Reads `3x1x2`: nodes, groups, replication factor.
 *
 * @throws Error where the text is no shape
 */
export function parseShape(text: string): FleetShape {
  const match = /^(\d+)x(\d+)x(\d+)$/.exec(text);
  if (match === null) throw new Error(`a shape is NODESxGROUPSxREPLICATION, not ${text}`);
  const [nodes, groups, replicationFactor] = match.slice(1).map(Number) as [number, number, number];
  return { nodes, groups, replicationFactor };
}

/** Starts a fleet that spreads every read over the nodes of a group, and a plain node beside it. */
export async function startCompared(shape: FleetShape): Promise<ComparedServers> {
  const [fleet, plain] = await Promise.all([startFleet({ ...shape, readSpread: "many" }), startNodes(1)]);
  const stop = async (): Promise<void> => {
    await Promise.all([fleet.stop(), plain.stop()]);
  };
  const [node] = plain.nodes;
  if (node === undefined) {
    await stop();
    throw new Error("the plain node did not start");
  }
  return {
    whole: meilisearchHttp(node.url, node.masterKey),
    fleet: fleet.api,
    distribution: (index) => distributionOf(fleet, index),
    stop,
  };
}

async function distributionOf(fleet: Fleet, index: string): Promise<Record<string, number[]>> {
  const control = meilisearchHttp(`http://${fleet.controlAddress()}`);
  const { index: entry } = await control.ok<{
    index: { placement: { shard?: number; nodeIds: string[] }[] };
  }>("POST", "/miroir.v1.IndexService/GetIndex", { uid: index });
  const byNode: Record<string, number[]> = {};
  for (const { shard = 0, nodeIds } of entry.placement) {
    for (const node of nodeIds.toSorted()) {
      byNode[node] ??= [];
      byNode[node].push(shard);
    }
  }
  return Object.fromEntries(Object.entries(byNode).sort(([left], [right]) => (left < right ? -1 : 1)));
}
