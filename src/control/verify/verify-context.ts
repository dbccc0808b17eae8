import type { Logger } from "pino";
import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { ShardHasher } from "../../placement/shard.js";
import type { World } from "../../runtime/world.js";
import { fetchDocuments, type NodeDocuments } from "../documents/node-documents.js";

/** What a verification reads from. */
export interface VerifyContext {
  readonly topology: { current(): Topology };
  readonly transport: NodeTransport;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  readonly world: World;
  readonly hasher: ShardHasher;
  readonly logger: Logger;
}

/** One run of a verification. */
export interface VerifyRun extends VerifyContext {
  /** Whether whole documents are compared. */
  readonly deep: boolean;
  readonly signal: AbortSignal;
  /** Waits as long as so many documents, just read from a node, are to cost; no time unless given. */
  readonly pace?: (documents: number) => Promise<void>;
}

/** How long is waited before a difference is looked at again. Milliseconds. */
export const QUIET_MS = 1_000;

/** Documents of an index on a node; see `fetchDocuments`. */
export async function documentsOn(
  { transport, admin, signal, pace }: VerifyRun,
  index: Index,
  nodeId: string,
  query: Readonly<Record<string, unknown>>,
): Promise<NodeDocuments> {
  const name = physicalName(index.instance, index.generation);
  const found = await fetchDocuments(transport, admin(nodeId), name, query, signal);
  await pace?.(found.documents.length);
  return found;
}
