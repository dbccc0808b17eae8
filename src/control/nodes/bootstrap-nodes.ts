import type { Logger } from "pino";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { createNodeClient, type NodeClient } from "../../meilisearch/node-client.js";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import { NodeSetupError } from "./errors.js";
import { ensureNodeKeys, markNode, readMark } from "./node-keys.js";

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
  readonly configuredKey: string | undefined;
  readonly status:
    | {
        readonly kind: "ready";
        readonly version: string;
        /** Empty strings where the node runs without a master key. */
        readonly keys: { readonly writeKey: string; readonly adminKey: string };
      }
    /** Known from the stored topology, and not answering now. */
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

/** Begins the names of indexes that never exist: deleting one leaves a failed task, by which servers without keys are told apart. */
export const PROBE_PREFIX = "miroir-probe-";

/** The Meilisearch releases whose behaviour Miroir knows. */
const COMPATIBLE = /^1\.50\.\d+/;
const REQUEST_TIMEOUT_MS = 2_000;
const RETRY_MS = 200;

interface Keys {
  readonly writeKey: string;
  readonly adminKey: string;
}

type Visit =
  | { readonly kind: "down"; readonly error: NodeUnavailableError }
  | {
      readonly kind: "ready";
      readonly version: string;
      readonly client: NodeClient;
      readonly keys: { readonly writeKey: string; readonly adminKey: string } | undefined;
      readonly markedAs: string | undefined;
      readonly otherClusters: readonly string[];
    };

/**
 * Visits every configured node, makes Miroir's keys there, and decides which node of the topology each
 * server is. A server that was marked by this cluster before keeps its id under whatever URL and
 * position; safe to repeat.
 *
 * A node that does not answer is given back as `down` where the stored topology knows it by id or URL.
 *
 * @throws NodeSetupError for a node that is down and unknown, refuses its key, runs another
 *   version, is the same server as another one, or is another node of this cluster than configured
 */
export async function bootstrapNodes(options: BootstrapOptions): Promise<BootstrappedNode[]> {
  const visits = await Promise.all(options.configured.map((node, at) => visit(options, node, at)));
  const names = nameNodes(options, visits);
  warnOfFormerClusters(options, visits);
  const nodes = options.configured.map((node, at): BootstrappedNode => {
    const seen = visits[at] as Visit;
    const id = names[at] as string;
    const known = options.known.find((other) => other.id === id);
    const group = node.group ?? known?.group ?? at % (options.groups ?? 1);
    const common = { id, url: node.url, group, configuredKey: node.key };
    if (seen.kind === "down") return { ...common, status: { kind: "down", error: seen.error.message } };
    const keys = handedOut(seen.keys);
    return { ...common, status: { kind: "ready", version: seen.version, keys } };
  });
  await refuseSameServers(options, nodes, visits);
  return nodes;
}

