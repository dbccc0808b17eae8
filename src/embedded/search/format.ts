import type { Document } from "../documents.js";
import type { JsonObject, JsonValue } from "../exact-json.js";
import { matchesPattern } from "../settings.js";
import type { ParsedQuery } from "./query.js";
import type { Token, Tokenizer } from "./tokenizer.js";

/** What is marked and cut in hits. */
export interface FormatOptions {
  readonly preTag: string;
  readonly postTag: string;
  readonly cropMarker: string;
}

/** A matching piece of a text, in UTF-16 units. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** A match's place as `showMatchesPosition` shows it, in bytes. */
export interface MatchPosition {
  readonly start: number;
  readonly length: number;
  readonly indices?: readonly number[];
}

/** Finds the words of a query in texts. */
export class Matcher {
  readonly #tokenizer: Tokenizer;
  readonly #words = new Set<string>();
  /** Words of the query's last term, which may go on: how many letters of them are marked. */
  readonly #prefixes = new Map<string, number>();
  readonly #phrases: (readonly (string | null)[])[] = [];

  constructor(tokenizer: Tokenizer, query: ParsedQuery | undefined) {
    this.#tokenizer = tokenizer;
    for (const node of query?.nodes ?? []) {
      for (const derivation of node.derivations) {
        if (derivation.kind === "phrase") this.#phrases.push(derivation.phrase);
        else if (!node.isPrefix) this.#words.add(derivation.word);
        else if (!derivation.common) {
          const marked = Math.min(derivation.word.length, node.word.length);
          this.#prefixes.set(derivation.word, Math.max(marked, this.#prefixes.get(derivation.word) ?? 0));
        }
      }
    }
  }

  /** How many letters of a word are marked; 0 for none. */
  #marked(lemma: string): number {
    if (this.#words.has(lemma)) return Number.POSITIVE_INFINITY;
    for (let length = 1; length <= lemma.length; length++) {
      const marked = this.#prefixes.get(lemma.slice(0, length));
      if (marked !== undefined) return marked;
    }
    return 0;
  }

  spans(text: string): Span[] {
    const tokens = this.#tokenizer.tokenize(text);
    const words = tokens.filter((token) => token.kind === "word" || token.kind === "stopWord");
    const marked = new Map<Token, number>();
    for (const [i, token] of words.entries()) {
      const length = this.#marked(token.lemma);
      if (length > 0) marked.set(token, length);
      for (const phrase of this.#phrases) {
        const part = words.slice(i, i + phrase.length);
        if (part.length < phrase.length) continue;
        if (!phrase.every((word, j) => word === null || part[j]?.lemma === word)) continue;
        for (const member of part) marked.set(member, Number.POSITIVE_INFINITY);
      }
    }
    return [...marked]
      .map(([token, length]) => ({ start: token.start, end: Math.min(token.end, token.start + length) }))
      .sort((a, b) => a.start - b.start);
  }

  /** Cuts a text to about `length` words around its best matches. */
  crop(
    text: string,
    length: number,
    marker: string,
  ): { readonly text: string; readonly before: string; readonly after: string } {
    const words = this.#tokenizer
      .tokenize(text)
      .filter((token) => token.kind === "word" || token.kind === "stopWord");
    if (length === 0 || words.length <= length) return { text, before: "", after: "" };
    const starts = new Set(this.spans(text).map((span) => span.start));
    let best = 0;
    let most = -1;
    for (let i = 0; i + length <= words.length; i++) {
      const count = words.slice(i, i + length).filter((word) => starts.has(word.start)).length;
      if (count > most) {
        most = count;
        best = i;
      }
    }
    const hits = words.findIndex((word, i) => i >= best && starts.has(word.start));
    const last = words.findLastIndex((word, i) => i < best + length && starts.has(word.start));
    const free = hits < 0 ? 0 : length - (last - hits + 1);
    const first = hits < 0 ? 0 : Math.max(0, Math.min(words.length - length, hits - Math.floor(free / 2)));
    const from = first === 0 ? 0 : (words[first]?.start ?? 0);
    const end = first + length;
    const to = end >= words.length ? text.length : (words[end - 1]?.end ?? text.length);
    return {
      text: text.slice(from, to),
      before: from > 0 ? marker : "",
      after: to < text.length ? marker : "",
    };
  }
}

