import { parseErrorBody } from "../../meilisearch/errors.js";
import { type NodeResponse, NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import { indexNotFound } from "../http/api-errors.js";
import { waitForTopology } from "../topology/bounded-wait.js";
import type { IndexView, NodeView, TopologySource } from "../topology/topology-view.js";
import type { HedgeBudget } from "./hedge-budget.js";
import type { NodeSends } from "./node-sends.js";
import { codesOf, type NodeAsk } from "./read-covers.js";
import { type NodeAnswer, NodeRefusedError, type ShardRead } from "./shard-read.js";

/** How long a read waits for a topology that explains why a node does not know the index. Milliseconds. */
const TOPOLOGY_WAIT_MS = 250;

/** The index is not where the topology in hand says; a newer one may know better. */
export class IndexMovedError extends Error {
  override readonly name = "IndexMovedError";
}

/** What asking a node goes by: one attempt at a read under one topology. */
export interface AskContext {
  readonly index: IndexView;
  readonly shardRead: ShardRead;
  readonly sends: NodeSends;
  /** By node: the name under which it last knew the index, where that is not the topology's. */
  readonly names: Map<string, string>;
  readonly dependencies: {
    readonly world: World;
    readonly topology: TopologySource;
    readonly hedges: Pick<HedgeBudget, "earn">;
  };
}

/**
 * Sends all requests of a read to one node, under the name that it knows the index by, whichever of the names that a rename leaves for a
 * while that is.
 *
 * @param isLast whether there is no other replica to ask
 * @throws IndexMovedError where a newer topology says more, and `mayRestart`
 * @throws NodeRefusedError where the node refuses a request that the read cannot do without
 * @throws NodeUnavailableError where no answer is to be had, or the node knows the index under no name
 */
export async function askNode(
  context: AskContext,
  ask: NodeAsk,
  parts: "one" | "many",
  isLast: boolean,
  signal: AbortSignal,
  mayRestart: boolean,
): Promise<NodeAnswer> {
  const { dependencies, index, names, sends, shardRead } = context;
  dependencies.hedges.earn();
  for (const name of namesToTry(context, ask.node)) {
    // Under another name the node may hold shards of which this topology does not tell.
    const asked = name === index.physicalName ? ask : { ...ask, filter: codesOf(index, ask.shards) };
    const requests = shardRead.requests(asked, parts, index);
    const sent = requests.map((request) => sends.send(ask.node, name, request, isLast, signal));
    const responses = sent[0] !== undefined && sent.length === 1 ? [await sent[0]] : await Promise.all(sent);
    if (responses.some(isIndexNotFound)) continue;
    if (name !== index.physicalName) names.set(ask.node.id, name);
    const refusal = responses.find(
      (response, at) => response.status >= 400 && shardRead.toleratesRefusal?.(at, response) !== true,
    );
    if (refusal === undefined) return { ask: asked, responses };
    // A node that has created the index may not have its first settings yet, which Miroir's own requests rest on.
    if (mayRestart && isBeingCreated(index) && (await indexChanges(context, isCreated, signal))) {
      throw new IndexMovedError("the index is complete now");
    }
    throw new NodeRefusedError(ask.node, name, refusal);
  }
  names.delete(ask.node.id);
  if (isBeingCreated(index)) throw indexNotFound(index.uid);
  const { instance, physicalName: known } = index;
  const hasMoved = (now: IndexView | undefined): boolean =>
    now?.instance !== instance || now.physicalName !== known;
  if (mayRestart && (await indexChanges(context, hasMoved, signal)))
    throw new IndexMovedError("the index moved");
  throw new NodeUnavailableError(ask.node.id, "unknown", `it does not know ${index.physicalName}`);
}

/**
 * A rename may wait behind the node's queue, or have run before the topology that tells of it arrived. Where replicas are given up,
 * the generation grows by two, so that nobody who knows nothing of it comes upon them (invariant 5).
 */
function* namesToTry({ index, names }: AskContext, node: NodeView): Generator<string, void> {
  const { instance, generation, physicalName: current } = index;
  const usual = names.get(node.id) ?? current;
  yield usual;
  const others = new Set([current, physicalName(instance, generation + 1n)]);
  for (const earlier of [generation - 1n, generation - 2n]) {
    if (earlier > 0n) others.add(physicalName(instance, earlier));
  }
  others.delete(usual);
  yield* others;
  // Once more, because a rename that runs between two tries hides the index from both.
  yield usual;
  yield* others;
}

/** Whether, now or within a moment, a topology says of the index what is waited for. */
async function indexChanges(
  { dependencies, index, sends }: AskContext,
  awaited: (index: IndexView | undefined) => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const limits = { timeoutMs: Math.min(TOPOLOGY_WAIT_MS, sends.remainingMs()), signal };
  try {
    await waitForTopology(dependencies, (view) => awaited(view.indexes.get(index.uid)), limits);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

function isIndexNotFound(response: NodeResponse): boolean {
  return response.status === 404 && parseErrorBody(response.body)?.code === "index_not_found";
}

/** The nodes have not run the creation yet: an index's settings are read back from them once they have. */
function isBeingCreated(index: IndexView): boolean {
  return index.generation === 1n && index.settings.rankingRules === undefined;
}

function isCreated(index: IndexView | undefined): boolean {
  return index === undefined || !isBeingCreated(index);
}
