import { relevancyRules } from "./relevancy-rules.js";

/** What decides how the hits of one federated query can be compared with another's. */
export type RankedQuery = {
  /** Place in the request. */
  readonly position: number;
  readonly indexUid: string;
  /** The client's ranking rules of the index. */
  readonly rankingRules: readonly string[];
  /** The query's `sort`; null where it has none. */
  readonly sort: readonly string[] | null;
  /** Whether `matchingStrategy` is `all`. */
  readonly matchesAllWords: boolean;
  readonly kind: "placeholder" | "keyword" | "vector";
};

/**
 * Meilisearch's complaint about the first query whose hits cannot be compared with those of the ones before it, because
 * at some place one is ranked by relevancy and the other by a sort rule, or by sort rules of different kinds.
 *
 * Worked out here, because nodes have one ranking rule more than the client knows of.
 *
 * @param queries in the order in which Meilisearch runs them: by index uid, then by place
 * @returns undefined where all can be compared
 */
export function rankingIncompatibility(
  queries: readonly RankedQuery[],
): { readonly position: number; readonly message: string } | undefined {
  let previous: CanonicalRules | undefined;
  for (const query of queries) {
    const current = canonicalRules(query);
    if (previous !== undefined) {
      const message = complaint(previous, current);
      if (message !== undefined) return { position: query.position, message };
    }
    // The one with more rules says more to those that follow.
    if (previous === undefined || previous.compared.length <= current.compared.length) previous = current;
  }
  return undefined;
}

type SortKind = "ascending sort" | "descending sort" | "ascending geo sort" | "descending geo sort";
type RuleKind = "relevancy" | SortKind;

/** Where a rule comes from: places among the ranking rules, or in the query's `sort`. */
type Source =
  | { readonly from: "rules"; readonly first: number; readonly last: number }
  | { readonly from: "sort"; readonly criterion: number; readonly at: number };

type ComparedRule = { readonly kind: RuleKind; readonly source: Source };

type CanonicalRules = {
  readonly query: RankedQuery;
  readonly criteria: readonly string[];
  readonly sort: readonly string[];
  readonly notes: readonly string[];
  readonly compared: readonly ComparedRule[];
};

/** Applies a query to the ranking rules: what is left, and what was done to them. */
function canonicalRules(query: RankedQuery): CanonicalRules {
  const canonical = new Canonicalization(query);
  for (const [at, criterion] of query.rankingRules.entries()) {
    if (!canonical.add(criterion, at)) break;
  }
  const { criteria, sort, notes } = canonical;
  return { query, criteria, sort, notes, compared: comparedRules(criteria, sort) };
}

class Canonicalization {
  readonly criteria: string[] = [];
  readonly notes: string[] = [];
  sort: readonly string[] = [];
  /** By rule, or by the field that a sort rule orders by: where it came up first. */
  private readonly relevancy = new Map<string, Source>();
  private readonly fields = new Map<string, Source>();
  private words: "absent" | "prepended" | "given" = "absent";
  private vector: Source | undefined;
  private sortSource: Source | undefined;

  constructor(private readonly query: RankedQuery) {}

  /** Takes the next ranking rule; false where no further one counts. */
  add(criterion: string, at: number): boolean {
    const source: Source = { from: "rules", first: at, last: at };
    if (criterion === "sort") this.addSort(source, at);
    else if (!relevancyRules.has(criterion)) this.addField(criterion, source);
    else if (this.query.kind === "placeholder") {
      this.note(
        `Removed relevancy rule \`${criterion}\` at position ${place(source)} because the query is a placeholder search (\`q\`: "")`,
      );
    } else if (this.query.kind === "vector") return this.addVector(criterion, source);
    else if (criterion === "words") this.addWords(source);
    else this.addRelevancy(criterion, source);
    return true;
  }

