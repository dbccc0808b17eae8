import type { PlacedId } from "../documents/id-cursor.js";

/** A walk over one replica's ids, in the order of their sequences. */
export interface IdWalk {
  peek(): Promise<PlacedId | undefined>;
  take(): void;
}

/** An id, and the replicas that have it at that place. */
export interface WalkedId extends PlacedId {
  readonly nodeIds: readonly string[];
}

/**
 * Walks over several replicas of the same shards at once, in the order of sequences: one entry for each document and sequence that any
 * of them has. A document that replicas hold under two sequences comes twice, each time without some of them.
 */
export async function* walkTogether(walks: ReadonlyMap<string, IdWalk>): AsyncGenerator<WalkedId> {
  for (;;) {
    const heads = await Promise.all(
      [...walks].map(async ([nodeId, walk]) => ({ nodeId, walk, head: await walk.peek() })),
    );
    const first = heads
      .flatMap(({ head }) => head ?? [])
      .reduce<PlacedId | undefined>(
        (least, head) => (least === undefined || isBefore(head, least) ? head : least),
        undefined,
      );
    if (first === undefined) return;
    const having = heads.filter(({ head }) => head?.id === first.id && head.sequence === first.sequence);
    for (const { walk } of having) walk.take();
    yield { ...first, nodeIds: having.map(({ nodeId }) => nodeId) };
  }
}

function isBefore(a: PlacedId, b: PlacedId): boolean {
  return a.sequence < b.sequence || (a.sequence === b.sequence && a.id < b.id);
}
