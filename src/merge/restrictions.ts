import type { FacetRestriction } from "./facet-counts.js";
import type { JsonValue } from "./search-parameters.js";

/** The conditions that narrow documents to those that a restriction of a facet names. */
export function restrictionConditions(attribute: string, restriction: FacetRestriction): string[] {
  if (restriction.kind === "values") return [conditionOn(attribute, restriction.values)];
  const name = quoted(attribute);
  const { after, upTo } = restriction;
  return [
    ...(after === null ? [] : [`${name} > ${quoted(after)}`]),
    ...(upTo === null ? [] : [`${name} <= ${quoted(upTo)}`]),
  ];
}

/** The condition that an attribute has one of some values, or none of them. */
export function conditionOn(
  attribute: string,
  values: readonly string[],
  operator: "IN" | "NOT IN" = "IN",
): string {
  return `${quoted(attribute)} ${operator} [${values.map(quoted).join(", ")}]`;
}

/** A filter and conditions besides, as elements of an array, which is an AND: a client's expression is never pasted into another one. */
export function withConditions(
  filter: JsonValue | undefined,
  conditions: readonly string[],
): readonly JsonValue[] {
  return [...elements(filter), ...conditions];
}

function elements(filter: JsonValue | undefined): readonly JsonValue[] {
  if (filter === undefined || filter === null) return [];
  return Array.isArray(filter) ? (filter as readonly JsonValue[]) : [filter];
}

/** A word of a filter. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
