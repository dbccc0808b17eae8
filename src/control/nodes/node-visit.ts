import { MeilisearchError } from "../../meilisearch/errors.js";
import { createNodeClient, type NodeClient } from "../../meilisearch/node-client.js";
import type { NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import { NodeSetupError } from "./errors.js";
import { ensureNodeKeys, type NodeOrigin } from "./node-keys.js";

/** The Meilisearch releases whose behaviour Miroir knows. */
const COMPATIBLE = /^1\.50\.\d+/;
const REQUEST_TIMEOUT_MS = 2_000;

/** What a server says of itself. */
export interface NodeVisit extends NodeOrigin {
  readonly version: string;
  /** With the key that the operator gave. */
  readonly client: NodeClient;
  /** Whether it asks for keys at all. */
  readonly isKeyed: boolean;
  /** The keys that Miroir has there; empty strings where the server asks for none. */
  readonly keys: { readonly writeKey: string; readonly adminKey: string };
}

/** A server to look at. */
export interface NodeToVisit {
  /** The node that it is, or is to be; for messages. */
  readonly id: string;
  readonly url: string;
  /** A key that may manage keys; undefined for a server without keys. */
  readonly key?: string | undefined;
  /**
   * Called with whose the server is, before anything is changed there; throws to leave it alone. Not called for one without keys,
   * which says nothing of that.
   */
  readonly judge?: (origin: NodeOrigin) => void;
}

/**
 * Looks at a server and makes the cluster's keys there.
 *
 * @throws NodeSetupError where it refuses its key or runs another version, and what `judge` throws; `NodeUnavailableError` where it
 *   does not answer
 */
export async function visitNode(
  transport: NodeTransport,
  clusterId: string,
  node: NodeToVisit,
): Promise<NodeVisit> {
  const { id, url, key } = node;
  const client = createNodeClient(transport, { id, url, ...(key === undefined ? {} : { key }) });
  try {
    await client.health(REQUEST_TIMEOUT_MS);
    const version = (await client.version(REQUEST_TIMEOUT_MS)).pkgVersion;
    if (!COMPATIBLE.test(version)) {
      throw new NodeSetupError(
        "version",
        id,
        `node ${id} at ${url} runs Meilisearch ${version}; Miroir works with v1.50. Install that version there.`,
      );
    }
    const made = await ensureNodeKeys(client, clusterId, node.judge);
    const { markedAs, otherClusters = [], ...keys } = made ?? { writeKey: "", adminKey: "" };
    return { version, client, isKeyed: made !== undefined, keys, markedAs, otherClusters };
  } catch (error) {
    if (!(error instanceof MeilisearchError)) throw error;
    throw refusal(node, error);
  }
}

/**
 * Refuses a server that other clusters have marked and this one has not: it holds their data.
 *
 * @throws NodeSetupError
 */
export function refuseForeign(
  node: Pick<NodeToVisit, "id" | "url">,
  { markedAs, otherClusters }: NodeOrigin,
): void {
  if (markedAs !== undefined || otherClusters.length === 0) return;
  throw new NodeSetupError(
    "other_cluster",
    node.id,
    `the server at ${node.url} belongs to another Miroir cluster (${otherClusters.join(", ")}), so it is not used as ${node.id}. Correct the URL, start the server on its own data directory, or delete that cluster's keys there if it is no more.`,
  );
}

/** What is said of a server that does not answer when it is wanted. */
export function unreachable(
  node: Pick<NodeToVisit, "id" | "url">,
  error: NodeUnavailableError,
): NodeSetupError {
  return new NodeSetupError(
    "unreachable",
    node.id,
    `node ${node.id} at ${node.url} cannot be reached: ${error.message}. Start it, or correct its URL.`,
    { cause: error },
  );
}

function refusal(node: NodeToVisit, error: MeilisearchError): NodeSetupError {
  const where = `node ${node.id} at ${node.url}`;
  const { code } = error.body;
  if (error.status !== 401 && error.status !== 403) {
    const message = `${where} answers, but refused a request that every Meilisearch serves: ${error.message} Is it a Meilisearch v1.50?`;
    return new NodeSetupError("refused", node.id, message, { cause: error });
  }
  const message =
    node.key === undefined || code === "missing_authorization_header"
      ? `${where} asks for a key and none is configured. Configure its master key.`
      : `${where} refuses the configured key (${code}): it belongs to another server, or may not manage keys. Configure this node's master key.`;
  return new NodeSetupError("foreign_key", node.id, message, { cause: error });
}
