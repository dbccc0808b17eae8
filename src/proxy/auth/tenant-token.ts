import { createHmac, timingSafeEqual } from "node:crypto";
import { describeJson } from "../../json/describe.js";
import { arrayElements, findMember } from "../../json/members.js";
import { JsonSyntaxError, skipWhitespace, syntaxErrorAt } from "../../json/scan.js";
import { validateJson } from "../../json/validate.js";
import { normalizedUuid, uuidFault } from "./api-key.js";
import type { IndexSearchRules, SearchRules } from "./auth-filter.js";
import { Base64Error, decodeBase64Url } from "./base64-url.js";

/** What a tenant token says, once its signature was checked. */
export interface TenantToken {
  readonly apiKeyUid: string;
  readonly searchRules: SearchRules;
  /** Seconds since the Unix epoch; null for never. */
  readonly expiresAt: number | null;
}

/** What came of reading a text as tenant token. `fault` is Meilisearch's own wording. */
export type TenantTokenReading =
  | { readonly kind: "valid"; readonly token: TenantToken }
  /** It does not have the form of one, and is looked for among the API keys. */
  | { readonly kind: "other" }
  | { readonly kind: "faulty"; readonly fault: string };

const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;

const HASHES: Readonly<Record<string, string>> = { HS256: "sha256", HS384: "sha384", HS512: "sha512" };
/** Algorithms that a header may name; all but those of {@link HASHES} are refused later. */
const ALGORITHMS = [
  ...["HS256", "HS384", "HS512", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "EdDSA",
];

/**
 * Reads a tenant token and checks its signature, without a look at its expiry.
 *
 * @param secretOf the secret of the API key with a uid, whether or not there is such a key; undefined without a master key
 */
export function readTenantToken(
  text: string,
  secretOf: (apiKeyUid: string) => string | undefined,
): TenantTokenReading {
  // Whatever has more dots than two has them in its header.
  const parts = /^(.*)\.([^.]*)\.([^.]*)$/s.exec(text);
  if (parts === null) return { kind: "other" };
  const [, header = "", payload = "", signature = ""] = parts;
  try {
    const { algorithm } = readHeader(decodePart(header));
    const token = readClaims(decodePart(payload));
    const secret = secretOf(token.apiKeyUid);
    if (secret === undefined) return { kind: "other" };
    const hash = HASHES[algorithm];
    if (hash === undefined) throw new TokenFault("InvalidAlgorithm");
    const expected = createHmac(hash, secret).update(`${header}.${payload}`).digest();
    const given = decodePart(signature);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new TokenFault("InvalidSignature");
    }
    return { kind: "valid", token };
  } catch (error) {
    if (error instanceof TokenFault) {
      return { kind: "faulty", fault: `Could not decode tenant token, ${error.message}.` };
    }
    throw error;
  }
}

/** Why a token cannot be decoded. */
class TokenFault extends Error {
  override readonly name = "TokenFault";
}

function decodePart(text: string): Buffer {
  try {
    return decodeBase64Url(text);
  } catch (error) {
    if (error instanceof Base64Error) throw new TokenFault(`Base64 error: ${error.message}`);
    throw error;
  }
}

function readHeader(json: Buffer): { algorithm: string } {
  const start = parse(json, "struct Header", "map");
  const alg = findMember(json, "alg", start);
  if (alg === undefined) throw missing("alg", json);
  if (json[alg.valueStart] !== QUOTE) {
    throw new TokenFault(`JSON error: ${syntaxErrorAt(json, alg.valueStart, "expected value").message}`);
  }
  const algorithm = valueAt(json, alg.valueStart, alg.valueEnd) as string;
  if (!ALGORITHMS.includes(algorithm)) {
    const known = ALGORITHMS.map((name) => `\`${name}\``).join(", ");
    throw jsonFault(`unknown variant \`${algorithm}\`, expected one of ${known}`, alg.valueEnd);
  }
  return { algorithm };
}

/** Where the value of each claim begins and ends. */
type Claims = Readonly<
  Partial<Record<(typeof CLAIMS)[number], { readonly start: number; readonly end: number }>>
>;

