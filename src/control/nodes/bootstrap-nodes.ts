import type { Logger } from "pino";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import { NodeSetupError } from "./errors.js";
import type { NodeOrigin } from "./node-keys.js";
import { type NodeVisit, refuseForeign, unreachable, visitNode } from "./node-visit.js";
import { refuseSameServers, sameServer, type VisitedNode } from "./same-server.js";
import { untilAnswered } from "./until-answered.js";

/** A node as the operator configured it. */
export interface ConfiguredNode {
  /** `node-0`, `node-1` … by position unless given; a server that was marked before keeps its id. */
  readonly id?: string | undefined;
  /** Base URL, without a trailing slash. */
  readonly url: string;
  /** The node's master key, or another key that may manage keys; absent where the node runs without one. */
  readonly key?: string | undefined;
  /** Nodes are dealt out over the groups in turn unless given. */
  readonly group?: number | undefined;
  /** Where it stands; what the topology says unless given. */
  readonly zone?: string | undefined;
  /** Its share of the shards beside the others'; what the topology says unless given. */
  readonly weight?: number | undefined;
}

/** A node of the stored topology. */
export interface KnownNode {
  readonly id: string;
  readonly url: string;
  readonly group: number;
}

/** A node that can be entered in the topology. */
export interface BootstrappedNode {
  readonly id: string;
  readonly url: string;
  readonly group: number;
  readonly zone: string | undefined;
  readonly weight: number | undefined;
  readonly configuredKey: string | undefined;
  readonly status:
    | {
        readonly kind: "ready";
        readonly version: string;
        /** Empty strings where the node runs without a master key. */
        readonly keys: { readonly writeKey: string; readonly adminKey: string };
      }
    /** Known from the stored topology, and not answering or not to be used now. */
    | { readonly kind: "down"; readonly error: string };
}

/** What {@link bootstrapNodes} works with. */
export interface BootstrapOptions {
  readonly world: World;
  readonly transport: NodeTransport;
  readonly logger: Logger;
  readonly clusterId: string;
  readonly configured: readonly ConfiguredNode[];
  /** The nodes of the stored topology; empty for a new cluster. */
  readonly known: readonly KnownNode[];
  /** Replica groups over which nodes without a group are dealt out; 1 unless given. */
  readonly groups?: number;
  /** Milliseconds for which a node may fail to answer before it counts as down; 5,000 unless given. */
  readonly timeoutMs?: number;
}

const PATIENCE_MS = 5_000;

type Visit =
  | { readonly kind: "down"; readonly error: NodeUnavailableError | NodeSetupError }
  | ({ readonly kind: "ready" } & NodeVisit);

/**
 * Visits every configured node, makes Miroir's keys there, and decides which node of the topology each
 * server is. A server that was marked by this cluster before keeps its id under whatever URL and
 * position; safe to repeat.
 *
 * A node that does not answer, refuses its key, runs another version or holds another cluster's data is given back as `down` where the
 * stored topology knows it by id or URL: the fleet goes on without it, as it does when that happens later.
 *
 * @throws NodeSetupError for such a node that is unknown, for the first one where there is no other, for one that is the same server as
 *   another one, or another node of this cluster than configured
 */
export async function bootstrapNodes(options: BootstrapOptions): Promise<BootstrappedNode[]> {
  const visits = await Promise.all(options.configured.map((node, at) => visit(options, node, at)));
  const useless = visits.every(({ kind }) => kind === "down")
    ? visits.find((seen) => seen.kind === "down" && seen.error instanceof NodeSetupError)
    : undefined;
  if (useless?.kind === "down") throw useless.error;
  const names = nameNodes(options, visits);
  warnOfFormerClusters(options, visits);
  const nodes = options.configured.map((node, at): BootstrappedNode => {
    const seen = visits[at] as Visit;
    const id = names[at] as string;
    const known = options.known.find((other) => other.id === id);
    const group = node.group ?? known?.group ?? at % (options.groups ?? 1);
    const { url, zone, weight, key: configuredKey } = node;
    const common = { id, url, group, zone, weight, configuredKey };
    if (seen.kind === "down") return { ...common, status: { kind: "down", error: seen.error.message } };
    return { ...common, status: { kind: "ready", version: seen.version, keys: seen.keys } };
  });
  const ready = nodes.flatMap(({ id, url }, at) => {
    const seen = visits[at];
    return seen?.kind === "ready" ? [{ id, url, visit: seen }] : [];
  });
  warnOfOpenServers(options, ready);
  const patienceMs = options.timeoutMs ?? PATIENCE_MS;
  const silent = await refuseSameServers(options.world, options.clusterId, ready, patienceMs);
  return nodes.map((node) => {
    const error = silent.get(node.id);
    if (error === undefined) return node;
    const known = options.known.some(({ id }) => id === node.id);
    return { ...node, status: goOnWithout(options.logger, node, known, error) };
  });
}

