import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Action, actionNames, grantedActions, indexScope } from "../../../../src/proxy/auth/actions.js";
import { type ApiKey, apiKeySecret, normalizedUuid } from "../../../../src/proxy/auth/api-key.js";
import { type AccessDecision, KeyRing } from "../../../../src/proxy/auth/key-ring.js";
import { parseInstant } from "../../../../src/tasks/rfc3339.js";

const MASTER = "a master key of some length";
const NOW = 1_800_000_000_000;

function instant(text: string) {
  const parsed = parseInstant(text, "that-day");
  if (parsed === undefined) throw new Error(`no time: ${text}`);
  return parsed;
}

function key(overrides: Partial<ApiKey> = {}): ApiKey {
  return {
    uid: "01234567-89ab-4cde-8f01-23456789abcd",
    name: null,
    description: null,
    actions: ["search"],
    indexes: ["*"],
    expiresAt: null,
    createdAt: instant("2024-01-01T00:00:00Z"),
    updatedAt: instant("2024-01-01T00:00:00Z"),
    ...overrides,
  };
}

function tenantToken(
  claims: object,
  { secret = apiKeySecret(key().uid, MASTER), alg = "HS256" }: { secret?: string; alg?: string } = {},
): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const message = `${part({ alg, typ: "JWT" })}.${part(claims)}`;
  const hash = { HS256: "sha256", HS384: "sha384", HS512: "sha512" }[alg] ?? "sha256";
  return `${message}.${createHmac(hash, secret).update(message).digest("base64url")}`;
}

function decide(ring: KeyRing, action: Action, token: string | undefined, indexUid?: string): AccessDecision {
  return ring.decide({ action, token, indexUid, now: NOW });
}

function messageOf(decision: AccessDecision): string {
  return decision.kind === "refused" ? decision.message : decision.kind;
}

describe("secrets of keys", () => {
  it("are those that Meilisearch derives", () => {
    // Recorded from Meilisearch v1.50.0 with this master key.
    const recorded = {
      "61737215-17a3-41a2-999d-5b88b04a6a1d":
        "0eb84ab439d2bc6740bf96aef339fdb8c16fab55fca1855f73642cd0ce70b8e3",
      "28f56caf-4249-4a14-b6e8-08aea5678c62":
        "75e92f4c3859b7ae2120be4a0f5064a407f70e9b8dd420668157ca2867e6c841",
      "01234567-89ab-4cde-8f01-23456789abcd":
        "a0075264636d0693a5ba66552e910e2b77977da4f9090c2196a611e23fbd8ca9",
    };
    for (const [uid, secret] of Object.entries(recorded)) expect(apiKeySecret(uid, MASTER)).toBe(secret);
  });

  it("are found in any form of their uid", () => {
    const uid = "01234567-89ab-4cde-8f01-23456789abcd";
    for (const form of [uid, uid.toUpperCase(), uid.replaceAll("-", ""), `{${uid}}`, `urn:uuid:${uid}`]) {
      expect(normalizedUuid(form), form).toBe(uid);
    }
    for (const form of ["", "0123", `${uid}0`, uid.replace("0", "g")]) {
      expect(normalizedUuid(form), form).toBeUndefined();
    }
  });
});

describe("actions", () => {
  it("stand for what they name", () => {
    expect([...grantedActions(["documents.*"])].sort()).toEqual([
      "documents.add",
      "documents.delete",
      "documents.get",
    ]);
    expect([...grantedActions(["tasks.*"])]).toContain("tasks.compact");
    expect(grantedActions(["*"]).size).toBe(actionNames.length - 1);
    expect(grantedActions(["*.get"]).has("keys.get")).toBe(false);
    expect(grantedActions(["*.get"]).has("fields.post")).toBe(true);
    expect(grantedActions(["*.get"]).has("documents.add")).toBe(false);
  });
});