/** The keys and version of one node that answers again; the same checks as at the start, but for its identity. */
export async function visitNode(
  transport: NodeTransport,
  clusterId: string,
  node: { readonly id: string; readonly url: string; readonly key: string | undefined },
): Promise<{
  readonly version: string;
  readonly keys: { readonly writeKey: string; readonly adminKey: string };
}> {
  const seen = await inspect(transport, clusterId, node.id, node);
  return { version: seen.version, keys: handedOut(seen.keys) };
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

function handedOut(keys: Keys | undefined): Keys {
  return { writeKey: keys?.writeKey ?? "", adminKey: keys?.adminKey ?? "" };
}

async function visit(options: BootstrapOptions, node: ConfiguredNode, at: number): Promise<Visit> {
  const { clock, timers } = options.world;
  const name = node.id ?? `node-${at}`;
  const deadline = clock.monotonic() + (options.timeoutMs ?? 5_000);
  for (;;) {
    try {
      return await inspect(options.transport, options.clusterId, name, node);
    } catch (error) {
      if (!(error instanceof NodeUnavailableError)) throw error;
      if (clock.monotonic() + RETRY_MS < deadline) {
        await timers.sleep(RETRY_MS);
        continue;
      }
      const known = options.known.some((other) => other.url === node.url || other.id === node.id);
      if (known) {
        options.logger.warn({ node: name, url: node.url, err: error }, "node is down; going on without it");
        return { kind: "down", error };
      }
      throw new NodeSetupError(
        "unreachable",
        name,
        `node ${name} at ${node.url} cannot be reached: ${error.message}. Start it, or correct its URL.`,
        { cause: error },
      );
    }
  }
}

async function inspect(
  transport: NodeTransport,
  clusterId: string,
  name: string,
  node: { readonly url: string; readonly key?: string | undefined },
): Promise<Visit & { kind: "ready" }> {
  const address = { id: name, url: node.url, ...(node.key === undefined ? {} : { key: node.key }) };
  const client = createNodeClient(transport, address);
  try {
    await client.health(REQUEST_TIMEOUT_MS);
    const version = (await client.version(REQUEST_TIMEOUT_MS)).pkgVersion;
    if (!COMPATIBLE.test(version)) {
      throw new NodeSetupError(
        "version",
        name,
        `node ${name} at ${node.url} runs Meilisearch ${version}; Miroir works with v1.50. Install that version there.`,
      );
    }
    const keys = await ensureNodeKeys(client, clusterId);
    const otherClusters = keys?.otherClusters ?? [];
    return { kind: "ready", version, client, keys, markedAs: keys?.markedAs, otherClusters };
  } catch (error) {
    if (!(error instanceof MeilisearchError)) throw error;
    throw refusal(name, node, error);
  }
}

function refusal(
  name: string,
  node: { readonly url: string; readonly key?: string | undefined },
  error: MeilisearchError,
): NodeSetupError {
  const where = `node ${name} at ${node.url}`;
  const { code } = error.body;
  if (error.status !== 401 && error.status !== 403) {
    const message = `${where} answers, but refused a request that every Meilisearch serves: ${error.message} Is it a Meilisearch v1.50?`;
    return new NodeSetupError("refused", name, message, { cause: error });
  }
  const message =
    node.key === undefined || code === "missing_authorization_header"
      ? `${where} asks for a key and none is configured. Configure its master key.`
      : `${where} refuses the configured key (${code}): it belongs to another server, or may not manage keys. Configure this node's master key.`;
  return new NodeSetupError("foreign_key", name, message, { cause: error });
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

function firstFree(taken: ReadonlySet<string>, at: number): string {
  for (let number = at; ; number += 1) {
    if (!taken.has(`node-${number}`)) return `node-${number}`;
  }
}

/**
 * Leaves a mark of this run on every server and reads all of them back: a server that was reached under
 * two URLs shows the same mark twice. Servers without keys are told apart by a task that fails at once.
 */
async function refuseSameServers(
  options: BootstrapOptions,
  nodes: readonly BootstrappedNode[],
  visits: readonly Visit[],
): Promise<void> {
  const nonce = Buffer.from(options.world.random.bytes(8)).toString("hex");
  const ready = nodes.flatMap((node, at) => {
    const seen = visits[at];
    return seen?.kind === "ready" ? [{ node, seen }] : [];
  });
  const keyed = ready.filter(({ seen }) => seen.keys !== undefined);
  await Promise.all(keyed.map(({ node, seen }) => markNode(seen.client, options.clusterId, node.id, nonce)));
  for (const { node, seen } of keyed) {
    const mark = await readMark(seen.client, options.clusterId);
    if (mark?.nodeId === node.id) continue;
    const other = nodes.find((candidate) => candidate.id === mark?.nodeId);
    throw sameServer(node.id, other?.url ?? `the URL of ${mark?.nodeId ?? "another node"}`, node.url);
  }
  const open = ready.filter(({ seen }) => seen.keys === undefined);
  for (const { node } of open) {
    options.logger.warn(
      { node: node.id, url: node.url },
      "node runs without a master key: anybody who reaches it can write, and a late write could recreate an old index name",
    );
  }
  if (open.length < 2) return;
  const probes = open.map((_, at) => `${PROBE_PREFIX}${nonce}-${at}`);
  for (const [at, { seen }] of open.entries()) await seen.client.deleteIndex(probes[at] as string);
  for (const [at, { node, seen }] of open.entries()) {
    const found = await seen.client.tasks({ indexUids: probes.join(",") });
    const stranger = found.results.find((task) => task.indexUid !== probes[at]);
    const other = open[probes.indexOf(stranger?.indexUid ?? "")];
    if (other !== undefined) throw sameServer(node.id, other.node.url, node.url);
  }
}

function sameServer(nodeId: string, url: string, otherUrl: string): NodeSetupError {
  return new NodeSetupError(
    "same_server",
    nodeId,
    `${url} and ${otherUrl} are the same Meilisearch server. Configure each server once; copies on one server protect nothing.`,
  );
}
