import { ApiError } from "../errors.js";
import type { JsonValue } from "../exact-json.js";
import { distanceInMeters, insideBox, insidePolygon } from "../geo.js";
import type { IndexState } from "../index-state.js";
import { matchingRule, sortedUnique } from "../settings.js";
import { normalizeFacet } from "./facet-values.js";
import {
  type Comparison,
  type Filter,
  FilterSyntaxError,
  type FilterToken,
  locate,
  parseFilter,
} from "./parser.js";
import { printFilter } from "./print.js";

/** How errors about a filter are worded: searches name the index and print the filter's normal form. */
export interface FilterContext {
  readonly code: "invalid_search_filter" | "invalid_document_filter";
  /** `Index `x`: ` or nothing. */
  readonly prefix: string;
}

/**
 * Parses a filter as clients send it: a string, or an array of strings (all must hold) and of arrays of
 * strings (one must hold).
 *
 * @throws ApiError with the context's code.
 */
export function parseFilterValue(value: JsonValue, context: FilterContext): Filter | undefined {
  if (value === null) return undefined;
  if (typeof value === "string") return parseText(value, context);
  if (!Array.isArray(value)) throw wrongShape("String, Array", value, context);
  const all: Filter[] = [];
  for (const item of value) {
    if (typeof item === "string") {
      const filter = parseText(item, context);
      if (filter !== undefined) all.push(filter);
      continue;
    }
    if (!Array.isArray(item)) throw wrongShape("String, [String]", item, context);
    const any: Filter[] = [];
    for (const below of item) {
      if (typeof below !== "string") throw wrongShape("String", below, context);
      const filter = parseText(below, context);
      if (filter !== undefined) any.push(filter);
    }
    const [only] = any;
    if (only !== undefined) all.push(any.length === 1 ? only : { kind: "or", filters: any });
  }
  const [only] = all;
  return all.length > 1 ? { kind: "and", filters: all } : only;
}

function parseText(text: string, context: FilterContext): Filter | undefined {
  try {
    return parseFilter(text);
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    throw new ApiError(context.code, error.message);
  }
}

function wrongShape(expected: string, value: JsonValue, context: FilterContext): ApiError {
  return new ApiError(
    context.code,
    `Invalid syntax for the filter parameter: \`expected ${expected}, found: ${JSON.stringify(value)}\`.`,
  );
}

/**
 * Checks that every field of a filter may be filtered in the way asked.
 *
 * @param source the filter as it was sent, where errors show that rather than the normal form.
 */
export function checkFilter(
  index: IndexState,
  filter: Filter,
  context: FilterContext,
  source?: string,
): void {
  const place = (token: FilterToken) => {
    if (source !== undefined) return locate(source, token.start, token.end);
    const printed = printFilter(filter, token);
    return locate(printed.text, printed.start, printed.end);
  };
  visit(filter, (node) => {
    if (node.kind === "and" || node.kind === "or" || node.kind === "not") return;
    const geo = node.kind === "radius" || node.kind === "box" || node.kind === "polygon";
    const token = geo ? node.at : node.field;
    const name = geo ? "_geo" : node.field.text;
    const match = matchingRule(index.rules, name);
    if (match === undefined || !(match.rule.equality || match.rule.comparison)) {
      const patterns = sortedUnique(
        index.rules.filter((rule) => rule.equality || rule.comparison).flatMap((rule) => rule.patterns),
      );
      const hint =
        patterns.length === 0
          ? "This index does not have configured filterable attributes."
          : `Available filterable attribute patterns are: ${patterns.map((pattern) => `\`${pattern}\``).join(", ")}.`;
      throw new ApiError(
        context.code,
        `${context.prefix}Attribute \`${geo ? "_geo/_geojson" : name}\` is not filterable. ${hint}\n${place(token)}`,
      );
    }
    if (geo) return;
    const comparison = node.kind === "to" || (node.kind === "compare" && /[<>]/.test(node.operator));
    const equality = node.kind === "in" || (node.kind === "compare" && !comparison);
    if (!(comparison && !match.rule.comparison) && !(equality && !match.rule.equality)) return;
    const operator = node.kind === "compare" ? node.operator : node.kind === "to" ? "TO" : "=";
    const allowed = [
      ...(match.rule.equality ? ["=", "!=", "IN"] : []),
      ...(match.rule.comparison ? ["<", ">", "<=", ">=", "TO"] : []),
      "IS EMPTY",
      "IS NULL",
      "EXISTS",
    ];
    throw new ApiError(
      context.code,
      `${context.prefix}Filter operator \`${operator}\` is not allowed for the attribute \`${name}\`.\n  - Note: allowed operators: ${allowed.join(", ")}.\n  - Note: field \`${name}\` matched rule #${match.position} in \`filterableAttributes\`\n  - Hint: enable ${comparison ? "comparison" : "equality"} in rule #${match.position} by modifying the features.filter object\n  - Hint: prepend another rule matching \`${name}\` with appropriate filter features before rule #${match.position}`,
    );
  });
}

