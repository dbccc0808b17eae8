import { type JsonMember, objectMembers } from "../../json/members.js";
import {
  parseRustFloat,
  printSerdeObject,
  printSerdeValue,
  readSerdeValue,
  type SerdeValue,
} from "./serde-value.js";
import { indexTaskFailure, type TaskFailure } from "./task-failure.js";

/** What of an index's settings decides whether a document's reserved fields are looked at. */
export interface ContentRules {
  /** `_geo` is filterable or sortable. */
  readonly geo: boolean;
  /** `_geojson` is filterable. */
  readonly geojson: boolean;
  /** Dimensions of each embedder that declares them. */
  readonly dimensions: ReadonlyMap<string, number>;
}

/**
 * The rules that settings make, as clients see them. `openPatches` are changes that have been sent and may not be
 * finished: a field that one of them mentions counts as looked at, for it will be by the time the documents are.
 */
export function contentRules(
  settings: Readonly<Record<string, unknown>>,
  openPatches: readonly Readonly<Record<string, unknown>>[],
): ContentRules {
  const all = [settings, ...openPatches];
  const lists = (name: string, field: string) =>
    all.some((one) => {
      const list = one[name];
      return Array.isArray(list) && list.includes(field);
    });
  const dimensions = new Map<string, number>();
  for (const one of all) collectDimensions(one.embedders, dimensions);
  return {
    geo: lists("filterableAttributes", "_geo") || lists("sortableAttributes", "_geo"),
    geojson: lists("filterableAttributes", "_geojson"),
    dimensions,
  };
}

function collectDimensions(embedders: unknown, into: Map<string, number>): void {
  if (typeof embedders !== "object" || embedders === null) return;
  for (const [name, embedder] of Object.entries(embedders)) {
    const dimensions: unknown =
      typeof embedder === "object" && embedder !== null ? embedder.dimensions : undefined;
    if (typeof dimensions === "number") into.set(name, dimensions);
    else into.delete(name);
  }
}

/** A failure by a document's contents. */
export interface ContentFailure extends TaskFailure {
  /** Meilisearch looks at this field of all documents before it looks at those with greater numbers. */
  readonly stage: number;
}

/** The fields that are looked at, in Meilisearch's order. */
const CHECKED_FIELDS: readonly string[] = ["_geo", "_vectors", "_geojson"];

/**
 * What Meilisearch would fail a document's task for, beside its id: `_geo` and `_geojson` where they are used, and
 * `_vectors` always. Undefined for a document that is good.
 */
export function checkContent(
  indexUid: string,
  document: Buffer,
  members: readonly JsonMember[],
  id: string,
  rules: ContentRules,
): ContentFailure | undefined {
  for (const [stage, field] of CHECKED_FIELDS.entries()) {
    const member = members.find(({ key }) => key === field);
    if (member === undefined) continue;
    let failure: TaskFailure | undefined;
    if (field === "_geo" && rules.geo) {
      failure = checkGeo(indexUid, readSerdeValue(document, member.valueStart, member.valueEnd), id);
    } else if (field === "_geojson" && rules.geojson) {
      failure = checkGeojson(indexUid, readSerdeValue(document, member.valueStart, member.valueEnd));
    } else if (field === "_vectors") {
      failure = checkVectors(indexUid, document, member, id, rules.dimensions);
    }
    if (failure !== undefined) return { ...failure, stage };
  }
  return undefined;
}

/** Whether a document has a field that {@link checkContent} looks at. */
export function hasCheckedField(members: readonly JsonMember[]): boolean {
  return members.some(({ key }) => CHECKED_FIELDS.includes(key));
}

function checkGeo(indexUid: string, geo: SerdeValue, id: string): TaskFailure | undefined {
  const fail = (message: string) => indexTaskFailure(indexUid, "invalid_document_geo_field", message);
  const where = `in the document with the id: \`${JSON.stringify(id)}\``;
  if (geo.kind === "null") return undefined;
  if (geo.kind !== "object") {
    return fail(
      `The \`_geo\` field ${where} is not an object. Was expecting an object with the \`_geo.lat\` and \`_geo.lng\` fields but instead got \`${printSerdeValue(geo)}\`.`,
    );
  }
  const rest = new Map(geo.members);
  const lat = rest.get("lat");
  const lng = rest.get("lng");
  rest.delete("lat");
  rest.delete("lng");
  if (lat === undefined && lng === undefined) {
    return fail(
      `Could not find latitude nor longitude ${where}. Was expecting \`_geo.lat\` and \`_geo.lng\` fields.`,
    );
  }
  if (lat === undefined) return fail(`Could not find latitude ${where}. Was expecting a \`_geo.lat\` field.`);
  if (lng === undefined)
    return fail(`Could not find longitude ${where}. Was expecting a \`_geo.lng\` field.`);
  if (rest.size > 0) {
    return fail(
      `The \`_geo\` field ${where} contains the following unexpected fields: \`${printSerdeObject(rest)}\`.`,
    );
  }
  const badLat = !isFiniteCoordinate(lat);
  const badLng = !isFiniteCoordinate(lng);
  if (badLat && badLng) {
    return fail(
      `Could not parse latitude nor longitude ${where}. Was expecting finite numbers but instead got \`${printSerdeValue(lat)}\` and \`${printSerdeValue(lng)}\`.`,
    );
  }
  const got = (value: SerdeValue) =>
    `Was expecting a finite number but instead got \`${printSerdeValue(value)}\`.`;
  if (badLat) return fail(`Could not parse latitude ${where}. ${got(lat)}`);
  if (badLng) return fail(`Could not parse longitude ${where}. ${got(lng)}`);
  return undefined;
}

