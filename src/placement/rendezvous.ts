/** A node's name, such as `node-0`. */
export type NodeId = string;

/** A node that replicas may be placed on. */
export type PlacementNode = {
  readonly node: NodeId;
  /** Its capacity beside the other nodes of its group; 1 by default. A node of weight 2 takes twice the replicas. */
  readonly weight?: number;
  /** Where it stands; replicas of a shard keep to different zones where they can. Without one it shares its zone with nobody. */
  readonly zone?: string;
};

/** The score of a node for a shard of an index instance; the highest scores win (rendezvous hashing). */
export type RendezvousScore = (shard: number, node: PlacementNode) => number;

/** What a node, or a shard, brings into its scores: it is found once, not for each pair. */
export type ScoreHash = { readonly high: number; readonly low: number };

const TWO_POW_32 = 2 ** 32;
const TWO_POW_53 = 2 ** 53;

/**
 * Scores for the shards of one index instance. A score depends on nothing but instance, shard, node and
 * weight, so that every process finds the same order of nodes, and a node's coming or going leaves the order
 * of the others alone. Over many shards a node comes first in proportion to its weight.
 *
 * @throws RangeError, from the score, for a weight that is not finite and above 0
 */
export function createRendezvous(instance: string): RendezvousScore {
  const hashNode = createNodeHash(instance);
  return (shard, node) => scoreOf(hashNode(node.node), hashShard(shard), checkedWeight(node));
}

/** The hashes of nodes for the shards of one index instance. */
export function createNodeHash(instance: string): (node: NodeId) => ScoreHash {
  const seedHigh = hashText(instance, 0x9e3779b9);
  const seedLow = hashText(instance, 0x85ebca6b);
  return (node) => ({ high: hashText(node, seedHigh), low: hashText(node, seedLow) });
}

/** The hash of a shard, the same for every index. */
export function hashShard(shard: number): ScoreHash {
  return { high: mix(shard + 0x27d4eb2f), low: mix(shard + 0x165667b1) };
}

/** The score of a node for a shard; see {@link createRendezvous}. The weight is not checked. */
export function scoreOf(node: ScoreHash, shard: ScoreHash, weight: number): number {
  const high = mix(node.high ^ shard.high);
  const low = mix(node.low ^ shard.low ^ high);
  // A fraction strictly between 0 and 1, from 53 bits.
  const fraction = ((high >>> 0) * (TWO_POW_53 / TWO_POW_32) + (low >>> 11) + 0.5) / (TWO_POW_53 + 1);
  return weight / -Math.log(fraction);
}

/** The weight of a node. @throws RangeError for one that is not finite and above 0 */
export function checkedWeight({ node, weight = 1 }: PlacementNode): number {
  if (weight > 0 && Number.isFinite(weight)) return weight;
  throw new RangeError(`weight ${weight} of node ${node} is not a number above 0`);
}

/** Nodes in the order in which a shard prefers them; equal scores, which no real fleet meets, go by name. */
export function rankNodes<Node extends PlacementNode>(
  score: RendezvousScore,
  shard: number,
  nodes: readonly Node[],
): Node[] {
  return nodes
    .map((node) => ({ node, score: score(shard, node) }))
    .sort((a, b) => b.score - a.score || compareText(a.node.node, b.node.node))
    .map(({ node }) => node);
}

/** Order of texts by UTF-16 code units, the same in every locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** FNV-1a over the UTF-16 code units, finished so that every bit of the text reaches every bit of the hash. */
function hashText(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash ^ text.length);
}

/** The finaliser of MurmurHash3 for 32 bits. */
function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
