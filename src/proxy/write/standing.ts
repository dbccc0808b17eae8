import { shardCondition } from "../../merge/shard-filter.js";
import { familyShards } from "../../placement/shard-family.js";
import type { IndexView, TopologyView } from "../topology/topology-view.js";

/**
 * An index as its writer counts on it at one generation: who receives its writes, and who serves which shard. Suspect replicas go
 * on receiving every write; they count as copies only where no other is left. Replicas that join receive every write and never count.
 */
export interface Standing {
  readonly uid: string;
  readonly instance: string;
  readonly generation: bigint;
  readonly primaryKey: string | undefined;
  /** Ids of the nodes that receive writes: in sync, suspect, or joining. */
  readonly members: ReadonlySet<string>;
  readonly suspects: ReadonlySet<string>;
  /** Members whose replica is being filled as a whole: nobody reads them, and any of them may be lost. */
  readonly joiners: ReadonlySet<string>;
  /** By shard: ids of the nodes that serve it. */
  readonly placement: readonly (readonly string[])[];
  /** By shard: ids of further nodes that are being filled with it. */
  readonly joining: readonly (readonly string[])[];
  /** By shard: ids of nodes that served it and are still kept up to date. */
  readonly leaving: readonly (readonly string[])[];
  readonly shardsByNode: ReadonlyMap<string, readonly number[]>;
  /** The shards that documents bear codes of; a multiple of the index's. */
  readonly familyShards: number;
}

/** The standing that a topology gives an index. */
export function standingOf(view: TopologyView, index: IndexView): Standing {
  const members = new Set<string>();
  const suspects = new Set<string>();
  const joiners = new Set<string>();
  for (const [nodeId, state] of index.replicas) {
    if (state === "stale" || !view.nodes.has(nodeId)) continue;
    members.add(nodeId);
    if (state === "suspect") suspects.add(nodeId);
    if (state === "joining") joiners.add(nodeId);
  }
  return {
    uid: index.uid,
    instance: index.instance,
    generation: index.generation,
    primaryKey: index.primaryKey,
    members,
    suspects,
    joiners,
    placement: index.placement,
    joining: index.joining,
    leaving: index.leaving,
    shardsByNode: index.shardsByNode,
    familyShards: index.familyShards,
  };
}

/** The standing after a change of generation in which `lost` went stale. */
export function withoutNodes(standing: Standing, generation: bigint, lost: ReadonlySet<string>): Standing {
  return { ...standing, generation, members: difference(standing.members, lost) };
}

/** The members that serve a shard: its copies. */
export function holders(standing: Standing, shard: number): readonly string[] {
  return (standing.placement[shard] ?? []).filter((nodeId) => counts(standing, nodeId));
}

/** The members that hold all of a shard: its copies, and those that are about to be given up. */
export function keepers(standing: Standing, shard: number): readonly string[] {
  const leaving = (standing.leaving[shard] ?? []).filter((nodeId) => counts(standing, nodeId));
  return [...holders(standing, shard), ...leaving];
}

/** The members that receive a shard's writes, whatever they are to it. */
export function recipients(
  standing: Pick<Standing, "placement" | "joining" | "leaving" | "members">,
  shard: number,
): readonly string[] {
  const { placement, joining, leaving, members } = standing;
  const named = [...(placement[shard] ?? []), ...(joining[shard] ?? []), ...(leaving[shard] ?? [])];
  return named.filter((nodeId) => members.has(nodeId));
}

function counts({ members, joiners }: Standing, nodeId: string): boolean {
  return members.has(nodeId) && !joiners.has(nodeId);
}

/**
 * Those of `candidates` that can go stale together, so that every shard keeps at least `minLeft` copies on members that are no
 * candidates (1 unless given): never a shard's last good copy. Replicas that serve nothing yet can always go.
 */
export function losable(
  standing: Standing,
  candidates: Iterable<string>,
  minLeft: (shard: number) => number = () => 1,
): ReadonlySet<string> {
  const all = new Set(candidates);
  const result = new Set<string>();
  for (const nodeId of all) {
    const shards = standing.joiners.has(nodeId) ? [] : (standing.shardsByNode.get(nodeId) ?? []);
    const safe = shards.every((shard) => {
      const left = holders(standing, shard).filter((holder) => !all.has(holder)).length;
      return left >= Math.max(1, minLeft(shard));
    });
    if (safe) result.add(nodeId);
  }
  return result;
}

/** Copies, over all healths, that a shard is to have. */
export function copies(standing: Standing, shard: number): number {
  return (standing.placement[shard] ?? []).length;
}

/**
 * Of the members, which nodes get a write that touches `shards`, with the shards that it is about on each; all
 * members for `"all"`, with an empty list.
 *
 * @param receive who of the members receives a shard's writes; all that have anything to do with it unless given
 */
export function targetsOf(
  standing: Standing,
  shards: readonly number[] | "all",
  receive: (standing: Standing, shard: number) => readonly string[] = recipients,
): ReadonlyMap<string, readonly number[]> {
  const targets = new Map<string, number[]>();
  if (shards === "all") {
    for (const nodeId of standing.members) targets.set(nodeId, []);
    return targets;
  }
  for (const shard of shards) {
    for (const nodeId of receive(standing, shard)) {
      const list = targets.get(nodeId);
      if (list === undefined) targets.set(nodeId, [shard]);
      else list.push(shard);
    }
  }
  return targets;
}

/** All shards of the index. */
export function allShards(standing: Standing): readonly number[] {
  return standing.placement.map((_, shard) => shard);
}

/** What is in `a` and not in `b`. */
export function difference(a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...a].filter((value) => !b.has(value)));
}

/** A filter for the documents of a shard, whichever code of its family they bear. */
export function inShard({ placement, familyShards: codes }: Standing, shard: number): string {
  return shardCondition(familyShards([shard], placement.length, codes));
}
