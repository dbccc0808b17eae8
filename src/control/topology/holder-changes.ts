import type { LeaseHolder } from "../../gen/miroir/v1/topology_pb.js";

/** What makes one list of the holders of leases of another. */
export interface HolderChanges {
  /** Sessions that are not in the list any more. */
  readonly gone: string[];
  /** Those that are new in it, in their order, and their places in it. */
  readonly added: LeaseHolder[];
  readonly places: number[];
}

/** The changes from a list to the one that somebody was told of last after it. */
const known = new WeakMap<readonly LeaseHolder[], { readonly to: object; readonly changes: HolderChanges }>();

/**
 * What changed between two lists that nobody changes any more; undefined where those that stay stand in another order. A holder that is the same
 * is the same object. Many proxies are told of the same change one after the other, so the last one of each list is kept.
 */
export function holderChanges(
  from: readonly LeaseHolder[],
  to: readonly LeaseHolder[],
): HolderChanges | undefined {
  const last = known.get(from);
  if (last?.to === to) return last.changes;
  const present = new Set(to);
  const stay = from.filter((holder) => present.has(holder));
  const former = new Set(from);
  const changes: HolderChanges = {
    gone: from.filter((holder) => !present.has(holder)).map(({ session }) => session),
    added: [],
    places: [],
  };
  let next = 0;
  for (const [place, holder] of to.entries()) {
    if (!former.has(holder)) {
      changes.added.push(holder);
      changes.places.push(place);
    } else if (stay[next++] !== holder) return undefined;
  }
  known.set(from, { to, changes });
  return changes;
}
