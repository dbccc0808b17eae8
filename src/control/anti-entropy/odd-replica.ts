import type { Versions } from "../verify/document-versions.js";

/** The replica that is to be made equal to the others, and what speaks against it. */
export interface OddReplica {
  readonly nodeId: string;
  readonly reason: "minority" | "doubted" | "behind" | "undecided";
}

/**
 * Which replica of a shard is wrong, by the documents in which they differ. One at a time: where several are, the others show after it
 * was repaired. In this order:
 *
 * 1. more than half of the replicas agree against it, in most documents;
 * 2. its node was restarted or suspected lately, and another replica's was not;
 * 3. it holds older versions than another one, or none, in most documents: what is kept can be deleted again, what is dropped cannot be
 *    brought back;
 * 4. nothing tells them apart, and it is the last one by name.
 *
 * @param documents what each replica has of each document that differs
 * @param doubted nodes that were restarted or suspected lately
 * @returns undefined where nothing differs
 */
export function oddReplica(
  documents: readonly Versions[],
  doubted: ReadonlySet<string>,
): OddReplica | undefined {
  const nodeIds = [...(documents[0]?.keys() ?? [])].sort();
  if (nodeIds.length < 2) return undefined;
  const inMinority = worst(nodeIds, documents, isInMinority);
  if (inMinority !== undefined) return { nodeId: inMinority, reason: "minority" };
  const suspected = nodeIds.filter((nodeId) => doubted.has(nodeId));
  if (suspected.length > 0 && suspected.length < nodeIds.length) {
    return { nodeId: worst(suspected, documents, isBehind) ?? suspected.at(-1) ?? "", reason: "doubted" };
  }
  const behind = worst(nodeIds, documents, isBehind);
  if (behind !== undefined) return { nodeId: behind, reason: "behind" };
  return { nodeId: nodeIds.at(-1) ?? "", reason: "undecided" };
}

/** The node for which `isWrong` holds in more documents than for any other; undefined where several are equal or it holds in none. */
function worst(
  nodeIds: readonly string[],
  documents: readonly Versions[],
  isWrong: (versions: Versions, nodeId: string) => boolean,
): string | undefined {
  const counts = nodeIds
    .map((nodeId) => ({ nodeId, count: documents.filter((versions) => isWrong(versions, nodeId)).length }))
    .sort((a, b) => b.count - a.count);
  const [first, second] = counts;
  if (first === undefined || first.count === 0 || first.count === second?.count) return undefined;
  return first.nodeId;
}

function isInMinority(versions: Versions, nodeId: string): boolean {
  const held = [...versions.values()];
  const majority = held.find((version) => held.filter((other) => other === version).length * 2 > held.length);
  return majority !== undefined && versions.get(nodeId) !== majority;
}

function isBehind(versions: Versions, nodeId: string): boolean {
  const newest = [...versions.values()].map(sequenceIn).reduce((a, b) => (a > b ? a : b), "");
  return sequenceIn(versions.get(nodeId) ?? "") < newest;
}

/** The sequence with which a version's text begins; its symbols are in ascending byte order. */
function sequenceIn(version: string): string {
  return version.split(" ")[0] ?? "";
}
