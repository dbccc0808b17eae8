import { type Index, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { physicalName } from "../../placement/physical-name.js";
import type { SettingsObject } from "../../settings/canonical-settings.js";
import { driftedMembers } from "../../settings/settings-drift.js";

/** The member that stands for the primary key among those that differ. */
export const PRIMARY_KEY = "primaryKey";

/**
 * Compares what a node says of an index with what is committed. Resolves with the names of the settings that differ, and
 * `primaryKey` where that does. A node without a primary key does not differ: it learns it with the first documents that it gets.
 *
 * @throws MeilisearchError where the node does not know the index under its present name
 * @throws NodeUnavailableError
 */
export async function differenceOnNode(node: NodeClient, index: Index): Promise<readonly string[]> {
  const name = physicalName(index.instance, index.generation);
  const [settings, facts] = await Promise.all([
    node.settings(name),
    node.json({ method: "GET", path: `/indexes/${name}` }),
  ]);
  const members = [...driftedMembers(committedSettings(index), settings)];
  const { primaryKey } = facts as { readonly primaryKey: string | null };
  if (primaryKey !== null && primaryKey !== index.primaryKey) members.push(PRIMARY_KEY);
  return members;
}

/** The settings that an index has in the catalogue, as clients see them. */
export function committedSettings(index: Index): SettingsObject {
  return index.settingsJson === "" ? {} : (JSON.parse(index.settingsJson) as SettingsObject);
}

/** Whether an index has still the name, settings and primary key that it had, with an in-sync replica on the node. */
export function isUnchanged(before: Index, now: Topology, nodeId: string): boolean {
  const index = now.indexes.find(({ instance }) => instance === before.instance);
  return (
    index !== undefined &&
    index.generation === before.generation &&
    index.settingsVersion === before.settingsVersion &&
    !index.settingsChanging &&
    index.primaryKey === before.primaryKey &&
    index.replicas.some((replica) => replica.nodeId === nodeId && replica.state === ReplicaState.IN_SYNC)
  );
}
