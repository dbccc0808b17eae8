import { SEQUENCE_FIELD, SHARD_FIELD } from "../placement/injected-fields.js";
import type { JsonValue } from "./search-parameters.js";

/** The entry that the last ranking rule leaves in `_rankingScoreDetails`. */
export const SEQUENCE_RULE = `${SEQUENCE_FIELD}:asc`;

/**
 * Stand-ins of the same length, so that a position in an error message still points at the same column.
 * Documents with a top-level field in `_miroir_` are refused, so that no document has them.
 */
const STAND_INS: readonly (readonly [field: string, standIn: string])[] = [
  [SHARD_FIELD, "_miroir_5hard"],
  [SEQUENCE_FIELD, "_miroir_5eq"],
];

/** Whether `name` is one of the injected fields. */
export function isInjectedField(name: string): boolean {
  return name === SHARD_FIELD || name === SEQUENCE_FIELD;
}

/**
 * `expression` (an attribute, `attribute:length`, `attribute:asc`) with an injected field replaced by its
 * stand-in: a node then treats it as the unknown attribute that it is to the client.
 */
export function standInForAttribute(expression: string): string {
  for (const [field, standIn] of STAND_INS) {
    if (expression === field) return standIn;
    if (expression.startsWith(field) && /^[.:]/.test(expression.slice(field.length))) {
      return standIn + expression.slice(field.length);
    }
  }
  return expression;
}

/**
 * A whole request's text with injected fields replaced by their stand-ins, wherever they stand: for a request of which only a
 * refusal is wanted, which {@link hideInjectedFields} turns back.
 */
export function standInsThroughout(text: string): string {
  return STAND_INS.reduce((before, [field, standIn]) => before.replaceAll(field, standIn), text);
}

/** A quoted string, a word, or one other character of a filter. */
const FILTER_TOKEN = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\p{L}\p{N}_\-/.]+|[^\s]/gsu;

/**
 * A filter string in which injected fields used as attributes are replaced by their stand-ins. A value
 * that reads like one stays.
 */
export function standInsInFilter(filter: string): string {
  if (!filter.includes(SHARD_FIELD) && !filter.includes(SEQUENCE_FIELD)) return filter;
  const tokens = [...filter.matchAll(FILTER_TOKEN)];
  let result = "";
  let copied = 0;
  tokens.forEach((token, at) => {
    const next = tokens[at + 1]?.[0];
    // An attribute is followed by its operator, a value by a connective or by nothing.
    if (next === undefined || /^(?:\)|,|]|AND|OR)$/i.test(next)) return;
    const quote = token[0][0] === "'" || token[0][0] === '"' ? token[0][0] : "";
    const name = quote === "" ? token[0] : token[0].slice(1, -1);
    const standIn = standInForAttribute(name);
    if (standIn === name) return;
    result += filter.slice(copied, token.index) + quote + standIn + quote;
    copied = token.index + token[0].length;
  });
  return result + filter.slice(copied);
}

/** {@link standInsInFilter} throughout a filter in any of its forms; what is no filter stays for a node to refuse. */
export function standInsInAnyFilter(filter: JsonValue): JsonValue {
  if (typeof filter === "string") return standInsInFilter(filter);
  if (Array.isArray(filter)) return (filter as readonly JsonValue[]).map(standInsInAnyFilter);
  return filter;
}

/** The end of a message that prints a filter narrowed to shards, with the position of what is wrong. */
const NARROWED_FILTER = /\n(\d+):(\d+) (.*) AND \("_miroir_shard" IN \[(?:"[^"]*"(?:, "[^"]*")*)?\]\)$/s;

/** A list of attributes between back quotes, as one quoted list or as a list of quoted names. */
const ATTRIBUTE_LIST =
  / (Available ([a-z-]+) attributes?(?: patterns)? are:) (`[^`]*`(?:, `[^`]*`)*)\.( To make it facet-searchable)?/g;

/** The names that a document template could have used. */
const TEMPLATE_NAMES = /(\bavailable (?:indexes|variables)=)([^\n]*)/g;

/** What Meilisearch puts in the place of attributes that are not displayed. */
const HIDDEN_ATTRIBUTES = "<..hidden-attributes>";

/** The sentence in front of a list that shows displayed attributes only; the others show all. */
const LISTS_DISPLAYED_ONLY =
  /is not (?:sortable|searchable|facet-searchable)\.$|cannot be used as distinct attribute\.$/;

/**
 * A node's error message as a node without Miroir's fields would word it: injected fields leave the lists
 * of available attributes, a list that held nothing else becomes the sentence for an index without such
 * attributes, the shards leave a printed filter, and stand-ins turn back into the names that the client
 * wrote. Names of physical indexes stay.
 *
 * @param displayed the client's `displayedAttributes`, which nodes do not have; null, the default, for all
 */
export function hideInjectedFields(message: string, displayed: readonly string[] | null = null): string {
  let text = message.replace(NARROWED_FILTER, (_end, from: string, to: string, filter: string) => {
    // A node puts each element of the array in parentheses, but not a filter that stands alone.
    if (!isParenthesised(filter)) return `\n${from}:${to} ${filter}`;
    return `\n${Number(from) - 1}:${Number(to) - 1} ${filter.slice(1, -1)}`;
  });
  if (displayed !== null || text.includes(SHARD_FIELD) || text.includes(SEQUENCE_FIELD)) {
    const before = text;
    text = before.replace(
      ATTRIBUTE_LIST,
      (sentence, head: string, kind: string, list: string, hint: string | undefined, at: number) => {
        const names = list.replaceAll("`", "").split(", ");
        const known = names.filter((name) => !isInjectedField(name));
        const hides = displayed !== null && LISTS_DISPLAYED_ONLY.test(before.slice(0, at));
        const kept = hides ? known.filter((name) => displayed.includes(name)) : known;
        if (kept.length === names.length) return sentence;
        if (kept.length === 0 && kind !== "searchable") {
          return ` This index does not have configured ${kind} attributes.${hint ?? ""}`;
        }
        if (kept.length < known.length) kept.push(HIDDEN_ATTRIBUTES);
        const separator = list.includes("`, `") ? "`, `" : ", ";
        return ` ${head} \`${kept.join(separator)}\`.${hint ?? ""}`;
      },
    );
  }
  text = text.replace(TEMPLATE_NAMES, (_, head: string, list: string) => {
    return (
      head +
      list
        .split(", ")
        .filter((name) => !isInjectedField(name))
        .join(", ")
    );
  });
  for (const [field, standIn] of STAND_INS) text = text.replaceAll(standIn, field);
  return text;
}

/** Whether the first parenthesis closes at the very end, and not before. */
function isParenthesised(filter: string): boolean {
  if (!filter.startsWith("(")) return false;
  let depth = 0;
  for (const { 0: token, index } of filter.matchAll(/"(?:[^"\\]|\\.)*"|[()]/gs)) {
    if (token === "(") depth++;
    if (token === ")" && --depth === 0) return index === filter.length - 1;
  }
  return false;
}
