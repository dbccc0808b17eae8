import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PlacedId } from "../../../../src/control/documents/id-cursor.js";
import { type IdWalk, type WalkedId, walkTogether } from "../../../../src/control/verify/replica-walk.js";

function walkOver(ids: readonly PlacedId[]): IdWalk {
  let at = 0;
  return {
    peek: async () => ids[at],
    take: () => {
      at++;
    },
  };
}

const keyOf = ({ sequence, id }: PlacedId) => `${sequence} ${id}`;
const replica = fc
  .uniqueArray(
    fc.record({ id: fc.constantFrom("a", "b", "c", "d"), sequence: fc.constantFrom("1", "2", "3") }),
    {
      selector: keyOf,
    },
  )
  .map((ids) => ids.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)));

describe("a walk over replicas side by side", () => {
  it("gives every place that any of them has, once, with all that have it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(replica, { minLength: 1, maxLength: 4 }), async (replicas) => {
        const walked: WalkedId[] = [];
        const walks = new Map(replicas.map((ids, at) => [`node-${at}`, walkOver(ids)]));
        for await (const entry of walkTogether(walks)) walked.push(entry);
        const keys = [...new Set(replicas.flat().map(keyOf))].sort();
        expect(walked.map(keyOf)).toEqual(keys);
        for (const entry of walked) {
          const having = replicas.flatMap((ids, at) =>
            ids.some((id) => keyOf(id) === keyOf(entry)) ? [`node-${at}`] : [],
          );
          expect(entry.nodeIds).toEqual(having);
        }
      }),
    );
  });
});