/** In the order in which they may also stand in an array. */
const CLAIMS = ["searchRules", "exp", "apiKeyUid"] as const;

function claimsOf(json: Buffer): Claims {
  const start = parse(json, "struct Claims", "map or sequence");
  if (json[start] === OPEN_BRACKET) {
    const elements = arrayElements(json, start);
    if (elements.length < CLAIMS.length) {
      throw jsonFault(
        `invalid length ${elements.length}, expected struct Claims with ${CLAIMS.length} elements`,
        json.length,
      );
    }
    return Object.fromEntries(CLAIMS.map((name, at) => [name, elements[at]]));
  }
  return Object.fromEntries(
    CLAIMS.map((name) => {
      const member = findMember(json, name, start);
      return [name, member && { start: member.valueStart, end: member.valueEnd }];
    }),
  );
}

function readClaims(json: Buffer): TenantToken {
  const { searchRules, exp, apiKeyUid } = claimsOf(json);
  const rules = searchRules && readRules(valueAt(json, searchRules.start, searchRules.end));
  if (searchRules !== undefined && rules === undefined) {
    throw jsonFault("data did not match any variant of untagged enum SearchRules", searchRules.end);
  }
  const expiresAt = exp === undefined ? null : valueAt(json, exp.start, exp.end);
  if (exp !== undefined && expiresAt !== null && !Number.isSafeInteger(expiresAt)) {
    const { found } = describeJson(json.subarray(exp.start, exp.end));
    throw jsonFault(`invalid type: ${found}, expected i64`, exp.end);
  }
  const key = apiKeyUid && valueAt(json, apiKeyUid.start, apiKeyUid.end);
  if (apiKeyUid !== undefined && typeof key !== "string") {
    const { found } = describeJson(json.subarray(apiKeyUid.start, apiKeyUid.end));
    throw jsonFault(`invalid type: ${found}, expected a formatted UUID string`, apiKeyUid.end);
  }
  const uid = typeof key === "string" ? normalizedUuid(key) : undefined;
  if (apiKeyUid !== undefined && uid === undefined) {
    throw jsonFault(`UUID parsing failed: ${uuidFault(String(key))}`, apiKeyUid.end);
  }
  if (rules === undefined) throw missing("searchRules", json);
  if (uid === undefined) throw missing("apiKeyUid", json);
  return { apiKeyUid: uid, searchRules: rules, expiresAt: expiresAt as number | null };
}

function readRules(value: unknown): SearchRules | undefined {
  if (Array.isArray(value)) {
    return value.every((entry) => typeof entry === "string")
      ? new Map(value.map((pattern) => [pattern, null]))
      : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const rules = Object.entries(value).map(([pattern, rule]) => [pattern, readRule(rule)] as const);
  const sound = rules.every(
    (entry): entry is readonly [string, IndexSearchRules | null] => entry[1] !== undefined,
  );
  return sound ? new Map(rules) : undefined;
}

function readRule(value: unknown): IndexSearchRules | null | undefined {
  if (value === null) return null;
  if (typeof value !== "object" || Array.isArray(value)) return undefined;
  const { filter } = value as { filter?: unknown };
  return { filter: filter ?? undefined };
}

/** Where the one value of a sound JSON text begins, which is of a kind that the structure can be read from. */
function parse(json: Buffer, expected: string, accepted: "map" | "map or sequence"): number {
  try {
    validateJson(json);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new TokenFault(`JSON error: ${error.message}`);
    throw error;
  }
  const start = skipWhitespace(json, 0);
  const { found, column } = describeJson(json.subarray(start));
  if (!accepted.split(" or ").includes(found)) {
    throw jsonFault(`invalid type: ${found}, expected ${expected}`, column);
  }
  return start;
}

function valueAt(json: Buffer, start: number, end: number): unknown {
  return JSON.parse(json.toString("utf8", start, end));
}

/** A fault that Meilisearch's reader finds once it has read up to a column. */
function jsonFault(what: string, column: number): TokenFault {
  return new TokenFault(`JSON error: ${what} at line 1 column ${column}`);
}

function missing(field: string, json: Buffer): TokenFault {
  return jsonFault(`missing field \`${field}\``, json.length);
}