  private addSort(source: Source, at: number): void {
    if (this.sortSource !== undefined) this.duplicate("sort", source, this.sortSource);
    else if (this.query.sort === null) {
      const text = `Removed rule \`sort\` at position ${place(source)} because \`query.sort\` is empty`;
      this.notes.push(`   ${this.notes.length + 1}. ${text}\n`);
    } else {
      this.sortSource = source;
      this.criteria.push("sort");
      this.sort = this.sortOf(this.query.sort, at);
    }
  }

  private sortOf(sort: readonly string[], criterion: number): string[] {
    const kept: string[] = [];
    let geo: Source | undefined;
    for (const [at, rule] of sort.entries()) {
      const source: Source = { from: "sort", criterion, at };
      const earlier = isGeo(rule) ? geo : this.fields.get(fieldOf(rule));
      if (earlier !== undefined) {
        this.duplicate(shownSort(rule), source, earlier);
        continue;
      }
      if (isGeo(rule)) geo = source;
      else this.fields.set(fieldOf(rule), source);
      kept.push(rule);
    }
    return kept;
  }

  private addField(criterion: string, source: Source): void {
    const earlier = this.fields.get(fieldOf(criterion));
    if (earlier !== undefined) {
      this.duplicate(criterion, source, earlier);
      return;
    }
    this.fields.set(fieldOf(criterion), source);
    this.criteria.push(criterion);
  }

  private addVector(criterion: string, source: Source): boolean {
    if (this.vector === undefined) {
      this.vector = source;
      this.criteria.push(criterion);
      return true;
    }
    if (this.fields.size > 0) {
      this.note(
        `Truncated relevancy rule \`${criterion}\` at position ${place(source)} and later rules because the query is a vector search and \`vector\` was inserted at position ${place(this.vector)}`,
      );
      return false;
    }
    this.note(
      `Removed relevancy rule \`${criterion}\` at position ${place(source)} because the query is a vector search and \`vector\` was already inserted at position ${place(this.vector)}`,
    );
    return true;
  }

  private addWords(source: Source): void {
    const removed = `Removed rule \`words\` at position ${place(source)} because`;
    if (this.query.matchesAllWords) {
      this.note(`${removed} \`query.matchingWords\` is set to \`all\``);
      return;
    }
    const earlier = this.relevancy.get("words");
    if (earlier !== undefined) {
      this.duplicate("words", source, earlier);
      return;
    }
    if (this.words === "prepended") this.note(`${removed} it was previously prepended`);
    this.words = "given";
    this.relevancy.set("words", source);
    this.criteria.push("words");
  }

  private addRelevancy(criterion: string, source: Source): void {
    if (!this.query.matchesAllWords && this.words === "absent") {
      this.note(
        `Prepended rule \`words\` before first relevancy rule \`${criterion}\` at position ${place(source)}`,
      );
      this.criteria.push("words");
      this.words = "prepended";
    }
    const earlier = this.relevancy.get(criterion);
    if (earlier !== undefined) {
      this.duplicate(criterion, source, earlier);
      return;
    }
    this.relevancy.set(criterion, source);
    this.criteria.push(criterion);
  }

  private duplicate(rule: string, removed: Source, earlier: Source): void {
    const name =
      earlier.from === "rules"
        ? this.query.rankingRules[earlier.first]
        : shownSort(this.query.sort?.[earlier.at] ?? rule);
    const shown = name ?? rule;
    this.note(
      `Removed duplicate rule \`${shown}\` at position ${place(removed)} as it already appears at position ${place(earlier)}`,
    );
  }

  private note(text: string): void {
    this.notes.push(`    ${this.notes.length + 1}. ${text}\n`);
  }
}