function warnOfOpenServers({ logger }: BootstrapOptions, nodes: readonly VisitedNode[]): void {
  for (const { id, url, visit } of nodes) {
    if (visit.isKeyed) continue;
    logger.warn(
      { node: id, url },
      "node runs without a master key: anybody who reaches it can write, and a late write could recreate an old index name",
    );
  }
}

/** A new cluster on nodes of another one: meant, or the store of that one was lost. */
function warnOfFormerClusters(
  { clusterId, configured, known, logger }: BootstrapOptions,
  visits: readonly Visit[],
): void {
  if (known.length > 0) return;
  for (const [at, seen] of visits.entries()) {
    if (seen.kind !== "ready" || seen.otherClusters.length === 0) continue;
    logger.warn(
      { url: configured[at]?.url, clusterId, otherClusters: seen.otherClusters },
      "a new cluster begins on a node that belongs to another one; if this control plane's store was lost, stop it and restore the backup",
    );
  }
}

async function visit(options: BootstrapOptions, node: ConfiguredNode, at: number): Promise<Visit> {
  const name = node.id ?? `node-${at}`;
  const known = options.known.some((other) => other.url === node.url || other.id === node.id);
  const named = { id: name, url: node.url, key: node.key };
  const judge = (origin: NodeOrigin): void => {
    if (options.known.length > 0) refuseForeign(named, origin);
  };
  try {
    const seen = await untilAnswered(options.world, options.timeoutMs ?? PATIENCE_MS, () =>
      visitNode(options.transport, options.clusterId, { ...named, judge }),
    );
    return { kind: "ready", ...seen };
  } catch (error) {
    if (error instanceof NodeUnavailableError) {
      goOnWithout(options.logger, named, known, error);
      return { kind: "down", error };
    }
    if (!(error instanceof NodeSetupError) || !known) throw error;
    options.logger.error(
      { node: name, url: node.url, err: error },
      "node cannot be used; going on without it",
    );
    return { kind: "down", error };
  }
}

/**
 * What is made of a node that does not answer.
 *
 * @throws NodeSetupError where the stored topology does not know it
 */
function goOnWithout(
  logger: Logger,
  node: Pick<BootstrappedNode, "id" | "url">,
  known: boolean,
  error: NodeUnavailableError,
): BootstrappedNode["status"] {
  if (!known) throw unreachable(node, error);
  logger.warn({ node: node.id, url: node.url, err: error }, "node is down; going on without it");
  return { kind: "down", error: error.message };
}

/** An id for every configured node: configured, marked on the server, known by URL, or the first free one. */
function nameNodes(options: BootstrapOptions, visits: readonly Visit[]): string[] {
  const { configured, known } = options;
  const knownIds = new Set(known.map((node) => node.id));
  const names = configured.map((node, at): string | undefined => {
    const seen = visits[at];
    const marked = seen?.kind === "ready" ? seen.markedAs : undefined;
    if (node.id === undefined) {
      return marked !== undefined && knownIds.has(marked)
        ? marked
        : known.find((other) => other.url === node.url)?.id;
    }
    if (marked !== undefined && marked !== node.id && knownIds.has(marked)) {
      const message = `the server at ${node.url} is ${marked} of this cluster, but is configured as ${node.id}. Correct the URLs or the ids.`;
      throw new NodeSetupError("other_node", node.id, message);
    }
    return node.id;
  });
  const taken = new Set([...knownIds, ...names.filter((name) => name !== undefined)]);
  const claimed = new Map<string, number>();
  return names.map((name, at) => {
    const id = name ?? firstFree(taken, at);
    taken.add(id);
    const other = claimed.get(id);
    if (other !== undefined) throw sameServer(id, configured[other]?.url ?? "", configured[at]?.url ?? "");
    claimed.set(id, at);
    return id;
  });
}

/** The first of `node-<at>`, `node-<at + 1>` … that is not taken. */
export function firstFree(taken: ReadonlySet<string>, at: number): string {
  for (let number = at; ; number += 1) {
    if (!taken.has(`node-${number}`)) return `node-${number}`;
  }
}
