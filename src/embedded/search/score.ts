import type { GeoPoint } from "../documents.js";
import { printFloat } from "../exact-json.js";
import { distanceInMeters } from "../geo.js";
import { printFloat32 } from "./render.js";
import type { SortValue } from "./sort.js";

/** A place in an order of `max` ranks; `max` is the best. */
export interface Rank {
  readonly rank: number;
  readonly max: number;
}

/** How a document fared under one ranking rule. */
export type ScoreDetail =
  | { readonly kind: "words"; readonly matching: number; readonly max: number }
  | { readonly kind: "typo"; readonly count: number; readonly max: number }
  | { readonly kind: "proximity" | "attributeRank" | "wordPosition"; readonly rank: Rank }
  | { readonly kind: "exactAttribute"; readonly matchType: "exactMatch" | "matchesStart" | "noExactMatch" }
  | { readonly kind: "exactWords"; readonly matching: number; readonly max: number }
  | { readonly kind: "sort"; readonly name: string; readonly value: SortValue; readonly hidden: boolean }
  | {
      readonly kind: "geo";
      readonly name: string;
      readonly target: GeoPoint;
      readonly value: GeoPoint | null;
    }
  | { readonly kind: "vector"; readonly similarity: number | null };

const MATCH_RANK = { exactMatch: 3, matchesStart: 2, noExactMatch: 1 } as const;

function rankOf(detail: ScoreDetail): Rank | undefined {
  switch (detail.kind) {
    case "words":
      return { rank: detail.matching, max: detail.max };
    case "typo":
      return { rank: Math.max(0, detail.max + 1 - detail.count), max: detail.max + 1 };
    case "proximity":
    case "attributeRank":
    case "wordPosition":
      return detail.rank;
    case "exactAttribute":
      return { rank: MATCH_RANK[detail.matchType], max: 3 };
    case "exactWords":
      return { rank: detail.matching + 1, max: detail.max + 1 };
    default:
      return undefined;
  }
}

function scoreOf(ranks: readonly Rank[]): number {
  let rank = 1;
  let max = 1;
  for (const inner of ranks) {
    rank = Math.max(0, rank - 1) * inner.max + inner.rank;
    max *= inner.max;
  }
  return rank / max;
}

/** The score from 0 to 1 of all details together: sorts do not count, a vector's similarity counts alone. */
export function globalScore(details: readonly ScoreDetail[]): number {
  const vector = details.find((detail) => detail.kind === "vector");
  if (vector?.kind === "vector") return vector.similarity ?? 0;
  return scoreOf(details.flatMap((detail) => rankOf(detail) ?? []));
}

/** Prints `_rankingScoreDetails`, with the unified `attribute` rule where the index uses that one. */
export function printDetails(details: readonly ScoreDetail[], unified: boolean): string {
  const members: string[] = [];
  let order = 0;
  for (const [i, detail] of details.entries()) {
    const head = `"order":${order}`;
    const score = printFloat(scoreOf([rankOf(detail) ?? { rank: 0, max: 1 }]));
    const previous = details[i - 1];
    switch (detail.kind) {
      case "words":
        members.push(
          `"words":{${head},"matchingWords":${detail.matching},"maxMatchingWords":${detail.max},"score":${score}}`,
        );
        break;
      case "typo":
        members.push(
          `"typo":{${head},"typoCount":${detail.count},"maxTypoCount":${detail.max},"score":${score}}`,
        );
        break;
      case "proximity":
        members.push(`"proximity":{${head},"score":${score}}`);
        break;
      case "attributeRank": {
        const next = details[i + 1];
        if (unified && next?.kind === "wordPosition") {
          const both = printFloat(scoreOf([detail.rank, next.rank]));
          const distance = printFloat(scoreOf([next.rank]));
          members.push(
            `"attribute":{${head},"attributeRankingOrderScore":${score},"queryWordDistanceScore":${distance},"score":${both}}`,
          );
        } else members.push(`"attributeRank":{${head},"score":${score}}`);
        break;
      }
      case "wordPosition":
        if (unified && previous?.kind === "attributeRank") continue;
        members.push(`"wordPosition":{${head},"score":${score}}`);
        break;
      case "exactAttribute": {
        const next = details[i + 1];
        const match = `"exactness":{${head},"matchType":"${detail.matchType}"`;
        if (detail.matchType === "noExactMatch" && next?.kind === "exactWords") {
          const both = printFloat(
            scoreOf([
              { rank: 1, max: 3 },
              { rank: next.matching + 1, max: next.max + 1 },
            ]),
          );
          members.push(
            `${match},"matchingWords":${next.matching},"maxMatchingWords":${next.max},"score":${both}}`,
          );
        } else members.push(`${match},"score":${score}}`);
        break;
      }
      case "exactWords":
        continue;
      case "sort": {
        const value = detail.hidden
          ? '"<hidden>"'
          : typeof detail.value === "number"
            ? printFloat(detail.value)
            : JSON.stringify(detail.value);
        const name = detail.hidden ? `<hidden-rule-${order}>` : detail.name;
        members.push(`${JSON.stringify(name)}:{${head},"value":${value}}`);
        break;
      }
      case "geo": {
        const point = detail.value;
        const value =
          point === null ? "null" : `{"lat":${printFloat(point.lat)},"lng":${printFloat(point.lng)}}`;
        const distance = point === null ? "null" : printFloat(distanceInMeters(detail.target, point));
        members.push(`${JSON.stringify(detail.name)}:{${head},"value":${value},"distance":${distance}}`);
        break;
      }
      case "vector":
        members.push(
          `"vectorSort":{${head},"similarity":${detail.similarity === null ? "null" : printFloat32(detail.similarity)}}`,
        );
        break;
    }
    order++;
  }
  return `{${members.join(",")}}`;
}
