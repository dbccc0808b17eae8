import { type Hit, rankingScoreOf } from "./hit.js";
import { SEQUENCE_RULE } from "./injected-fields.js";
import type { RuleRanks } from "./rule-ranks.js";
import type { RuleDetails } from "./score-details.js";

/**
 * What hits of different searches are compared by: each run of ranking rules as one score, similarities, and the sort
 * rules between them.
 */
export type Segment = { readonly score: number } | { readonly rule: SortRule };

/** A rule that orders by a value of the document. */
export type SortRule = Extract<RuleDetails, { kind: "sort" | "geo" }>;

/** A hit's segments in the order of its rules. The sequence rule is none: no single node would have applied it. */
export function segmentsOf(hit: Hit, ranks: RuleRanks): readonly Segment[] {
  const segments: Segment[] = [];
  let run: RuleDetails[] = [];
  let runs = 0;
  const close = (): void => {
    if (run.length === 0) return;
    segments.push({ score: ranks.scoreOf(hit, run) });
    run = [];
    runs++;
  };
  for (const rule of hit.details) {
    if (rule.kind === "pin" || rule.name === SEQUENCE_RULE) continue;
    if (rule.kind === "sort" || rule.kind === "geo") {
      close();
      segments.push({ rule });
    } else if (rule.kind === "vector") {
      close();
      segments.push({ score: similarityOf(rule.similarity) });
    } else {
      run.push(rule);
    }
  }
  close();
  // All ranking rules in one run: that is the hit's own score, exactly.
  if (runs === 1 && !isSemantic(hit) && ranks.hasGreatestMaxima(hit)) {
    return segments.map((segment) => ("score" in segment ? { score: rankingScoreOf(hit) } : segment));
  }
  return segments;
}

/** The one score of a hit as the whole would have given it: of its ranking rules, or its similarity where it has one. */
export function globalScoreOf(hit: Hit, ranks: RuleRanks): number {
  const vector = hit.details.findLast((rule) => rule.kind === "vector");
  if (vector?.kind === "vector") return similarityOf(vector.similarity);
  return ranks.hasGreatestMaxima(hit) ? rankingScoreOf(hit) : ranks.scoreOf(hit, hit.details);
}

/** Whether a hit was found by its vector. */
export function isSemantic(hit: Hit): boolean {
  return hit.details.some((rule) => rule.kind === "vector");
}

/** Similarities have single precision. */
function similarityOf(similarity: number | null): number {
  return Math.fround(similarity ?? 0);
}
