import { createHmac } from "node:crypto";
import type { Instant } from "../../tasks/rfc3339.js";
import type { Action } from "./actions.js";

/** An API key as Meilisearch knows it; its secret follows from its uid and the master key. */
export interface ApiKey {
  /** A UUID, in lower case with hyphens. */
  readonly uid: string;
  readonly name: string | null;
  readonly description: string | null;
  readonly actions: readonly Action[];
  /** Patterns of index names. */
  readonly indexes: readonly string[];
  /** Null for never. */
  readonly expiresAt: Instant | null;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

/**
 * The secret of a key, exactly as Meilisearch derives it, so that a key that moved here from a plain server goes on
 * working under the same master key.
 */
export function apiKeySecret(uid: string, masterKey: string): string {
  return createHmac("sha256", masterKey).update(uid).digest("hex");
}

/** A UUID as Meilisearch writes it, from any of the forms that it reads; undefined for other texts. */
export function normalizedUuid(text: string): string | undefined {
  const inner = /^urn:uuid:(.*)$/i.exec(text)?.[1] ?? /^\{(.*)\}$/.exec(text)?.[1] ?? text;
  const hyphenated = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(inner);
  const simple = /^[0-9a-f]{32}$/i.test(inner) && inner === text;
  if (!hyphenated && !simple) return undefined;
  const hex = inner.replaceAll("-", "").toLowerCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** What Meilisearch says of a text that is no UUID. */
export function uuidFault(text: string): string {
  const at = text.search(/[^0-9a-fA-F-]/);
  if (at >= 0) return `invalid character: found \`${text[at]}\` at ${at}`;
  return `invalid length: expected length 32 for simple format, found ${text.length}`;
}
