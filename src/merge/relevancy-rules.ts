/**
 * The ranking rules that look at the words of a query, under Meilisearch's names. The others sort by an attribute; a
 * vector search ranks in the place of the first of these.
 */
export const relevancyRules: ReadonlySet<string> = new Set([
  "words",
  "typo",
  "proximity",
  "attribute",
  "attributeRank",
  "wordPosition",
  "exactness",
]);
