import { type CappedLoad, crowdedOf, hasRoom, type Movable } from "./capped-load.js";
import type { Member } from "./group-members.js";
import { compareText } from "./rendezvous.js";

/** How much of its share a member holds; 1 for all of it. */
export function fill({ share, shards }: Member): number {
  return shards.length / Math.max(share, 1e-9);
}

/** Orders members by how much of their share they hold, the emptiest first. */
export function byFill(a: Member, b: Member): number {
  return fill(a) - fill(b) || compareText(a.node, b.node);
}

/**
 * Moves one replica to the emptiest of `takers` that is below its share, rounded down, from the fullest of `givers` that is above its
 * own. False where nothing can be moved so.
 */
export function feed(
  load: CappedLoad,
  takers: readonly Member[],
  givers: readonly Member[],
  movable?: Movable,
): boolean {
  const hungry = takers.filter(({ floor, shards }) => shards.length < floor);
  if (hungry.length === 0) return false;
  // A member at its own share gives nothing: that would only move the hunger.
  const full = givers.filter(
    (member) =>
      member.shards.length > member.floor &&
      (movable === undefined || member.shards.some((shard) => movable(member, shard))),
  );
  for (const to of inOrder(hungry, byFill)) {
    for (const from of inOrder(full, byFillDown)) if (load.pass(from, to, movable)) return true;
  }
  return false;
}

/** Moves one replica from a member above its cap to the emptiest of `takers` that is below its own. False where nothing can be moved so. */
export function relieve(load: CappedLoad, takers: readonly Member[]): boolean {
  const crowded = crowdedOf(load.members);
  if (crowded.length === 0) return false;
  const roomy = takers.filter(hasRoom);
  for (const from of crowded) {
    for (const to of inOrder(roomy, byFill)) if (load.pass(from, to)) return true;
  }
  return false;
}

function byFillDown(a: Member, b: Member): number {
  return byFill(b, a);
}

/** Members in order. The first is found without sorting the others: as a rule nobody asks for more. */
function* inOrder(members: readonly Member[], compare: (a: Member, b: Member) => number): Iterable<Member> {
  let [first] = members;
  if (first === undefined) return;
  for (const member of members) if (compare(member, first) < 0) first = member;
  yield first;
  yield* members.filter((member) => member !== first).sort(compare);
}
