import { createHash } from "node:crypto";
import { canonicalJson } from "./canonical.js";
import { objectMembers } from "./members.js";

/**
 * A text that two nodes' prints of a document share exactly when they hold the same: of members in any order, since each node prints
 * them in the order in which it met them; of values byte for byte. Vectors that a node made itself count by their being there
 * alone, because two nodes that ask the same embedder need not get the same.
 */
export function documentDigest(document: Buffer): string {
  const members = objectMembers(document).map(({ key, valueStart, valueEnd }) => {
    const value = document.toString("utf8", valueStart, valueEnd);
    return [key, key === "_vectors" ? givenVectors(value) : value] as const;
  });
  members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const hash = createHash("sha256");
  for (const [key, value] of members) hash.update(`${JSON.stringify(key)}:${value},`);
  return hash.digest("hex").slice(0, 32);
}

function givenVectors(text: string): string {
  const vectors = JSON.parse(text) as Record<string, { readonly regenerate?: boolean } | null>;
  return canonicalJson(
    Object.fromEntries(
      Object.entries(vectors).map(([embedder, entry]) => [
        embedder,
        entry?.regenerate === true ? "regenerated" : entry,
      ]),
    ),
  );
}
