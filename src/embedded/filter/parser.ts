import type { GeoPoint } from "../documents.js";

/** A word of a filter with its place in the text, in UTF-16 units. */
export interface FilterToken {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

export type Comparison = "=" | "!=" | "<" | "<=" | ">" | ">=";

/** A parsed filter. */
export type Filter =
  | { readonly kind: "and"; readonly filters: readonly Filter[] }
  | { readonly kind: "or"; readonly filters: readonly Filter[] }
  | { readonly kind: "not"; readonly filter: Filter }
  | {
      readonly kind: "compare";
      readonly field: FilterToken;
      readonly operator: Comparison;
      readonly value: FilterToken;
    }
  | { readonly kind: "in"; readonly field: FilterToken; readonly values: readonly FilterToken[] }
  | { readonly kind: "to"; readonly field: FilterToken; readonly from: FilterToken; readonly to: FilterToken }
  | { readonly kind: "exists" | "null" | "empty"; readonly field: FilterToken }
  | { readonly kind: "contains" | "startsWith"; readonly field: FilterToken; readonly value: FilterToken }
  | { readonly kind: "radius"; readonly at: FilterToken; readonly center: GeoPoint; readonly meters: number }
  | {
      readonly kind: "box";
      readonly at: FilterToken;
      readonly topRight: GeoPoint;
      readonly bottomLeft: GeoPoint;
    }
  | { readonly kind: "polygon"; readonly at: FilterToken; readonly points: readonly GeoPoint[] };

/** A filter that could not be parsed; the message ends in its place and the filter, as Meilisearch's does. */
export class FilterSyntaxError extends Error {
  override readonly name = "FilterSyntaxError";