describe("a key ring", () => {
  it("opens everything to the master key, and nothing without one", () => {
    const ring = new KeyRing(MASTER, []);
    for (const action of actionNames) {
      expect(decide(ring, action, MASTER).kind).toBe("granted");
      expect(decide(ring, action, undefined).kind).toBe("no-token");
      expect(messageOf(decide(ring, action, "another"))).toMatch(/invalid/);
    }
  });

  it("is open without a master key, but for keys", () => {
    const ring = new KeyRing(undefined, [key()]);
    expect(decide(ring, "documents.add", undefined, "movies").kind).toBe("granted");
    expect(decide(ring, "keys.get", undefined).kind).toBe("no-master-key");
    expect(decide(ring, "keys.create", "anything").kind).toBe("no-master-key");
  });

  it("grants a key its actions on its indexes until it ends", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom(...actionNames), { minLength: 1, maxLength: 5 }),
        fc.uniqueArray(fc.constantFrom("*", "movies", "mov*", "logs-*", "a"), { minLength: 1, maxLength: 3 }),
        fc.constantFrom<Action>(...actionNames.filter((name) => !name.endsWith("*") && name !== "*.get")),
        fc.option(fc.constantFrom("movies", "logs-1", "other"), { nil: undefined }),
        fc.option(fc.constantFrom("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")),
        (actions, indexes, action, indexUid, ends) => {
          const one = key({ actions, indexes, expiresAt: ends === null ? null : instant(ends) });
          const ring = new KeyRing(MASTER, [one]);
          const decision = decide(ring, action, apiKeySecret(one.uid, MASTER), indexUid);
          const named = (pattern: string): boolean =>
            indexUid !== undefined &&
            (pattern.endsWith("*") ? indexUid.startsWith(pattern.slice(0, -1)) : pattern === indexUid);
          const reaches = indexes.includes("*")
            ? true
            : indexUid === undefined
              ? indexScope(action) === "route"
              : indexes.some(named);
          const alive = ends === null || ends.startsWith("2100");
          // `*.get`, `*` and the like are told apart above.
          const has = grantedActions(actions).has(action);
          expect(decision.kind).toBe(reaches && alive && has ? "granted" : "refused");
        },
      ),
    );
  });

  it("says which indexes a key has", () => {
    const ring = new KeyRing(MASTER, [key({ indexes: ["b*", "a"] })]);
    expect(messageOf(decide(ring, "search", apiKeySecret(key().uid, MASTER), "c"))).toBe(
      'The API key cannot acces the index `c`, authorized indexes are ["a", "b*"].',
    );
  });

  it("knows keys by secret alone", () => {
    const ring = new KeyRing(MASTER, [key()]);
    expect(ring.uidOf(apiKeySecret(key().uid, MASTER))).toBe(key().uid);
    expect(ring.uidOf(key().uid)).toBeUndefined();
    expect(messageOf(decide(ring, "search", key().uid))).toMatch(/invalid/);
  });
});