/** Which attributes are shown formatted, and how. */
export interface FormattedAttributes {
  readonly shown: (name: string) => boolean;
  readonly highlight: (path: string) => boolean;
  /** Words to keep; `undefined` does not cut. */
  readonly cropLength: (path: string) => number | undefined;
}

/** Reads `attributesToCrop` such as `["*", "overview:20"]`. */
export function cropLengths(
  attributes: readonly string[],
  fallback: number,
): (path: string) => number | undefined {
  const rules = attributes.map((attribute) => {
    const match = /^(.*):(\d+)$/.exec(attribute);
    return match === null
      ? { name: attribute, length: fallback }
      : { name: match[1] ?? "", length: Number(match[2]) };
  });
  return (path) =>
    rules.find(({ name }) => name !== "*" && matchesPattern(name, path))?.length ??
    rules.find(({ name }) => name === "*")?.length;
}

/** The `_formatted` member of a hit: strings marked and cut, numbers as strings. */
export function formatDocument(
  document: Document,
  names: readonly string[],
  attributes: FormattedAttributes,
  matcher: Matcher,
  options: FormatOptions,
): string {
  const format = (value: JsonValue, text: string, path: string): JsonValue => {
    if (typeof value === "string") return formatText(value, path);
    if (typeof value === "number") return formatText(text === "" ? String(value) : text, path);
    if (Array.isArray(value)) return value.map((item) => format(item, "", path));
    if (typeof value !== "object" || value === null) return value;
    const result: JsonObject = {};
    for (const [name, member] of Object.entries(value)) result[name] = format(member, "", `${path}.${name}`);
    return result;
  };
  const formatText = (source: string, path: string): string => {
    const length = attributes.cropLength(path);
    const cut =
      length === undefined
        ? { text: source, before: "", after: "" }
        : matcher.crop(source, length, options.cropMarker);
    if (!attributes.highlight(path)) return cut.before + cut.text + cut.after;
    let marked = "";
    let at = 0;
    for (const { start, end } of matcher.spans(cut.text)) {
      marked += cut.text.slice(at, start) + options.preTag + cut.text.slice(start, end) + options.postTag;
      at = end;
    }
    return cut.before + marked + cut.text.slice(at) + cut.after;
  };
  const members = names.flatMap((name) => {
    const member = document.get(name);
    if (member === undefined || !attributes.shown(name)) return [];
    return [`${JSON.stringify(name)}:${JSON.stringify(format(member.value, member.text, name))}`];
  });
  return `{${members.join(",")}}`;
}

/** The `_matchesPosition` member of a hit. */
export function matchPositions(document: Document, names: readonly string[], matcher: Matcher): string {
  const found: Record<string, MatchPosition[]> = {};
  const visit = (value: JsonValue, text: string, path: string, indices: readonly number[]): void => {
    if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) visit(item, "", path, [...indices, i]);
    } else if (typeof value === "object" && value !== null) {
      for (const [name, member] of Object.entries(value)) visit(member, "", `${path}.${name}`, indices);
    } else if (typeof value === "string" || typeof value === "number") {
      const source = typeof value === "string" ? value : text || String(value);
      for (const { start, end } of matcher.spans(source)) {
        const list = found[path] ?? [];
        found[path] = list;
        list.push({
          start: Buffer.byteLength(source.slice(0, start)),
          length: Buffer.byteLength(source.slice(start, end)),
          ...(indices.length > 0 && { indices }),
        });
      }
    }
  };
  for (const name of names) {
    const member = document.get(name);
    if (member !== undefined) visit(member.value, member.text, name, []);
  }
  return JSON.stringify(Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1))));
}