function isFiniteCoordinate(value: SerdeValue): boolean {
  switch (value.kind) {
    case "integer":
    case "float":
      return true;
    case "string":
      return Number.isFinite(parseRustFloat(value.value) ?? Number.NaN);
    default:
      return false;
  }
}

/** How deep arrays of positions nest, by type of geometry. */
const POSITION_DEPTH = new Map([
  ["Point", 0],
  ["MultiPoint", 1],
  ["LineString", 1],
  ["MultiLineString", 2],
  ["Polygon", 2],
  ["MultiPolygon", 3],
]);

function checkGeojson(indexUid: string, value: SerdeValue): TaskFailure | undefined {
  const message = geojsonFault(value);
  return message === undefined
    ? undefined
    : indexTaskFailure(indexUid, "invalid_document_geo_field", message);
}

function geojsonFault(value: SerdeValue): string | undefined {
  if (value.kind !== "object") return `Expected an owned Object, but got \`${printSerdeValue(value)}\``;
  const type = value.members.get("type");
  if (type === undefined) return "Encountered an unknown 'geometry' object type: `type`";
  if (type.kind !== "string") return `Expected a String value, but got \`${printSerdeValue(type)}\``;
  switch (type.value) {
    case "Feature": {
      const geometry = value.members.get("geometry");
      if (geometry === undefined) return "Expected a GeoJSON property for `geometry`, but got None";
      if (geometry.kind !== "null") return geojsonFault(geometry);
      return `Attempted to a convert a feature without a geometry into a geo_types::Geometry: \`${printSerdeValue(value)}\``;
    }
    case "FeatureCollection":
      return memberFaults(value.members, "features");
    case "GeometryCollection":
      return memberFaults(value.members, "geometries");
  }
  const depth = POSITION_DEPTH.get(type.value);
  if (depth === undefined) return "Expected a Feature, FeatureCollection, or Geometry, but got an empty type";
  const coordinates = value.members.get("coordinates");
  if (coordinates === undefined) return "Expected a GeoJSON property for `coordinates`, but got None";
  return coordinateFault(coordinates, depth);
}