describe("tenant tokens", () => {
  const claims = { searchRules: { "mov*": { filter: "year > 2000" }, books: null }, apiKeyUid: key().uid };
  const ring = new KeyRing(MASTER, [key()]);

  it.each(["HS256", "HS384", "HS512"])("open searches under %s", (alg) => {
    const decision = decide(ring, "search", tenantToken(claims, { alg }), "movies");
    expect(decision.kind).toBe("granted");
    if (decision.kind !== "granted") return;
    expect(decision.filter.searchRules("movies")).toEqual({ filter: "year > 2000" });
    expect(decision.filter.searchRules("books")).toBeUndefined();
    expect(decision.filter.allows("other")).toBe(false);
    expect(decision.filter.isTenantToken).toBe(true);
  });

  it("open nothing else", () => {
    expect(messageOf(decide(ring, "documents.get", tenantToken(claims), "movies"))).toMatch(/invalid/);
  });

  it("take the most exact rule of an index", () => {
    const rules = { "*": { filter: "a = 1" }, "mov*": { filter: "b = 1" }, movies: { filter: "c = 1" } };
    const decision = decide(ring, "search", tenantToken({ ...claims, searchRules: rules }), "movies");
    if (decision.kind !== "granted") throw new Error(messageOf(decision));
    expect(decision.filter.searchRules("movies")?.filter).toBe("c = 1");
    expect(decision.filter.searchRules("movable")?.filter).toBe("b = 1");
    expect(decision.filter.searchRules("books")?.filter).toBe("a = 1");
  });

  it("are refused with the reason", () => {
    const foreign = tenantToken(claims, { secret: "another" });
    expect(messageOf(decide(ring, "search", foreign, "movies"))).toBe(
      "Could not decode tenant token, InvalidSignature.",
    );
    const late = tenantToken({ ...claims, exp: NOW / 1_000 - 1 });
    expect(messageOf(decide(ring, "search", late, "movies"))).toBe(
      "Tenant token expired. Was valid up to `1799999999` and we're now `1800000000`.",
    );
    expect(decide(ring, "search", tenantToken({ ...claims, exp: NOW / 1_000 }), "movies").kind).toBe(
      "granted",
    );
    expect(messageOf(decide(ring, "search", tenantToken(claims), "other"))).toBe(
      'The provided tenant token cannot acces the index `other`, allowed indexes are ["books", "mov*"].',
    );
    const narrow = new KeyRing(MASTER, [key({ indexes: ["a"] })]);
    expect(messageOf(decide(narrow, "search", tenantToken(claims), "movies"))).toBe(
      "The API key used to generate this tenant token cannot acces the index `movies`.",
    );
    expect(messageOf(decide(ring, "search", tenantToken({ apiKeyUid: key().uid }), "movies"))).toMatch(
      /missing field `searchRules`/,
    );
    const gone = new KeyRing(MASTER, []);
    expect(messageOf(decide(gone, "search", tenantToken(claims), "movies"))).toMatch(/API key is invalid/);
  });

  // What Meilisearch v1.50.0 says of each, recorded.
  it.each<[string, string, string]>([
    [
      "eyJhbGciOiJub25lIn0",
      "claims",
      "JSON error: unknown variant `none`, expected one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA` at line 1 column 13",
    ],
    ["eyJhbGciOiJSUzI1NiJ9", "claims", "InvalidAlgorithm"],
    ["eyJ0eXAiOiJKV1QifQ", "claims", "JSON error: missing field `alg` at line 1 column 13"],
    ["a", "b", "Base64 error: Invalid input length: 1"],
    ["!!!!", "claims", "Base64 error: Invalid symbol 33, offset 0."],
    ["e30", "claims", "JSON error: missing field `alg` at line 1 column 2"],
    ["W10", "claims", "JSON error: invalid type: sequence, expected struct Header at line 1 column 0"],
    [
      "HS256",
      '{"searchRules":["*"],"apiKeyUid":"nope"}',
      "JSON error: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 39",
    ],
    [
      "HS256",
      '{"searchRules":5,"apiKeyUid":"01234567-89ab-4cde-8f01-23456789abcd"}',
      "JSON error: data did not match any variant of untagged enum SearchRules at line 1 column 16",
    ],
    [
      "HS256",
      '{"searchRules":["*"],"apiKeyUid":"01234567-89ab-4cde-8f01-23456789abcd","exp":"x"}',
      'JSON error: invalid type: string "x", expected i64 at line 1 column 81',
    ],
    [
      "HS256",
      '{"apiKeyUid":"01234567-89ab-4cde-8f01-23456789abcd"}',
      "JSON error: missing field `searchRules` at line 1 column 52",
    ],
  ])("with the header %s and the claims %s are refused as Meilisearch does", (header, payload, fault) => {
    const encode = (text: string): string => Buffer.from(text).toString("base64url");
    const first = header === "HS256" ? encode('{"alg": "HS256", "typ": "JWT"}') : header;
    const second = payload.startsWith("{")
      ? encode(payload)
      : payload === "claims"
        ? encode(JSON.stringify(claims))
        : payload;
    expect(messageOf(decide(ring, "search", `${first}.${second}.AAAA`, "movies"))).toBe(
      `Could not decode tenant token, ${fault}.`,
    );
  });

  it("of any other text are no tenant tokens, and never throw", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.array(fc.base64String(), { minLength: 3, maxLength: 3 })),
        (text) => {
          const token = Array.isArray(text) ? text.join(".") : text;
          expect(decide(ring, "search", token, "movies").kind).toBe("refused");
        },
      ),
    );
  });
});