/** The rules that are compared one by one: neighbouring relevancy rules count as one. */
function comparedRules(criteria: readonly string[], sort: readonly string[]): ComparedRule[] {
  const rules: ComparedRule[] = [];
  for (const [at, criterion] of criteria.entries()) {
    if (criterion === "sort") {
      for (const [place, rule] of sort.entries()) {
        const source: Source = { from: "sort", criterion: at, at: place };
        rules.push({ kind: sortKind(rule, isGeo(rule)), source });
      }
      continue;
    }
    const last = rules.at(-1);
    if (!relevancyRules.has(criterion)) {
      const source: Source = { from: "rules", first: at, last: at };
      rules.push({ kind: sortKind(criterion, fieldOf(criterion) === "_geo"), source });
    } else if (last?.kind === "relevancy" && last.source.from === "rules") {
      rules[rules.length - 1] = { kind: "relevancy", source: { ...last.source, last: at } };
    } else {
      rules.push({ kind: "relevancy", source: { from: "rules", first: at, last: at } });
    }
  }
  return rules;
}

function complaint(previous: CanonicalRules, current: CanonicalRules): string | undefined {
  const both = Math.min(previous.compared.length, current.compared.length);
  for (let i = 0; i < both; i++) {
    const [before, now] = [previous.compared[i], current.compared[i]];
    if (before === undefined || now === undefined || before.kind === now.kind) continue;
    const numbers = [previous.query.position, current.query.position];
    const lines = [
      `The results of queries #${numbers[0]} and #${numbers[1]} are incompatible: \n`,
      `  1. ${describeRule(before, previous)}\n`,
      `  2. ${describeRule(now, current)}\n`,
      `  - ${reason(before.kind, now.kind)}\n`,
    ];
    for (const { query, notes } of [previous, current]) {
      if (notes.length === 0) continue;
      lines.push(
        `  - note: The ranking rules of query #${query.position} were modified during canonicalization:\n`,
        ...notes,
      );
    }
    return lines.join("");
  }
  return undefined;
}

function reason(a: RuleKind, b: RuleKind): string {
  const kinds = new Set([a, b].map((kind) => kind.replace(/^(ascending|descending) /, "")));
  if (kinds.has("relevancy")) {
    return `cannot compare a relevancy rule with a ${kinds.has("sort") ? "sort" : "geosort"} rule`;
  }
  if (kinds.size === 2) return "cannot compare a sort rule with a geosort rule";
  return `cannot compare two ${kinds.has("sort") ? "sort" : "geosort"} rules in opposite directions`;
}

function describeRule({ kind, source }: ComparedRule, { query, criteria, sort }: CanonicalRules): string {
  const [queryName, uid] = [`queries[${query.position}]`, query.indexUid];
  if (source.from === "sort") {
    const rule = sort[source.at] ?? "";
    const name = isGeo(rule) ? "default" : `on field \`${fieldOf(rule)}\``;
    return `\`${queryName}.sort[${source.at}]\`, \`${uid}.rankingRules[${source.criterion}]\`: ${kind} rule(s) ${name}`;
  }
  const range = source.first === source.last ? `${source.first}` : `${source.first}..=${source.last}`;
  const names = criteria.slice(source.first, source.last + 1).join(", ");
  return `\`${queryName}\`, \`${uid}.rankingRules[${range}]\`: ${kind} rule(s) ${names}`;
}

function place(source: Source): string {
  if (source.from === "rules") return `#${source.first} in ranking rules`;
  return `#${source.at} in \`query.sort\` (as \`sort\` is #${source.criterion} in ranking rules)`;
}

function sortKind(rule: string, geo: boolean): SortKind {
  const direction = rule.endsWith(":desc") ? "descending" : "ascending";
  return geo ? `${direction} geo sort` : `${direction} sort`;
}

function isGeo(sort: string): boolean {
  return sort.startsWith("_geoPoint(");
}

function shownSort(rule: string): string {
  return isGeo(rule) ? `_geo(..)${rule.slice(rule.lastIndexOf(":"))}` : rule;
}

function fieldOf(rule: string): string {
  return rule.replace(/:(?:asc|desc)$/, "");
}
