import { createHmac, timingSafeEqual } from "node:crypto";
import { findMember } from "../../json/members.js";
import { normalizedUuid, uuidFault } from "./api-key.js";
import type { IndexSearchRules, SearchRules } from "./auth-filter.js";

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
  const parts = text.split(".");
  if (parts.length !== 3) return { kind: "other" };
  const [header = "", payload = "", signature = ""] = parts;
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
  for (const [offset, byte] of Buffer.from(text).entries()) {
    if (!/[A-Za-z0-9_-]/.test(String.fromCharCode(byte))) {
      throw new TokenFault(`Base64 error: Invalid symbol ${byte}, offset ${offset}.`);
    }
  }
  if (text.length % 4 === 1) throw new TokenFault(`Base64 error: Invalid input length: ${text.length}`);
  return Buffer.from(text, "base64url");
}

function readHeader(json: Buffer): { algorithm: string } {
  const header = parseObject(json, "struct Header");
  if (header.alg === undefined) throw missing("alg", json);
  const { alg } = header;
  if (typeof alg !== "string" || !ALGORITHMS.includes(alg)) {
    const known = ALGORITHMS.map((name) => `\`${name}\``).join(", ");
    throw jsonFault(`unknown variant \`${String(alg)}\`, expected one of ${known}`, json, "alg");
  }
  return { algorithm: alg };
}

function readClaims(json: Buffer): TenantToken {
  const { searchRules, exp = null, apiKeyUid } = parseObject(json, "struct Claims");
  const rules = searchRules === undefined ? undefined : readRules(searchRules);
  if (searchRules !== undefined && rules === undefined) {
    throw jsonFault("data did not match any variant of untagged enum SearchRules", json, "searchRules");
  }
  const uid = typeof apiKeyUid === "string" ? normalizedUuid(apiKeyUid) : undefined;
  if (apiKeyUid !== undefined && uid === undefined) {
    throw jsonFault(keyFault(apiKeyUid), json, "apiKeyUid");
  }
  if (exp !== null && !Number.isSafeInteger(exp)) {
    const actual = typeof exp === "string" ? `string ${JSON.stringify(exp)}` : JSON.stringify(exp);
    throw jsonFault(`invalid type: ${actual}, expected i64`, json, "exp");
  }
  if (rules === undefined) throw missing("searchRules", json);
  if (uid === undefined) throw missing("apiKeyUid", json);
  return { apiKeyUid: uid, searchRules: rules, expiresAt: exp as number | null };
}

function keyFault(value: unknown): string {
  if (typeof value === "string") return `UUID parsing failed: ${uuidFault(value)}`;
  return `invalid type: ${JSON.stringify(value)}, expected a formatted UUID string`;
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

function parseObject(json: Buffer, expected: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json.toString("utf8"));
  } catch {
    throw new TokenFault("JSON error: expected value at line 1 column 1");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const actual = Array.isArray(value) ? "sequence" : JSON.stringify(value);
    throw new TokenFault(`JSON error: invalid type: ${actual}, expected ${expected} at line 1 column 0`);
  }
  return value as Record<string, unknown>;
}

/** A fault in the value of a member, at which Meilisearch's reader stops behind it. */
function jsonFault(what: string, json: Buffer, member: string): TokenFault {
  const column = findMember(json, member)?.valueEnd ?? json.length;
  return new TokenFault(`JSON error: ${what} at line 1 column ${column}`);
}

function missing(field: string, json: Buffer): TokenFault {
  return new TokenFault(`JSON error: missing field \`${field}\` at line 1 column ${json.length}`);
}
