import type { IndexState } from "../index-state.js";
import type { Path } from "./paths.js";
import type { SearchScope } from "./query.js";
import { type Ranking, type RankOptions, rank } from "./rank.js";
import { type Bucket, type Rule, sortRule } from "./rules.js";
import type { SortCriterion } from "./sort.js";
import { similarity, vectorsOf } from "./vectors.js";

/**
 * Ranks documents by the similarity of their vectors to a target, exactly. Sorts stand where the index's
 * ranking rules have them; every textual rule together becomes the one similarity rule.
 */
export function vectorRanking(
  index: IndexState,
  scope: SearchScope,
  embedder: string,
  target: readonly number[],
  sorts: readonly SortCriterion[],
  options: RankOptions,
): Ranking {
  const rules: Rule[] = [];
  let ranked = false;
  for (const rule of index.settings.rankingRules) {
    const custom = /^(.+):(asc|desc)$/.exec(rule);
    if (rule === "sort") rules.push(...sorts.map((sort) => sortRule(index, sort)));
    else if (custom !== null) {
      rules.push(sortRule(index, { kind: "field", field: custom[1] ?? "", ascending: custom[2] === "asc" }));
    } else if (!ranked) {
      ranked = true;
      rules.push(similarityRule(index, embedder, target));
    }
  }
  return rank(index, [...scope.universe], [], rules, options);
}

function similarityRule(index: IndexState, embedder: string, target: readonly number[]): Rule {
  return (ids: readonly number[], paths: readonly Path[]): Bucket[] => {
    // Documents without vectors come last.
    const groups = new Map<number | null, number[]>();
    for (const id of ids) {
      const document = index.document(id);
      const vectors = document === undefined ? [] : vectorsOf(document, embedder);
      const best =
        vectors.length === 0 ? null : Math.max(...vectors.map((vector) => similarity(vector, target)));
      const group = groups.get(best);
      if (group === undefined) groups.set(best, [id]);
      else group.push(id);
    }
    return [...groups]
      .sort(([a], [b]) => (b ?? -1) - (a ?? -1))
      .map(([value, group]) => ({ ids: group, paths, detail: { kind: "vector", similarity: value } }));
  };
}
