import type { GeoPoint } from "../documents.js";
import { ApiError } from "../errors.js";
import { compareBytes } from "../filter/evaluate.js";
import { distanceInMeters } from "../geo.js";
import type { IndexState } from "../index-state.js";
import { matchesPattern, sortedUnique } from "../settings.js";

/** One way to order documents. */
export type SortCriterion =
  | { readonly kind: "field"; readonly field: string; readonly ascending: boolean }
  | { readonly kind: "geo"; readonly point: GeoPoint; readonly ascending: boolean };

/** What a document is ordered by: its first number, else its first string, else nothing. */
export type SortValue = number | string | null;

/** Documents closer together than this are equally far away, in meters. */
const GEO_MARGIN_METERS = 1;

/**
 * Reads `sort` parameters such as `year:desc` and `_geoPoint(1, 2):asc`.
 *
 * @throws ApiError with `code`, also where an attribute is not sortable.
 */
export function parseSort(
  index: IndexState,
  values: readonly string[],
  code: "invalid_search_sort" | "invalid_document_sort",
  prefix: string,
): SortCriterion[] {
  return values.map((value) => {
    const match = /^(.*):(asc|desc)$/s.exec(value);
    if (match === null) {
      throw new ApiError(
        code,
        `Invalid syntax for the sort parameter: expected expression ending by \`:asc\` or \`:desc\`, found \`${value}\`.`,
      );
    }
    const [, subject = "", direction] = match;
    const ascending = direction === "asc";
    const geo = /^_geoPoint\((.*)\)$/.exec(subject);
    if (geo === null && subject.startsWith("_geoPoint")) throw malformedPoint(subject, code);
    if (geo === null) {
      assertSortable(index, subject, code, prefix);
      return { kind: "field", field: subject, ascending };
    }
    const [lat, lng, ...rest] = (geo[1] ?? "").split(",").map((part) => Number(part.trim() || "x"));
    if (lat === undefined || lng === undefined || rest.length > 0 || Number.isNaN(lat) || Number.isNaN(lng)) {
      throw malformedPoint(subject, code);
    }
    if (lat < -90 || lat > 90) {
      throw new ApiError(code, `Latitude must be contained between -90 and 90 degrees. found \`${lat}\`.`);
    }
    if (lng < -180 || lng > 180) {
      throw new ApiError(code, `Longitude must be contained between -180 and 180 degrees. found \`${lng}\`.`);
    }
    assertSortable(index, "_geo", code, prefix);
    return { kind: "geo", point: { lat, lng }, ascending };
  });
}

function malformedPoint(found: string, code: string): ApiError {
  return new ApiError(
    code,
    `Invalid syntax for the geo parameter: expected expression formated like \`_geoPoint(latitude, longitude)\` and ending by \`:asc\` or \`:desc\`, found \`${found}\`.`,
  );
}

function assertSortable(index: IndexState, field: string, code: string, prefix: string): void {
  const sortable = index.settings.sortableAttributes;
  if (sortable.some((pattern) => matchesPattern(pattern, field))) return;
  const displayed = index.settings.displayedAttributes;
  const shown = sortedUnique(sortable.filter((name) => displayed.includes("*") || displayed.includes(name)));
  const hidden =
    shown.length < sortable.length && code === "invalid_search_sort" ? ", <..hidden-attributes>" : "";
  throw new ApiError(
    code,
    `${prefix}Attribute \`${field}\` is not sortable. ${
      sortable.length === 0
        ? "This index does not have configured sortable attributes."
        : `Available sortable attributes are: \`${shown.join(", ")}${hidden}\`.`
    }`,
  );
}

/** The value by which a document is ordered in a field. */
export function sortValue(index: IndexState, id: number, field: string, ascending: boolean): SortValue {
  const { numbers, strings } = index.facetsOf(id, field);
  if (numbers.length > 0) return ascending ? Math.min(...numbers) : Math.max(...numbers);
  const ordered = [...strings].sort(compareBytes);
  return (ascending ? ordered[0] : ordered.at(-1)) ?? null;
}

function compareValues(a: SortValue, b: SortValue, ascending: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  const order = typeof a === "number" ? a - Number(b) : compareBytes(a, String(b));
  return ascending ? order : -order;
}

/** Documents of equal rank under a criterion, with the value that they share. */
export type SortBucket =
  | { readonly kind: "field"; readonly ids: readonly number[]; readonly value: SortValue }
  | { readonly kind: "geo"; readonly ids: readonly number[]; readonly value: GeoPoint | null };

/** Splits documents into buckets, best first; within a bucket they keep their order. */
export function bucketsOf(index: IndexState, ids: readonly number[], criterion: SortCriterion): SortBucket[] {
  return criterion.kind === "geo"
    ? geoBuckets(index, ids, criterion.point, criterion.ascending)
    : fieldBuckets(index, ids, criterion.field, criterion.ascending);
}

function fieldBuckets(
  index: IndexState,
  ids: readonly number[],
  field: string,
  ascending: boolean,
): SortBucket[] {
  const groups = new Map<SortValue, number[]>();
  for (const id of ids) {
    const value = sortValue(index, id, field, ascending);
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [id]);
    else group.push(id);
  }
  return [...groups]
    .sort(([a], [b]) => compareValues(a, b, ascending))
    .map(([value, group]) => ({ kind: "field", ids: group, value }));
}

function geoBuckets(
  index: IndexState,
  ids: readonly number[],
  target: GeoPoint,
  ascending: boolean,
): SortBucket[] {
  const placed = ids.flatMap((id) => {
    const point = index.geo.get(id);
    return point === undefined ? [] : [{ id, point, distance: distanceInMeters(target, point) }];
  });
  placed.sort((a, b) => (ascending ? a.distance - b.distance : b.distance - a.distance));
  const buckets: { kind: "geo"; ids: number[]; value: GeoPoint | null }[] = [];
  let first: (typeof placed)[number] | undefined;
  for (const item of placed) {
    const current = buckets.at(-1);
    if (
      first !== undefined &&
      current !== undefined &&
      Math.abs(first.distance - item.distance) <= GEO_MARGIN_METERS
    ) {
      current.ids.push(item.id);
      continue;
    }
    first = item;
    buckets.push({ kind: "geo", ids: [item.id], value: item.point });
  }
  for (const bucket of buckets) bucket.ids.sort((a, b) => a - b);
  const unplaced = ids.filter((id) => !index.geo.has(id));
  if (unplaced.length > 0) buckets.push({ kind: "geo", ids: unplaced, value: null });
  return buckets;
}

/** Orders documents by several criteria, then by internal id. */
export function sortDocuments(
  index: IndexState,
  ids: readonly number[],
  criteria: readonly SortCriterion[],
): number[] {
  const [criterion, ...rest] = criteria;
  if (criterion === undefined) return [...ids].sort((a, b) => a - b);
  return bucketsOf(index, ids, criterion).flatMap((bucket) => sortDocuments(index, bucket.ids, rest));
}
