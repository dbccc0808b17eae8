import { type Filter, parseFilter } from "../../../src/embedded/filter/parser.js";

/** A document as a node holds it, injected fields and all. */
export type Fields = Readonly<Record<string, unknown>>;

/** An index on a node. Replaced as a whole when a batch is committed, so that an old one is a snapshot. */
export interface PhysicalIndex {
  readonly createdAt: string;
  readonly primaryKey: string | null;
  readonly documents: ReadonlyMap<string, Fields>;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A filter as requests carry it. */
export type FilterValue = string | readonly FilterValue[];

/** Fails a task, or refuses a read with 400. */
export class NodeFault extends Error {
  override readonly name = "NodeFault";

  constructor(
    readonly code: string,
    message: string,
    /** Fails all tasks of its batch, as errors that are only found while documents are indexed do. */
    readonly failsBatch = false,
  ) {
    super(message);
  }
}

const parsed = new Map<string, Filter | undefined>();
const MAX_PARSED = 1_000;

/**
 * Whether a document matches a filter: a string, or an array of elements that all have to hold, in which an array is one of which any has to.
 *
 * @throws NodeFault where an attribute is not filterable
 */
export function filterTest(filter: FilterValue, index: PhysicalIndex): (document: Fields) => boolean {
  if (typeof filter === "string") return expressionTest(filter, index);
  const tests = filter.map((element) =>
    typeof element === "string"
      ? expressionTest(element, index)
      : anyOf(element.map((inner) => filterTest(inner, index))),
  );
  return (document) => tests.every((test) => test(document));
}

function anyOf(tests: readonly ((document: Fields) => boolean)[]): (document: Fields) => boolean {
  return (document) => tests.some((test) => test(document));
}

function expressionTest(text: string, index: PhysicalIndex): (document: Fields) => boolean {
  if (!parsed.has(text)) {
    if (parsed.size >= MAX_PARSED) parsed.clear();
    parsed.set(text, parseFilter(text));
  }
  const filter = parsed.get(text);
  return filter === undefined ? () => true : compile(filter, index);
}

function compile(filter: Filter, index: PhysicalIndex): (document: Fields) => boolean {
  switch (filter.kind) {
    case "and": {
      const tests = filter.filters.map((below) => compile(below, index));
      return (document) => tests.every((test) => test(document));
    }
    case "or":
      return anyOf(filter.filters.map((below) => compile(below, index)));
    case "not": {
      const test = compile(filter.filter, index);
      return (document) => !test(document);
    }
    case "in": {
      requireFilterable(filter.field.text, index);
      const values = new Set(filter.values.map(({ text }) => text));
      return (document) => values.has(String(document[filter.field.text]));
    }
    case "compare": {
      const field = filter.field.text;
      requireFilterable(field, index);
      const wanted = filter.value.text;
      switch (filter.operator) {
        case "=":
          return (document) => String(document[field]) === wanted;
        case "!=":
          return (document) => String(document[field]) !== wanted;
        case ">":
          return (document) => Number(document[field]) > Number(wanted);
        case "<":
          return (document) => Number(document[field]) < Number(wanted);
        default:
          throw new Error(`filters with ${filter.operator} are not simulated`);
      }
    }
    default:
      throw new Error(`filters of the kind ${filter.kind} are not simulated`);
  }
}

function requireFilterable(field: string, { settings }: PhysicalIndex): void {
  const rules = settings.filterableAttributes;
  const allowed = Array.isArray(rules) && rules.some((rule) => rule === field || namesField(rule, field));
  if (!allowed) {
    const message = `Attribute \`${field}\` is not filterable.`;
    throw new NodeFault("invalid_document_filter", message, true);
  }
}

function namesField(rule: unknown, field: string): boolean {
  const { attributePatterns } = (rule ?? {}) as { readonly attributePatterns?: readonly string[] };
  return Array.isArray(attributePatterns) && attributePatterns.includes(field);
}

/** What `documents/fetch` asks for. */
export interface FetchQuery {
  readonly filter?: FilterValue;
  readonly ids?: readonly (string | number)[];
  readonly fields?: readonly string[];
  readonly sort?: readonly string[];
  readonly offset?: number;
  readonly limit?: number;
}

/** One page of an index's documents: all of one moment. */
export function fetchDocuments(
  index: PhysicalIndex,
  query: FetchQuery,
): { results: Fields[]; total: number } {
  const { filter, ids, fields, sort, offset = 0, limit = 20 } = query;
  const wanted = ids === undefined ? undefined : new Set(ids.map(String));
  const test = filter === undefined || filter === null ? () => true : filterTest(filter, index);
  const found: Fields[] = [];
  for (const [id, document] of index.documents) {
    if ((wanted?.has(id) ?? true) && test(document)) found.push(document);
  }
  for (const criterion of sort ?? []) {
    const [field = "", direction] = criterion.split(":");
    const sign = direction === "desc" ? -1 : 1;
    found.sort((a, b) => (String(a[field]) < String(b[field]) ? -sign : sign));
  }
  const page = found.slice(offset, offset + limit);
  return {
    results: fields === undefined ? page : page.map((document) => only(document, fields)),
    total: found.length,
  };
}

function only(document: Fields, fields: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(document).filter(([name]) => fields.includes(name)));
}
