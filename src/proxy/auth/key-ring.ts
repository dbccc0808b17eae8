import { hash, timingSafeEqual } from "node:crypto";
import { matchesIndex } from "../../meilisearch/index-pattern.js";
import type { Instant } from "../../tasks/rfc3339.js";
import { type Action, concernsKeys, grantedActions, indexScope } from "./actions.js";
import { type ApiKey, apiKeySecret } from "./api-key.js";
import { AuthFilter, type SearchRules } from "./auth-filter.js";
import { readTenantToken } from "./tenant-token.js";

/** What a request wants to do. */
export interface AccessRequest {
  readonly action: Action;
  /** The index in the request's path; undefined for none. */
  readonly indexUid?: string | undefined;
  /** The bearer token; undefined where the request has none. */
  readonly token: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** Whether it may. */
export type AccessDecision =
  | { readonly kind: "granted"; readonly filter: AuthFilter }
  /** There is no token, and one is needed. */
  | { readonly kind: "no-token" }
  /** Keys can be managed only where a master key is set. */
  | { readonly kind: "no-master-key" }
  /** `message` is Meilisearch's own. */
  | { readonly kind: "refused"; readonly message: string };

interface KnownKey {
  readonly key: ApiKey;
  readonly granted: ReadonlySet<Action>;
  readonly expiresAtMs: number;
}

const INVALID: AccessDecision = { kind: "refused", message: "The provided API key is invalid." };

/**
 * The keys of a fleet, prepared so that a request costs one hash. It decides as one Meilisearch with these keys would.
 */
export class KeyRing {
  readonly #masterKey: string | undefined;
  readonly #masterDigest: Buffer | undefined;
  readonly #byUid = new Map<string, KnownKey>();
  readonly #uidBySecret = new Map<string, string>();
  readonly #lookups = new Map<string, string>();

  /**
   * `masterKey`: undefined where the API is open. `former` had the same master key: what it knows of keys that stay
   * need not be computed again.
   */
  constructor(masterKey: string | undefined, keys: Iterable<ApiKey>, former?: KeyRing) {
    this.#masterKey = masterKey;
    this.#masterDigest = masterKey === undefined ? undefined : digest(masterKey);
    for (const key of keys) {
      const expiresAtMs = key.expiresAt === null ? Number.POSITIVE_INFINITY : milliseconds(key.expiresAt);
      this.#byUid.set(key.uid, { key, granted: grantedActions(key.actions), expiresAtMs });
      const lookup =
        (former === undefined ? undefined : former.#lookups.get(key.uid)) ?? this.#lookupOf(key.uid);
      if (lookup === undefined) continue;
      this.#lookups.set(key.uid, lookup);
      this.#uidBySecret.set(lookup, key.uid);
    }
  }

  /** Under what a key is found: how long a look-up by a hash takes says nothing about the secret. */
  #lookupOf(uid: string): string | undefined {
    const secret = this.secretOf(uid);
    return secret === undefined ? undefined : digest(secret).toString("base64");
  }

  /** The secret of the key with a uid; undefined without a master key. */
  secretOf(uid: string): string | undefined {
    return this.#masterKey === undefined ? undefined : apiKeySecret(uid, this.#masterKey);
  }

  /** The uid of the key with a secret. */
  uidOf(secret: string): string | undefined {
    return this.#uidBySecret.get(digest(secret).toString("base64"));
  }

  /** Decides about a request as Meilisearch does, in the order in which it looks. */
  decide(request: AccessRequest): AccessDecision {
    const decision = this.#decide(request);
    if (decision.kind !== "refused") return decision;
    if (this.#masterKey === undefined) return { kind: "no-master-key" };
    return request.token === undefined ? { kind: "no-token" } : decision;
  }

  #decide({ action, indexUid, token = "", now }: AccessRequest): AccessDecision {
    if (this.#masterDigest === undefined ? !concernsKeys(action) : this.#isMasterKey(token)) {
      return { kind: "granted", filter: AuthFilter.everything };
    }
    let uid: string | undefined;
    let rules: SearchRules | undefined;
    if (action === "search" || action === "chatCompletions") {
      const reading = readTenantToken(token, (keyUid) => this.secretOf(keyUid));
      if (reading.kind === "faulty") return { kind: "refused", message: reading.fault };
      if (reading.kind === "valid") {
        const { apiKeyUid, searchRules, expiresAt } = reading.token;
        const seconds = Math.floor(now / 1_000);
        if (expiresAt !== null && seconds > expiresAt) {
          const message = `Tenant token expired. Was valid up to \`${expiresAt}\` and we're now \`${seconds}\`.`;
          return { kind: "refused", message };
        }
        uid = apiKeyUid;
        rules = searchRules;
      }
    }
    uid ??= this.uidOf(token);
    const known = uid === undefined ? undefined : this.#byUid.get(uid);
    if (known === undefined) return INVALID;
    const filter = new AuthFilter(known.key.indexes, mayUse(known, "indexes.create", undefined, now), rules);
    if (indexUid !== undefined) {
      const message = indexRefusal(filter, indexUid);
      if (message !== undefined) return { kind: "refused", message };
    }
    return mayUse(known, action, indexUid, now) ? { kind: "granted", filter } : INVALID;
  }

  #isMasterKey(token: string): boolean {
    return this.#masterDigest !== undefined && timingSafeEqual(digest(token), this.#masterDigest);
  }
}

/** Whether a key is good for an action now, on an index or on a route without one. */
function mayUse(known: KnownKey, action: Action, indexUid: string | undefined, now: number): boolean {
  const { key, granted, expiresAtMs } = known;
  if (!granted.has(action) || now >= expiresAtMs) return false;
  if (key.indexes.includes("*")) return true;
  if (indexUid !== undefined) return key.indexes.some((pattern) => matchesIndex(pattern, indexUid));
  return indexScope(action) === "route" && key.indexes.length > 0;
}

function indexRefusal(filter: AuthFilter, indexUid: string): string | undefined {
  if (!filter.tokenAllows(indexUid)) {
    return `The provided tenant token cannot acces the index \`${indexUid}\`, allowed indexes are ${debugList(filter.tokenIndexes)}.`;
  }
  if (filter.keyAllows(indexUid)) return undefined;
  // What a key may use is told to its holder, not to those of its tokens.
  if (filter.isTenantToken) {
    return `The API key used to generate this tenant token cannot acces the index \`${indexUid}\`.`;
  }
  return `The API key cannot acces the index \`${indexUid}\`, authorized indexes are ${debugList(filter.keyIndexes)}.`;
}

function debugList(texts: readonly string[]): string {
  return `[${texts.map((text) => JSON.stringify(text)).join(", ")}]`;
}

function milliseconds({ seconds, nanos }: Instant): number {
  return Number(seconds) * 1_000 + nanos / 1_000_000;
}

/** Equal lengths are what a comparison in constant time needs. */
function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
