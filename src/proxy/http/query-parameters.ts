import { apiError } from "./api-errors.js";
import { didYouMean } from "./did-you-mean.js";

/** Reads one parameter: the value of a valid one, or what is wrong with it (and with which element of a list). */
export type ParameterReader<T> = (text: string) => T | ParameterFault;

/** Why a parameter's value was refused. */
export class ParameterFault {
  constructor(
    readonly message: string,
    /** Position in a comma-separated list of several elements. */
    readonly index?: number,
    /** Replaces the whole message, which otherwise names the parameter in front. */
    readonly verbatim = false,
  ) {}
}

/** One accepted parameter: how it is read, and with which code it is refused. */
export interface ParameterSpec<T> {
  readonly code: string;
  readonly read: ParameterReader<T>;
}

/** The accepted parameters of a route, in the order in which error messages list them. */
export type ParameterSpecs = Readonly<Record<string, ParameterSpec<unknown>>>;

/** The values of the parameters that were given. */
export type ParameterValues<S extends ParameterSpecs> = {
  readonly [K in keyof S]?: S[K] extends ParameterSpec<infer T> ? T : never;
};

/**
 * Reads a query string by Meilisearch's rules: of several values the last one counts, an unknown name or
 * a value that cannot be read is a 400.
 *
 * @param query without the question mark
 * @throws MeilisearchError worded as Meilisearch words it
 */
export function readParameters<S extends ParameterSpecs>(query: string, specs: S): ParameterValues<S> {
  const values: Record<string, unknown> = {};
  if (query === "") return values as ParameterValues<S>;
  const given = new Map<string, string>();
  for (const [name, text] of new URLSearchParams(query)) given.set(name, text);
  for (const [name, text] of given) {
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) throw unknownParameter(name, Object.keys(specs));
    const value = spec.read(text);
    if (value instanceof ParameterFault) throw invalidParameter(name, spec.code, value);
    values[name] = value;
  }
  return values as ParameterValues<S>;
}

function unknownParameter(name: string, accepted: readonly string[]) {
  return apiError(
    400,
    "bad_request",
    `Unknown parameter \`${name}\`: ${didYouMean(name, accepted)}expected one of ${quotedList(accepted)}`,
  );
}

function invalidParameter(name: string, code: string, fault: ParameterFault) {
  if (fault.verbatim) return apiError(400, code, fault.message);
  const place = fault.index === undefined ? name : `${name}[${fault.index}]`;
  return apiError(400, code, `Invalid value in parameter \`${place}\`: ${fault.message}`);
}

/** `` `a`, `b` ``. */
export function quotedList(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}

/** Any text. */
export const text: ParameterReader<string> = (value) => value;

/** An integer from 0 to 2^32 - 1. */
export const unsigned32: ParameterReader<number> = (value) => unsigned(value, 0xffff_ffffn);

/** An integer from 0 to 2^64 - 1; what lies above 2^53 is rounded, which is beyond every real limit. */
export const unsigned64: ParameterReader<number> = (value) => unsigned(value, 0xffff_ffff_ffff_ffffn);

function unsigned(value: string, max: bigint): number | ParameterFault {
  if (/^\+?[0-9]+$/.test(value)) {
    const parsed = BigInt(value.startsWith("+") ? value.slice(1) : value);
    if (parsed <= max) return Number(parsed);
  }
  return new ParameterFault(`could not parse \`${value}\` as a positive integer`);
}

/** `true` or `false`. */
export const boolean: ParameterReader<boolean> = (value) => {
  if (value === "true") return true;
  if (value === "false") return false;
  return new ParameterFault(
    `could not parse \`${value}\` as a boolean, expected either \`true\` or \`false\``,
  );
};

/** One of a few words, as they stand. */
export function oneOf<T extends string>(name: string, accepted: readonly T[]): ParameterReader<T> {
  return (value) =>
    accepted.find((word) => word === value) ??
    new ParameterFault(
      `Unknown value \`${value}\` for parameter \`${name}\`: ${didYouMean(value, accepted)}expected one of ${quotedList(accepted)}`,
      undefined,
      true,
    );
}

/** A comma-separated list of which every element is read by `read`; an element `*` makes it undefined, which means no restriction. */
export function starOrList<T>(read: ParameterReader<T>): ParameterReader<readonly T[] | undefined> {
  return (value) => {
    const elements = splitCommaSeparated(value);
    const list: T[] = [];
    let star = false;
    for (const [index, element] of elements.entries()) {
      if (element === "*") {
        star = true;
        continue;
      }
      const result = read(element);
      if (result instanceof ParameterFault) {
        return elements.length > 1 ? new ParameterFault(result.message, index) : result;
      }
      list.push(result);
    }
    return star ? undefined : list;
  };
}

/** The elements of a comma-separated list that are not empty, as they stand. */
export function splitCommaSeparated(value: string): string[] {
  return value.split(",").filter((element) => element !== "");
}
