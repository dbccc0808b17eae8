import { arrayElements, decodeString, objectMembers } from "../../json/members.js";
import { compareUtf8, normalizeFacet } from "../../merge/text-order.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";

/** One criterion of a document list's `sort`. */
export type SortCriterion =
  | { readonly kind: "attribute"; readonly path: string; readonly ascending: boolean }
  | { readonly kind: "geo"; readonly lat: number; readonly lng: number; readonly ascending: boolean };

/** Where a document stands in a list: its values for each criterion, then its insertion sequence. */
export interface DocumentPlace {
  readonly values: readonly SortKey[];
  readonly sequence: string;
}

/** Numbers stand before texts, texts before nothing, in either direction. */
type SortKey = number | string | null;

/** Reads a `sort` expression; undefined for one that nodes refuse. */
export function parseSortCriterion(expression: string): SortCriterion | undefined {
  const match = /^(.*):(asc|desc)$/s.exec(expression);
  if (match?.[1] === undefined) return undefined;
  const ascending = match[2] === "asc";
  const point = /^_geoPoint\(\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\)$/.exec(match[1]);
  if (point === null) return { kind: "attribute", path: match[1], ascending };
  return { kind: "geo", lat: Number(point[1]), lng: Number(point[2]), ascending };
}

/** Attributes that {@link placeOf} needs in a document. */
export function attributesOf(criteria: readonly SortCriterion[]): string[] {
  return criteria.map((criterion) => (criterion.kind === "geo" ? "_geo" : criterion.path));
}

/** Where a document, as raw JSON, stands. @throws JsonSyntaxError where it is no object */
export function placeOf(document: Buffer, criteria: readonly SortCriterion[]): DocumentPlace {
  let sequence = "";
  for (const member of objectMembers(document)) {
    if (member.key === SEQUENCE_FIELD && document[member.valueStart] === 0x22) {
      sequence = decodeString(document, member.valueStart, member.valueEnd);
    }
  }
  return { values: criteria.map((criterion) => sortKey(document, criterion)), sequence };
}

/** Orders two documents as one node that held both would list them. */
export function comparePlaces(
  a: DocumentPlace,
  b: DocumentPlace,
  criteria: readonly SortCriterion[],
): number {
  for (const [at, { ascending }] of criteria.entries()) {
    const order = compareKeys(a.values[at] ?? null, b.values[at] ?? null, ascending);
    if (order !== 0) return order;
  }
  return a.sequence < b.sequence ? -1 : a.sequence > b.sequence ? 1 : 0;
}

function compareKeys(a: SortKey, b: SortKey, ascending: boolean): number {
  const byKind = kindRank(a) - kindRank(b);
  if (byKind !== 0) return byKind;
  const order =
    typeof a === "string" && typeof b === "string" ? compareUtf8(a, b) : a === b ? 0 : Number(a) - Number(b);
  return ascending ? order : -order;
}

function kindRank(key: SortKey): number {
  return typeof key === "number" ? 0 : typeof key === "string" ? 1 : 2;
}

function sortKey(document: Buffer, criterion: SortCriterion): SortKey {
  if (criterion.kind === "geo") return distanceTo(document, criterion.lat, criterion.lng);
  const numbers: number[] = [];
  const texts: string[] = [];
  collectValues(document, 0, criterion.path, numbers, texts);
  const better = <T>(list: readonly T[], compare: (a: T, b: T) => number): T | undefined =>
    list.reduce<T | undefined>((best, value) => {
      if (best === undefined) return value;
      const order = compare(value, best);
      return (criterion.ascending ? order < 0 : order > 0) ? value : best;
    }, undefined);
  // A document with several values stands at the first of them that the direction meets.
  return better(numbers, (a, b) => a - b) ?? better(texts, compareUtf8) ?? null;
}

/** The values under a path, through objects and arrays; a key may itself contain dots. */
function collectValues(bytes: Buffer, start: number, path: string, numbers: number[], texts: string[]): void {
  if (bytes[start] === 0x5b) {
    for (const element of arrayElements(bytes, start)) {
      collectValues(bytes, element.start, path, numbers, texts);
    }
    return;
  }
  if (bytes[start] === 0x7b) {
    if (path === "") return;
    for (const member of objectMembers(bytes, start)) {
      if (member.key === path) collectValues(bytes, member.valueStart, "", numbers, texts);
      else if (path.startsWith(`${member.key}.`)) {
        collectValues(bytes, member.valueStart, path.slice(member.key.length + 1), numbers, texts);
      }
    }
    return;
  }
  if (path !== "") return;
  collectScalar(bytes, start, numbers, texts);
}

function collectScalar(bytes: Buffer, start: number, numbers: number[], texts: string[]): void {
  let end = start;
  if (bytes[start] === 0x22) {
    end = start + 1;
    while (end < bytes.length && bytes[end] !== 0x22) end += bytes[end] === 0x5c ? 2 : 1;
    texts.push(normalizeFacet(decodeString(bytes, start, end + 1)));
    return;
  }
  while (end < bytes.length && !isDelimiter(bytes[end])) end++;
  const raw = bytes.toString("latin1", start, end);
  if (raw === "true" || raw === "false") texts.push(raw);
  else if (raw !== "null") numbers.push(Number(raw));
}

function isDelimiter(byte: number | undefined): boolean {
  return byte === 0x2c || byte === 0x5d || byte === 0x7d || byte === undefined || byte <= 0x20;
}

const EARTH_RADIUS_METRES = 6_371_000;

function distanceTo(document: Buffer, lat: number, lng: number): number | null {
  const geo = objectMembers(document).find((member) => member.key === "_geo");
  if (geo === undefined || document[geo.valueStart] !== 0x7b) return null;
  const coordinates = objectMembers(document, geo.valueStart);
  const coordinate = (name: string): number => {
    const member = coordinates.find(({ key }) => key === name);
    if (member === undefined) return Number.NaN;
    return Number(document.toString("utf8", member.valueStart, member.valueEnd).replaceAll('"', ""));
  };
  const [docLat, docLng] = [radians(coordinate("lat")), radians(coordinate("lng"))];
  if (Number.isNaN(docLat) || Number.isNaN(docLng)) return null;
  const [pointLat, pointLng] = [radians(lat), radians(lng)];
  const chord =
    Math.sin((docLat - pointLat) / 2) ** 2 +
    Math.cos(docLat) * Math.cos(pointLat) * Math.sin((docLng - pointLng) / 2) ** 2;
  return 2 * EARTH_RADIUS_METRES * Math.asin(Math.sqrt(chord));
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}
