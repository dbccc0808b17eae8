import { createHash } from "node:crypto";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient, NodeKey } from "../../meilisearch/node-client.js";

/** Whose a server is, by the keys that lie there. */
export interface NodeOrigin {
  /** The node that this server is, as its write key's description says; undefined where that says nothing. */
  readonly markedAs: string | undefined;
  /** Other clusters whose keys are on the node: it belongs, or belonged, to them. */
  readonly otherClusters: readonly string[];
}

/** The keys that Miroir made on one node. */
export interface NodeKeys extends NodeOrigin {
  /** For searches, document writes and settings; lacks `indexes.create` (invariant 7). Empty where the node asks for no key. */
  readonly writeKey: string;
  /** For renames, edits by a function, tasks, creation and deletion of physical indexes. Empty where the node asks for no key. */
  readonly adminKey: string;
}

type KeyRole = "write" | "admin";

/**
 * What each key may do. The uid of a key is derived from this list too, so that a release that needs
 * other actions makes a new key instead of failing on the old one.
 */
const ACTIONS: Readonly<Record<KeyRole, readonly string[]>> = {
  write: [
    "search",
    "documents.*",
    "tasks.get",
    "stats.get",
    "indexes.get",
    "settings.get",
    "settings.update",
    "version",
    "fields.post",
  ],
  // Edits by a function are open to keys for everything alone, whatever `documents.*` says.
  admin: ["*"],
};

/** The uid under which a cluster's key of that role is found on every node. */
export function nodeKeyUid(clusterId: string, role: KeyRole): string {
  const name = `miroir/${clusterId}/${role}/${ACTIONS[role].join(",")}`;
  const bytes = createHash("sha1").update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * The cluster's keys on a node, created where they are missing; safe to repeat. `client` carries a key
 * that may manage keys. Undefined where the node runs without a master key, and so without keys.
 *
 * @param judge called before any key is made; what it throws is thrown on
 */
export async function ensureNodeKeys(
  client: NodeClient,
  clusterId: string,
  judge: (origin: NodeOrigin) => void = () => undefined,
): Promise<NodeKeys | undefined> {
  let keys: readonly NodeKey[];
  try {
    keys = await client.keys();
  } catch (error) {
    if (error instanceof MeilisearchError && error.body.code === "missing_master_key") return undefined;
    throw error;
  }
  const clusters = new Set(keys.flatMap((key) => clusterOf(key) ?? []));
  clusters.delete(clusterId);
  const marked = keys.find(({ uid }) => uid === nodeKeyUid(clusterId, "write"));
  const origin = {
    markedAs: marked === undefined ? undefined : markOf(marked, clusterId)?.nodeId,
    otherClusters: [...clusters],
  };
  judge(origin);
  const write = await ensureKey(client, keys, clusterId, "write");
  const admin = await ensureKey(client, keys, clusterId, "admin");
  return { writeKey: write.key, adminKey: admin.key, ...origin };
}

/** Takes the cluster's keys away from a node, and with them its mark; those that are gone already are passed over. */
export async function deleteNodeKeys(client: NodeClient, clusterId: string): Promise<void> {
  for (const role of ["write", "admin"] as const) {
    try {
      await client.json({ method: "DELETE", path: `/keys/${nodeKeyUid(clusterId, role)}` });
    } catch (error) {
      if (!(error instanceof MeilisearchError) || error.body.code !== "api_key_not_found") throw error;
    }
  }
}

/** Writes onto the server which node it is. `nonce` tells this run's mark from a former one. */
export async function markNode(
  client: NodeClient,
  clusterId: string,
  nodeId: string,
  nonce: string,
): Promise<void> {
  await client.json({
    method: "PATCH",
    path: `/keys/${nodeKeyUid(clusterId, "write")}`,
    body: JSON.stringify({ description: `${nodeId} of Miroir cluster ${clusterId} (${nonce})` }),
    contentType: "application/json",
  });
}

/** The mark that {@link markNode} left on the server last. */
export async function readMark(
  client: NodeClient,
  clusterId: string,
): Promise<{ readonly nodeId: string; readonly nonce: string } | undefined> {
  const path = `/keys/${nodeKeyUid(clusterId, "write")}`;
  return markOf((await client.json({ method: "GET", path })) as NodeKey, clusterId);
}

async function ensureKey(
  client: NodeClient,
  keys: readonly NodeKey[],
  clusterId: string,
  role: KeyRole,
): Promise<NodeKey> {
  const uid = nodeKeyUid(clusterId, role);
  const existing = keys.find((key) => key.uid === uid);
  if (existing !== undefined) return existing;
  try {
    return await client.createKey({
      uid,
      name: `Miroir ${role} key`,
      description: `made by Miroir cluster ${clusterId}`,
      actions: ACTIONS[role],
      indexes: ["*"],
      expiresAt: null,
    });
  } catch (error) {
    // Another control process, or this one under another URL, was faster.
    if (error instanceof MeilisearchError && error.body.code === "api_key_already_exists") {
      return (await client.json({ method: "GET", path: `/keys/${uid}` })) as NodeKey;
    }
    throw error;
  }
}

/** The cluster that marked a node with this key; undefined for keys that no cluster made. */
function clusterOf(key: NodeKey & { readonly description?: string | null }): string | undefined {
  return / of Miroir cluster (.*) \([0-9a-f]*\)$/.exec(key.description ?? "")?.[1];
}

function markOf(
  key: NodeKey & { readonly description?: string | null },
  clusterId: string,
): { readonly nodeId: string; readonly nonce: string } | undefined {
  const match = / of Miroir cluster (.*) \(([0-9a-f]*)\)$/.exec(key.description ?? "");
  if (match === null || match[1] !== clusterId) return undefined;
  return { nodeId: (key.description ?? "").slice(0, match.index), nonce: match[2] ?? "" };
}
