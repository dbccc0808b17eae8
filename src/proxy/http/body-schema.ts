import { apiError } from "./api-errors.js";
import { didYouMean } from "./did-you-mean.js";
import { wrongType } from "./json-values.js";
import { quotedList } from "./query-parameters.js";

/**
 * Reads a value of a JSON body: gives what it stands for, or throws Meilisearch's refusal of it.
 *
 * @param path as `.member[0]`; empty for the body itself
 * @param code of refusals, where the value does not bring its own
 */
export type Reader<T> = (value: unknown, path: string, code: string) => T;

/** One member of an object. */
export interface MemberSpec<T> {
  readonly read: Reader<T>;
  /** Code of refusals of this member and all inside of it; the object's unless given. */
  readonly code?: string;
  readonly required?: boolean;
}

type MemberSpecs = Readonly<Record<string, MemberSpec<unknown>>>;

/** The members that were given; a required one always is. */
export type ObjectOf<S extends MemberSpecs> = {
  readonly [K in keyof S as S[K] extends { readonly required: true } ? K : never]: MemberType<S[K]>;
} & {
  readonly [K in keyof S as S[K] extends { readonly required: true } ? never : K]?: MemberType<S[K]>;
};

type MemberType<S> = S extends MemberSpec<infer T> ? T : never;

/** Any text. */
export const text: Reader<string> = (value, path, code) => {
  if (typeof value !== "string") throw wrongType(path, "a string", value, code);
  return value;
};

/** `true` or `false`. */
export const flag: Reader<boolean> = (value, path, code) => {
  if (typeof value !== "boolean") throw wrongType(path, "a boolean", value, code);
  return value;
};

/** Any value that is not null. */
export const anything: Reader<unknown> = (value) => value;

const MAX_UNSIGNED_32 = 4_294_967_295;
/** Above it, JSON's integers are read as floating-point numbers. */
const MAX_UNSIGNED_64 = 2 ** 64;

/** An integer from 0 to 2^64 - 1; what lies above 2^53 is rounded. */
export const unsigned64: Reader<number> = (value, path, code) => {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_UNSIGNED_64) {
    return value;
  }
  throw wrongType(path, "a positive integer", value, code);
};

/** An integer from 0 to 2^32 - 1. */
export const unsigned32: Reader<number> = (value, path, code) => {
  const number = unsigned64(value, path, code);
  if (number <= MAX_UNSIGNED_32) return number;
  const fault = `value: \`${number}\` is too large to be deserialized, maximum value authorized is \`${MAX_UNSIGNED_32}\``;
  throw invalidValue(path, fault, code);
};

/** Null, or what `read` reads. */
export function nullable<T>(read: Reader<T>): Reader<T | null> {
  return (value, path, code) => (value === null ? null : read(value, path, code));
}

/** A list of what `read` reads. */
export function listOf<T>(read: Reader<T>): Reader<readonly T[]> {
  return (value, path, code) => {
    if (!Array.isArray(value)) throw wrongType(path, "an array", value, code);
    return value.map((entry: unknown, at) => read(entry, `${path}[${at}]`, code));
  };
}

/** An object with any members, each of which `read` reads. */
export function mapOf<T>(read: Reader<T>): Reader<ReadonlyMap<string, T>> {
  return (value, path, code) => {
    const members = Object.entries(membersOf(value, path, code));
    return new Map(members.map(([name, entry]) => [name, read(entry, `${path}.${name}`, code)]));
  };
}

/** One of a few words, as they stand. */
export function oneOf<const T extends string>(words: readonly T[]): Reader<T> {
  return (value, path, code) => {
    const given = text(value, path, code);
    const word = words.find((candidate) => candidate === given);
    if (word !== undefined) return word;
    throw apiError(
      400,
      code,
      `Unknown value \`${given}\` at \`${path}\`: ${didYouMean(given, words)}expected one of ${quotedList(words)}`,
    );
  };
}

/** What {@link object} does besides reading members. */
export interface ObjectOptions {
  /** Code of refusals of the object itself; what it is read with unless given. */
  readonly code?: string;
  /** Takes members that are not known, and leaves them out. */
  readonly open?: boolean;
}

/**
 * An object with these members, read in the order in which they are given; the first fault counts, and one that is missing after all
 * others. Accepted names stand in messages as they do here.
 */
export function object<S extends MemberSpecs>(members: S, options: ObjectOptions = {}): Reader<ObjectOf<S>> {
  const names = Object.keys(members);
  return (value, path, inherited) => {
    const own = options.code ?? inherited;
    const result: Record<string, unknown> = {};
    for (const [name, entry] of Object.entries(membersOf(value, path, own))) {
      const spec = Object.hasOwn(members, name) ? members[name] : undefined;
      if (spec !== undefined) result[name] = spec.read(entry, `${path}.${name}`, spec.code ?? own);
      else if (options.open !== true) throw unknownMember(name, names, path, own);
    }
    for (const name of names) {
      if (members[name]?.required === true && !Object.hasOwn(result, name))
        throw missingMember(name, path, own);
    }
    return result as ObjectOf<S>;
  };
}

/** 400 for a value that has the right type and is wrong all the same. */
export function invalidValue(path: string, fault: string, code: string) {
  return apiError(400, code, `Invalid value${path === "" ? "" : ` at \`${path}\``}: ${fault}`);
}

/** The members of an object. @throws MeilisearchError for any other value */
export function membersOf(value: unknown, path: string, code: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw wrongType(path, "an object", value, code);
}

function unknownMember(name: string, accepted: readonly string[], path: string, code: string) {
  return apiError(
    400,
    code,
    `Unknown field \`${name}\`${inside(path)}: ${didYouMean(name, accepted)}expected one of ${quotedList(accepted)}`,
  );
}

function missingMember(name: string, path: string, code: string) {
  return apiError(400, code, `Missing field \`${name}\`${inside(path)}`);
}

function inside(path: string): string {
  return path === "" ? "" : ` inside \`${path}\``;
}