  constructor(message: string, text: string, start: number, end: number) {
    super(`${message}\n${locate(text, start, end)}`);
  }
}

/** Prints a place as `first:last` character, counted from 1, and the filter. */
export function locate(text: string, start: number, end: number): string {
  return `${[...text.slice(0, start)].length + 1}:${[...text.slice(0, end)].length + 1} ${text}`;
}

const KEYWORDS = new Set([
  "AND",
  "OR",
  "IN",
  "NOT",
  "TO",
  "EXISTS",
  "_geoRadius",
  "_geoBoundingBox",
  "_geoPolygon",
  "_foreign",
]);
const RESERVED_GEO = /^_(?:geoPoint|geoDistance|geo)\b/;
/** Quotes and backslashes as the messages show them. */
function escaped(text: string): string {
  return text.replace(/[\\'"]/g, "\\$&").replaceAll("\n", "\\n");
}

const OPERATIONS =
  "`=`, `!=`, `>=`, `>`, `<=`, `<`, `IN`, `NOT IN`, `TO`, `EXISTS`, `NOT EXISTS`, `IS NULL`, `IS NOT NULL`, `IS EMPTY`, `IS NOT EMPTY`, `CONTAINS`, `NOT CONTAINS`, `STARTS WITH`, `NOT STARTS WITH`, `_geoRadius`, `_geoBoundingBox` or `_geoPolygon`";

/**
 * Parses Meilisearch's filter language.
 *
 * @returns `undefined` for a filter of white space only, which filters nothing.
 * @throws FilterSyntaxError
 */
export function parseFilter(text: string): Filter | undefined {
  if (text.trim() === "") return undefined;
  const parser = new Parser(text);
  return parser.parse();
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Filter {
    const filter = this.#or();
    this.#space();
    if (this.#at < this.#text.length) {
      throw this.#fail(
        `Found unexpected characters at the end of the filter: \`${escaped(this.#text.slice(this.#at))}\`. You probably forgot an \`OR\` or an \`AND\` rule.`,
        this.#at,
      );
    }
    return filter;
  }

  #or(): Filter {
    const filters = [this.#and()];
    while (this.#word("OR")) filters.push(this.#and());
    const [only] = filters;
    return filters.length === 1 && only !== undefined ? only : { kind: "or", filters };
  }

  #and(): Filter {
    const filters = [this.#not()];
    while (this.#word("AND")) filters.push(this.#not());
    const [only] = filters;
    return filters.length === 1 && only !== undefined ? only : { kind: "and", filters };
  }

  #not(): Filter {
    if (!this.#word("NOT")) return this.#primary();
    const filter = this.#not();
    return filter.kind === "not" ? filter.filter : { kind: "not", filter };
  }

  #primary(): Filter {
    this.#space();
    const start = this.#at;
    if (start >= this.#text.length) {
      throw this.#fail(`Was expecting an operation ${OPERATIONS} but instead got nothing.`, start);
    }
    if (this.#text[start] === "(") {
      this.#at++;
      const filter = this.#or();
      this.#space();
      if (this.#text[this.#at] !== ")") {
        throw this.#fail(
          `Expression \`${escaped(this.#text.slice(start))}\` is missing the following closing delimiter: \`)\`.`,
          start,
        );
      }
      this.#at++;
      return filter;
    }
    for (const name of ["_geoRadius", "_geoBoundingBox", "_geoPolygon"] as const) {
      if (this.#word(name)) return this.#geo(name, start);
    }
    const reserved = RESERVED_GEO.exec(this.#text.slice(start))?.[0];
    if (reserved !== undefined && !/[\w.-]/.test(this.#text[start + reserved.length] ?? "")) {
      throw this.#fail(
        `\`${reserved}\` is a reserved keyword and thus can't be used as a filter expression. Use the \`_geoRadius(latitude, longitude, distance)\` or \`_geoBoundingBox([latitude, longitude], [latitude, longitude])\` built-in rules to filter on \`_geo\` coordinates.`,
        start,
      );
    }
    return this.#condition(start);
  }

  #condition(start: number): Filter {
    const field = this.#value();
    this.#space();
    const operator = /^(?:!=|<=|>=|=|<|>)/.exec(this.#text.slice(this.#at))?.[0] as Comparison | undefined;
    if (operator !== undefined) {
      this.#at += operator.length;
      return { kind: "compare", field, operator, value: this.#value() };
    }
    const negated = this.#word("NOT");
    const negate = (filter: Filter): Filter => (negated ? { kind: "not", filter } : filter);
    if (this.#word("IN")) return negate({ kind: "in", field, values: this.#list() });
    if (this.#word("EXISTS")) return negate({ kind: "exists", field });
    if (this.#word("CONTAINS")) return negate({ kind: "contains", field, value: this.#value() });
    if (this.#word("STARTS") && this.#word("WITH")) {
      return negate({ kind: "startsWith", field, value: this.#value() });
    }
    if (!negated && this.#word("IS")) {
      const not = this.#word("NOT");
      const kind = this.#word("NULL") ? "null" : this.#word("EMPTY") ? "empty" : undefined;
      if (kind !== undefined) return not ? { kind: "not", filter: { kind, field } } : { kind, field };
    }
    if (!negated) {
      const from = this.#tryValue();
      if (from !== undefined && this.#word("TO")) return { kind: "to", field, from, to: this.#value() };
    }
    throw this.#fail(
      `Was expecting an operation ${OPERATIONS} at \`${escaped(this.#text.slice(start))}\`.`,
      start,
    );
  }

  #tryValue(): FilterToken | undefined {
    const before = this.#at;
    try {
      return this.#value();
    } catch (error) {
      if (!(error instanceof FilterSyntaxError)) throw error;
      this.#at = before;
      return undefined;
    }
  }

  #value(): FilterToken {
    this.#space();
    const start = this.#at;
    const quote = this.#text[start];
    if (quote === "'" || quote === '"') return this.#quoted(quote, start);
    const word = /^[\p{L}\p{N}_.-]+/u.exec(this.#text.slice(start))?.[0];
    if (word !== undefined && !KEYWORDS.has(word)) {
      this.#at += word.length;
      return { text: word, start, end: this.#at };
    }
    const rest = this.#text.slice(start);
    const found = /^[^\s()=<>!]*/.exec(rest)?.[0] ?? "";
    if (found.trim() === "")
      throw this.#fail("Was expecting a value but instead got nothing.", start, start + found.length);
    const message = KEYWORDS.has(found)
      ? `Was expecting a value but instead got \`${found}\`, which is a reserved keyword. To use \`${found}\` as a field name or a value, surround it by quotes.`
      : `Was expecting a value but instead got \`${escaped(found)}\`.`;
    throw this.#fail(message, start, start + found.length);
  }

  #quoted(quote: string, start: number): FilterToken {
    let text = "";
    for (let i = start + 1; i < this.#text.length; i++) {
      const char = this.#text[i] ?? "";
      if (char === "\\" && i + 1 < this.#text.length) {
        const next = this.#text[++i] ?? "";
        text += next === "n" ? "\n" : next === "t" ? "\t" : next === "r" ? "\r" : next;
      } else if (char === quote) {
        this.#at = i + 1;
        return { text, start: start + 1, end: i };
      } else text += char;
    }
    throw this.#fail(
      `Expression \`${escaped(this.#text.slice(start))}\` is missing the following closing delimiter: \`${quote}\`.`,
      start,
    );
  }

  #list(): FilterToken[] {
    this.#space();
    if (this.#text[this.#at] !== "[") throw this.#fail("Expected `[` after `IN` keyword.", this.#at);
    this.#at++;
    const values: FilterToken[] = [];
    for (;;) {
      this.#space();
      if (this.#text[this.#at] === "]") break;
      if (this.#at >= this.#text.length) {
        throw this.#fail("Expected matching `]` after the list of field names given to `IN[`", this.#at);
      }
      const value = this.#tryValue();
      if (value === undefined) throw this.#unexpectedInList();
      values.push(value);
      this.#space();
      const next = this.#text[this.#at];
      if (next === ",") this.#at++;
      else if (next !== "]" && next !== undefined) throw this.#unexpectedInList();
    }
    this.#at++;
    return values;
  }

  #unexpectedInList(): FilterSyntaxError {
    const rest = this.#text.slice(this.#at);
    return this.#fail(
      `Expected only comma-separated field names inside \`IN[..]\` but instead found \`${escaped(rest)}\`.`,
      this.#at,
    );
  }

  #geo(name: "_geoRadius" | "_geoBoundingBox" | "_geoPolygon", start: number): Filter {
    const open = this.#at;
    const body = /^\s*\(([^)]*)\)/.exec(this.#text.slice(open));
    const form = {
      _geoRadius:
        "The `_geoRadius` filter must be in the form: `_geoRadius(latitude, longitude, radius, optionalResolution)`.",
      _geoBoundingBox:
        "The `_geoBoundingBox` filter expects two pairs of arguments: `_geoBoundingBox([latitude, longitude], [latitude, longitude])`.",
      _geoPolygon:
        "The `_geoPolygon` filter doesn't match the expected format: `_geoPolygon([latitude, longitude], [latitude, longitude])`.",
    }[name];
    if (body === null) throw this.#fail(form, open);
    const inside = body[1] ?? "";
    const numbers = (source: string) =>
      source.split(",").map((part) => Number(part.replace(/["'\s]/g, "") || "x"));
    this.#at += body[0].length;
    const at = { text: name, start, end: start + name.length };
    if (name === "_geoRadius") {
      const args = numbers(inside);
      const [lat = 0, lng = 0, meters = 0] = args;
      if (args.some(Number.isNaN)) throw this.#fail(form, open);
      if (args.length < 3 || args.length > 4) {
        throw this.#fail(
          `Was expecting 3 or 4 arguments for \`_geoRadius\`, but instead found ${args.length}.`,
          this.#at,
        );
      }
      this.#checkPoint(lat, lng, start);
      return { kind: "radius", at, center: { lat, lng }, meters };
    }
    const points = [...inside.matchAll(/\[([^\]]*)\]/g)].map((match) => {
      const pair = numbers(match[1] ?? "");
      if (pair.some(Number.isNaN)) throw this.#fail(form, open);
      if (pair.length !== 2)
        throw this.#fail(`Was expecting 2 coordinates but instead found ${pair.length}.`, open);
      const [lat = 0, lng = 0] = pair;
      this.#checkPoint(lat, lng, start);
      return { lat, lng };
    });
    if (name === "_geoPolygon") {
      if (points.length < 3) {
        throw this.#fail(
          `The \`_geoPolygon\` filter expects at least 3 points but only ${points.length} were specified`,
          open,
        );
      }
      return { kind: "polygon", at, points };
    }
    const [topRight, bottomLeft] = points;
    if (topRight === undefined || bottomLeft === undefined || points.length !== 2)
      throw this.#fail(form, open);
    return { kind: "box", at, topRight, bottomLeft };
  }

  #checkPoint(lat: number, lng: number, start: number): void {
    if (lat < -90 || lat > 90) {
      throw this.#fail(
        `Bad latitude \`${lat}\`. Latitude must be contained between -90 and 90 degrees.`,
        start,
      );
    }
    if (lng < -180 || lng > 180) {
      throw this.#fail(
        `Bad longitude \`${lng}\`. Longitude must be contained between -180 and 180 degrees.`,
        start,
      );
    }
  }

  #word(word: string): boolean {
    this.#space();
    const found = /^[\p{L}\p{N}_.-]+/u.exec(this.#text.slice(this.#at))?.[0];
    if (found !== word) return false;
    this.#at += word.length;
    return true;
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  #fail(message: string, start: number, end = this.#text.length): FilterSyntaxError {
    return new FilterSyntaxError(message, this.#text, start, end);
  }
}