function visit(filter: Filter, see: (filter: Filter) => void): void {
  see(filter);
  if (filter.kind === "not") visit(filter.filter, see);
  else if (filter.kind === "and" || filter.kind === "or")
    for (const below of filter.filters) visit(below, see);
}

/** The documents among `ids` for which a checked filter holds. */
export function filterIds(index: IndexState, filter: Filter | undefined, ids: readonly number[]): number[] {
  if (filter === undefined) return [...ids];
  const test = compile(index, filter);
  return ids.filter(test);
}

function compile(index: IndexState, filter: Filter): (id: number) => boolean {
  switch (filter.kind) {
    case "and": {
      const tests = filter.filters.map((below) => compile(index, below));
      return (id) => tests.every((test) => test(id));
    }
    case "or": {
      const tests = filter.filters.map((below) => compile(index, below));
      return (id) => tests.some((test) => test(id));
    }
    case "not": {
      const test = compile(index, filter.filter);
      return (id) => !test(id);
    }
    case "compare":
      return compileComparison(index, filter.field.text, filter.operator, filter.value.text);
    case "in": {
      const tests = filter.values.map((value) =>
        compileComparison(index, filter.field.text, "=", value.text),
      );
      return (id) => tests.some((test) => test(id));
    }
    case "to": {
      const from = bound(filter.from.text);
      const to = bound(filter.to.text);
      return (id) => {
        const values = index.facetsOf(id, filter.field.text);
        return (
          (from.number !== undefined &&
            to.number !== undefined &&
            values.numbers.some((n) => n >= Number(from.number) && n <= Number(to.number))) ||
          values.strings.some((s) => compareBytes(s, from.text) >= 0 && compareBytes(s, to.text) <= 0)
        );
      };
    }
    case "exists":
      return (id) => index.facetsOf(id, filter.field.text).exists;
    case "null":
      return (id) => index.facetsOf(id, filter.field.text).isNull;
    case "empty":
      return (id) => index.facetsOf(id, filter.field.text).isEmpty;
    case "contains": {
      const needle = normalizeFacet(filter.value.text);
      return (id) => index.facetsOf(id, filter.field.text).strings.some((s) => s.includes(needle));
    }
    case "startsWith": {
      const head = normalizeFacet(filter.value.text);
      return (id) => {
        const values = index.facetsOf(id, filter.field.text);
        return head === "" ? values.exists : values.strings.some((s) => s.startsWith(head));
      };
    }
    case "radius":
      return (id) => {
        const point = index.geo.get(id);
        return point !== undefined && distanceInMeters(filter.center, point) <= filter.meters;
      };
    case "box":
      return (id) => {
        const point = index.geo.get(id);
        return point !== undefined && insideBox(point, filter.topRight, filter.bottomLeft);
      };
    case "polygon":
      return (id) => {
        const point = index.geo.get(id);
        return point !== undefined && insidePolygon(point, filter.points);
      };
  }
}

function bound(text: string): { readonly text: string; readonly number: number | undefined } {
  const number = text.trim() === "" ? Number.NaN : Number(text);
  return { text: normalizeFacet(text), number: Number.isFinite(number) ? number : undefined };
}

function compileComparison(
  index: IndexState,
  field: string,
  operator: Comparison,
  value: string,
): (id: number) => boolean {
  if (operator === "!=") {
    const equal = compileComparison(index, field, "=", value);
    return (id) => !equal(id);
  }
  const { text, number } = bound(value);
  if (operator === "=") {
    return (id) => {
      const values = index.facetsOf(id, field);
      return values.strings.includes(text) || (number !== undefined && values.numbers.includes(number));
    };
  }
  const holds = {
    "<": (order: number) => order < 0,
    "<=": (order: number) => order <= 0,
    ">": (order: number) => order > 0,
    ">=": (order: number) => order >= 0,
  }[operator];
  return (id) => {
    const values = index.facetsOf(id, field);
    return (
      (number !== undefined && values.numbers.some((n) => holds(n - number))) ||
      values.strings.some((s) => holds(compareBytes(s, text)))
    );
  };
}

/** Orders strings by their UTF-8 bytes. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
