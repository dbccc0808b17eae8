import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { Operation, Parameter } from "./operations.js";
import { type FuzzValue, odd, print, Raw, valuesFor } from "./values.js";

/** A request to be sent to both sides. */
export interface FuzzRequest {
  /** Method and path with the names of its parameters. */
  readonly route: string;
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  /** `null` for none, `undefined` for the master key. */
  readonly authorization: string | null | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
}

/** How one value inside of a body is made wrong; a shrunk request has none. */
type Mutation =
  | { readonly kind: "replace"; readonly at: number; readonly by: FuzzValue }
  | { readonly kind: "remove"; readonly at: number }
  | { readonly kind: "add"; readonly at: number; readonly name: string; readonly value: FuzzValue };

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant("replace" as const), at: fc.nat(60), by: odd }),
  fc.record({ kind: fc.constant("remove" as const), at: fc.nat(60) }),
  fc.record({
    kind: fc.constant("add" as const),
    at: fc.nat(60),
    name: fc.constantFrom("unknown", "limits", "Q", "", "__proto__", "toString", "_miroir"),
    value: odd,
  }),
);

/** How the text of a body is broken. */
const breakage = fc.constantFrom<(text: string) => string | Buffer>(
  (text) => text.slice(0, -1),
  (text) => `${text} x`,
  (text) => `\ufeff${text}`,
  (text) => text.replace(/:/, ""),
  (text) => text.replace("}", ',"q":1,"q":2}'),
  (text) => Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.of(0xff, 0x22, 0x7d)]),
  () => "",
  () => "null",
  () => "\n",
);

const HEADERS: readonly (readonly [weight: number, headers: Record<string, string>])[] = [
  [30, {}],
  [1, { "content-type": "text/plain" }],
  [1, { "content-type": "application/json; charset=utf-8" }],
  [1, { "content-type": "application/x-ndjson" }],
  [1, { "content-type": "text/csv" }],
  [1, { "content-type": "nope" }],
  [1, { "content-encoding": "gzip" }],
  [1, { "content-encoding": "br" }],
  [1, { "content-encoding": "unknown" }],
  [1, { origin: "http://a.example" }],
  [1, { "meili-include-metadata": "true" }],
];

const header = fc.oneof(
  ...HEADERS.map(([weight, headers]) => ({ weight, arbitrary: fc.constant(headers) })),
  {
    weight: 1,
    arbitrary: fc.constant({ "content-encoding": "gzip", packed: "yes" } as Record<string, string>),
  },
);

const authorization: fc.Arbitrary<string | null | undefined> = fc.oneof(
  { weight: 30, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom(null, "Bearer nope", "Bearer a.b.c", "Basic x", "Bearer") },
);

/** Requests for all of these operations, each as often as any other. */
export function requestsFor(operations: readonly Operation[]): fc.Arbitrary<FuzzRequest> {
  return fc.oneof(...operations.map(requestFor));
}

function requestFor(operation: Operation): fc.Arbitrary<FuzzRequest> {
  const { method, path, parameters, body } = operation;
  const inQuery = parameters.filter((parameter) => parameter.in === "query");
  return fc
    .record({
      places: fc.tuple(...parameters.filter((one) => one.in === "path").map((one) => textOf(one))),
      query: queryOf(inQuery),
      body: body === undefined ? fc.constant(undefined) : bodyOf(operation),
      header,
      authorization,
    })
    .map(({ places, query, body: text, header: { packed, ...headers }, authorization: key }) => ({
      route: `${method} ${path}`,
      method,
      path: withPlaces(path, places) + (query === "" ? "" : `?${query}`),
      authorization: key,
      headers: text === undefined ? headers : { "content-type": "application/json", ...headers },
      body: packed !== undefined && text !== undefined ? gzipSync(text) : text,
    }));
}

function withPlaces(path: string, places: readonly string[]): string {
  let at = 0;
  return path.replace(/\{\w+\}/g, () => encodeURIComponent(places[at++] ?? "x"));
}

/** The value of a parameter, in one line of text. */
function textOf({ name, schema }: Parameter): fc.Arbitrary<string> {
  return valuesFor(schema, name).map((value) =>
    Array.isArray(value) ? value.map(plain).join(",") : plain(value),
  );
}

function plain(value: FuzzValue): string {
  if (value instanceof Raw) return value.text;
  return typeof value === "string" ? value : print(value);
}

function queryOf(parameters: readonly Parameter[]): fc.Arbitrary<string> {
  const strays = fc.oneof(
    { weight: 25, arbitrary: fc.constant("") },
    { weight: 1, arbitrary: fc.constantFrom("unknown=1", "limit=x", "%FF=%FF", "&&", "q=%E9", "=", "a%20b") },
  );
  const given = fc
    .subarray([...parameters], { maxLength: Math.min(4, parameters.length) })
    .chain((chosen) =>
      fc.tuple(
        ...chosen.map((parameter) =>
          textOf(parameter).map((text) => `${parameter.name}=${encodeURIComponent(text)}`),
        ),
      ),
    );
  return fc
    .tuple(given, strays)
    .map(([parts, stray]) => [...parts, ...(stray === "" ? [] : [stray])].join("&"));
}

function bodyOf({ path, body }: Operation): fc.Arbitrary<string | Buffer> {
  return fc
    .record({
      value: valuesFor(body ?? { kind: "any" }, "", path),
      mutations: fc.oneof(
        { weight: 3, arbitrary: fc.constant<Mutation[]>([]) },
        { weight: 2, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 2 }) },
      ),
      broken: fc.option(breakage, { nil: undefined, freq: 12 }),
    })
    .map(({ value, mutations, broken }) => {
      const text = print(mutations.reduce(mutated, value));
      return broken === undefined ? text : broken(text);
    });
}

/** The value with one of the values inside of it changed; itself where there is none at that place. */
function mutated(value: FuzzValue, change: Mutation): FuzzValue {
  let left = change.at % (sizeOf(value) + 1);
  const walk = (one: FuzzValue): FuzzValue | undefined => {
    const isTarget = left-- === 0;
    if (isTarget && change.kind === "replace") return change.by;
    if (isTarget && change.kind === "remove") return undefined;
    if (one instanceof Raw || typeof one !== "object" || one === null) return one;
    if (Array.isArray(one)) return one.map(walk).filter((item) => item !== undefined);
    const members = Object.entries(one).flatMap(([name, member]) => {
      const changed = walk(member);
      return changed === undefined ? [] : [[name, changed] as const];
    });
    if (isTarget && change.kind === "add") members.push([change.name, change.value]);
    return Object.fromEntries(members);
  };
  return walk(value) ?? value;
}

function sizeOf(value: FuzzValue): number {
  if (value instanceof Raw || typeof value !== "object" || value === null) return 1;
  return 1 + Object.values(value).reduce<number>((sum, member) => sum + sizeOf(member), 0);
}