function memberFaults(members: ReadonlyMap<string, SerdeValue>, name: string): string | undefined {
  const list = members.get(name);
  if (list === undefined) return `Expected a GeoJSON property for \`${name}\`, but got None`;
  if (list.kind !== "array") return `Expected an Array value, but got \`${printSerdeValue(list)}\``;
  for (const item of list.items) {
    const fault = geojsonFault(item);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function coordinateFault(value: SerdeValue, depth: number): string | undefined {
  if (value.kind !== "array") return `Expected an Array value, but got \`${printSerdeValue(value)}\``;
  if (depth > 0) {
    for (const item of value.items) {
      const fault = coordinateFault(item, depth - 1);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  if (value.items.length < 2) {
    return `A position must contain two or more elements, but got \`${value.items.length}\``;
  }
  const odd = value.items.find((item) => item.kind !== "integer" && item.kind !== "float");
  return odd === undefined
    ? undefined
    : `Expected a floating-point value, but got \`${printSerdeValue(odd)}\``;
}

function checkVectors(
  indexUid: string,
  document: Buffer,
  member: JsonMember,
  id: string,
  dimensions: ReadonlyMap<string, number>,
): TaskFailure | undefined {
  if (document[member.valueStart] !== 0x7b) {
    const value = readSerdeValue(document, member.valueStart, member.valueEnd);
    const column = value.kind === "array" ? 0 : member.valueEnd - member.valueStart;
    return indexTaskFailure(
      indexUid,
      "internal",
      `invalid type: ${describe(value)}, expected a map at line 1 column ${column}`,
      "internal",
    );
  }
  for (const entry of objectMembers(document, member.valueStart)) {
    const fault = entryFault(document, entry);
    if (typeof fault === "string") return badVectors(indexUid, id, fault);
    const required = dimensions.get(entry.key);
    if (required === undefined || fault.embeddings === undefined) continue;
    const failure = checkEmbeddings(indexUid, id, entry.key, fault.embeddings, fault.path, required);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function badVectors(indexUid: string, id: string, fault: string): TaskFailure {
  return indexTaskFailure(
    indexUid,
    "invalid_vectors_type",
    `Bad embedder configuration in the document with id: \`${id}\`. ${fault}`,
  );
}

/** What is wrong with one embedder's entry in `_vectors`, or the embeddings that it gives. */
function entryFault(
  document: Buffer,
  entry: JsonMember,
): string | { readonly embeddings: SerdeValue | undefined; readonly path: string } {
  const path = `._vectors.${entry.key}`;
  const value = readSerdeValue(document, entry.valueStart, entry.valueEnd);
  if (value.kind === "null") return { embeddings: undefined, path };
  if (value.kind === "array") return { embeddings: value, path };
  if (value.kind !== "object") {
    const [kind, text] = wrongKind(value);
    return `Expected \`${path}\` to be an array of floats, an array of arrays of floats, or an object with at least the field \`regenerate\`, but got the ${kind} \`${text}\``;
  }
  for (const field of objectMembers(document, entry.valueStart)) {
    if (field.key === "regenerate") {
      const regenerate = readSerdeValue(document, field.valueStart, field.valueEnd);
      if (regenerate.kind === "boolean") continue;
      return `Could not parse \`${path}.regenerate\`: invalid type: ${describe(regenerate)}, expected a boolean at line 1 column ${field.valueEnd - entry.valueStart}`;
    }
    if (field.key !== "embeddings") {
      return `Could not parse \`${path}\`: trailing characters at line 1 column ${field.keyEnd - entry.valueStart + 1}`;
    }
  }
  if (!value.members.has("regenerate")) {
    return `Missing field \`${path}.regenerate\`\n  - note: \`${path}\` must be an array of floats, an array of arrays of floats, or an object with field \`regenerate\``;
  }
  const embeddings = value.members.get("embeddings");
  return {
    embeddings: embeddings?.kind === "null" ? undefined : embeddings,
    path: `${path}.embeddings`,
  };
}

function wrongKind(value: SerdeValue): readonly [kind: string, text: string] {
  switch (value.kind) {
    case "string":
      return ["string", value.value];
    case "float":
      return ["number", Number.isInteger(value.value) ? value.value.toFixed(0) : String(value.value)];
    default:
      return [value.kind, printSerdeValue(value)];
  }
}

function checkEmbeddings(
  indexUid: string,
  id: string,
  embedder: string,
  value: SerdeValue,
  path: string,
  required: number,
): TaskFailure | undefined {
  const wrongType = (at: string, expected: string, found: SerdeValue) =>
    badVectors(
      indexUid,
      id,
      `Invalid value type at \`${at}\`: expected ${expected}, but found ${foundKind(found)}`,
    );
  if (value.kind !== "array") return wrongType(path, "null or an array", value);
  const [first] = value.items;
  if (first === undefined) return undefined;
  if (!isNumber(first) && first.kind !== "array")
    return wrongType(`${path}[0]`, "a number or an array", first);
  const vectors = first.kind === "array" ? value.items : [value];
  for (const [index, vector] of vectors.entries()) {
    const at = first.kind === "array" ? `${path}[${index}]` : path;
    if (vector.kind !== "array") return wrongType(at, "an array", vector);
    const odd = vector.items.findIndex((item) => !isNumber(item));
    const oddItem = vector.items[odd];
    if (oddItem !== undefined) return wrongType(`${at}[${odd}]`, "a number", oddItem);
  }
  for (const [index, vector] of vectors.entries()) {
    if (vector.kind !== "array" || vector.items.length === required) continue;
    return indexTaskFailure(
      indexUid,
      "invalid_vector_dimensions",
      `Invalid vector dimensions in document with id \`${id}\` in \`._vectors.${embedder}\`.\n  - note: embedding #${index} has dimensions ${vector.items.length}\n  - note: embedder \`${embedder}\` requires ${required}`,
    );
  }
  return undefined;
}

function isNumber(value: SerdeValue): boolean {
  return value.kind === "integer" || value.kind === "float";
}

/** A value in the words of Meilisearch's deserializer. */
function foundKind(value: SerdeValue): string {
  const text = printSerdeValue(value);
  switch (value.kind) {
    case "null":
      return "null";
    case "integer":
      return `a ${value.negative ? "negative" : "positive"} integer: \`${text}\``;
    case "float":
      return `a number: \`${text}\``;
    case "array":
    case "object":
      return `an ${value.kind}: \`${text}\``;
    default:
      return `a ${value.kind}: \`${text}\``;
  }
}

/** A value in serde's words. */
function describe(value: SerdeValue): string {
  switch (value.kind) {
    case "null":
      return "null";
    case "array":
      return "sequence";
    case "object":
      return "map";
    case "string":
      return `string ${JSON.stringify(value.value)}`;
    case "boolean":
      return `boolean \`${value.value}\``;
    case "integer":
      return `integer \`${value.text}\``;
    case "float":
      return `floating point \`${printSerdeValue(value)}\``;
  }
}
