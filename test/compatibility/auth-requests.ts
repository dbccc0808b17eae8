import { createHmac } from "node:crypto";
import { apiKeySecret } from "../../src/proxy/auth/api-key.js";
import { DEFAULT_MASTER_KEY } from "../support/nodes.js";
import type { Script, Step } from "./side-by-side.js";

/** Keys that both sides get under the same uid, and so with the same secret. */
const KEYS = {
  everything: { actions: ["*"], indexes: ["*"] },
  reader: { actions: ["*.get"], indexes: ["*"] },
  searcher: { actions: ["search"], indexes: ["auth-a", "auth-x*"] },
  writer: { actions: ["documents.add", "documents.get", "tasks.get"], indexes: ["auth-a", "auth-new"] },
  creator: {
    actions: ["documents.*", "indexes.*", "settings.*", "tasks.*", "stats.*"],
    indexes: ["auth-a", "auth-n*"],
  },
  lister: { actions: ["indexes.get", "stats.get", "tasks.get", "version"], indexes: ["*"] },
  keyed: { actions: ["keys.get", "keys.update"], indexes: ["*"] },
  nothing: { actions: ["dumps.create"], indexes: [] },
} as const;

type KeyName = keyof typeof KEYS;

const names = Object.keys(KEYS) as KeyName[];

function uidOf(name: KeyName): string {
  return `aaaaaaaa-0000-4000-8000-${String(names.indexOf(name)).padStart(12, "0")}`;
}

function bearer(name: KeyName): string {
  return `Bearer ${apiKeySecret(uidOf(name), DEFAULT_MASTER_KEY)}`;
}

function token(
  name: KeyName,
  claims: object,
  { algorithm = "HS256", secret }: { algorithm?: string; secret?: string } = {},
): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const message = `${part({ alg: algorithm, typ: "JWT" })}.${part({ ...claims, apiKeyUid: uidOf(name) })}`;
  const hash = { HS256: "sha256", HS384: "sha384", HS512: "sha512" }[algorithm] ?? "sha256";
  const key = secret ?? apiKeySecret(uidOf(name), DEFAULT_MASTER_KEY);
  return `Bearer ${message}.${createHmac(hash, key).update(message).digest("base64url")}`;
}

const create: Step[] = names.map((name) => [
  "POST",
  "/keys",
  { uid: uidOf(name), name, description: null, ...KEYS[name], expiresAt: null },
]);

/** What every key is tried on. */
const attempts: readonly (readonly [string, string, unknown?])[] = [
  ["GET", "/indexes?limit=100"],
  ["GET", "/indexes/auth-a"],
  ["GET", "/indexes/auth-b"],
  ["POST", "/indexes", { uid: "auth-nope" }],
  ["PATCH", "/indexes/auth-b", { primaryKey: "id" }],
  ["DELETE", "/indexes/auth-missing"],
  ["GET", "/indexes/auth-a/documents"],
  ["POST", "/indexes/auth-b/documents/fetch", {}],
  ["GET", "/indexes/auth-a/documents/1"],
  ["POST", "/indexes/auth-b/documents/delete-batch", [77]],
  ["POST", "/indexes/auth-a/documents/edit", { function: "doc.edited = true" }],
  ["POST", "/indexes/auth-a/search", { q: "one" }],
  ["GET", "/indexes/auth-b/search?q=two"],
  ["POST", "/indexes/auth-xyz/search", {}],
  ["GET", "/indexes/auth-a/settings"],
  ["PATCH", "/indexes/auth-b/settings", { stopWords: ["the"] }],
  ["GET", "/indexes/auth-b/stats"],
  ["GET", "/version"],
  ["GET", "/keys?limit=0"],
  ["GET", `/keys/${uidOf("nothing")}`],
  ["POST", "/keys", { actions: ["nope"] }],
  ["DELETE", "/keys/aaaaaaaa-0000-4000-8000-999999999999"],
  ["GET", "/health"],
];

function tried(name: string, authorization: string | null): Script {
  return {
    name: `requests with ${name}`,
    alone: true,
    steps: attempts.map(([method, path, body]) => [method, path, body, { authorization }]),
  };
}

const searches: readonly (readonly [string, string, unknown?])[] = [
  ["POST", "/indexes/auth-a/search", {}],
  ["POST", "/indexes/auth-a/search", { filter: "tag = x" }],
  ["POST", "/indexes/auth-a/search", { filter: ["tag = x", ["n > 1", "n < 9"]] }],
  ["GET", "/indexes/auth-a/search?filter=tag%20%3D%20y"],
  ["POST", "/indexes/auth-a/search", { filter: "tag = x OR (" }],
  ["POST", "/indexes/auth-b/search", {}],
  ["POST", "/indexes/auth-xyz/search", {}],
  ["GET", "/indexes/auth-a/documents"],
];

const tenants: Script[] = (
  [
    ["all indexes", token("everything", { searchRules: ["*"] })],
    ["a filter", token("everything", { searchRules: { "*": { filter: "n > 2" } } })],
    [
      "a list of filters",
      token(
        "everything",
        { searchRules: { "auth-a": { filter: ["n > 1", ["tag = x", "tag = y"]] } } },
        { algorithm: "HS384" },
      ),
    ],
    [
      "rules for patterns",
      token(
        "searcher",
        { searchRules: { "auth-*": { filter: "n = 1" }, "auth-a": null, "auth-xyz": {} } },
        { algorithm: "HS512" },
      ),
    ],
    ["a key that cannot search", token("writer", { searchRules: ["*"] })],
    ["a foreign signature", token("everything", { searchRules: ["*"] }, { secret: "another" })],
    ["an end long ago", token("everything", { searchRules: ["*"], exp: 1_000_000_000 })],
    ["an end to come", token("everything", { searchRules: ["auth-a"], exp: 4_000_000_000 })],
    ["no rules", token("everything", {})],
    ["a wrong filter", token("everything", { searchRules: { "*": { filter: "nothing = 1" } } })],
  ] as const
).map(([name, authorization]) => ({
  name: `searches with a tenant token with ${name}`,
  alone: true,
  steps: searches
    // Meilisearch's message tells the time.
    .filter((_, at) => name !== "an end long ago" || at === 7)
    .map(([method, path, body]) => [method, path, body, { authorization }] as const),
}));

const future = "2099-01-02T03:04:05Z";
const sound = { actions: ["search"], indexes: ["*"], expiresAt: null };

/** Requests that no key can come of, and what else is said about keys. */
const management: Script = {
  name: "keys: wrong requests",
  alone: true,
  steps: [
    ...[
      "",
      "nothing",
      "[]",
      "{}",
      { indexes: ["*"], expiresAt: null },
      { actions: ["search"], expiresAt: null },
      { actions: ["search"], indexes: ["*"] },
      { ...sound, actions: "search" },
      { ...sound, actions: ["serch"] },
      { ...sound, actions: [1] },
      { ...sound, indexes: "*" },
      { ...sound, indexes: ["a b"] },
      { ...sound, indexes: [null] },
      { ...sound, indexes: ["a*b"] },
      { ...sound, uid: "nope" },
      { ...sound, uid: 5 },
      { ...sound, uid: null },
      { ...sound, name: 5 },
      { ...sound, description: {} },
      { ...sound, expiresAt: "soon" },
      { ...sound, expiresAt: "2010-01-01" },
      { ...sound, expiresAt: 5 },
      { ...sound, expiresAt: "2010-11-13T00:00:00Z" },
      { ...sound, unknown: 1 },
      { ...sound, createdAt: "2010-11-13T00:00:00Z" },
      { ...sound, actions: ["dumps.create"], indexes: ["a"] },
      { ...sound, uid: uidOf("everything") },
    ].map((body): Step => ["POST", "/keys", body]),
    [
      "POST",
      "/keys",
      { ...sound, uid: "bbbbbbbb-0000-4000-8000-000000000001", expiresAt: future, name: "ends" },
    ],
    ["POST", "/keys", { ...sound, uid: "bbbbbbbb000040008000000000000002", expiresAt: "2099-01-02" }],
    [
      "POST",
      "/keys",
      {
        ...sound,
        uid: "BBBBBBBB-0000-4000-8000-000000000003",
        expiresAt: "2099-01-02 03:04:05",
        description: "é",
      },
    ],
    [
      "POST",
      "/keys",
      {
        ...sound,
        uid: "bbbbbbbb-0000-4000-8000-000000000004",
        expiresAt: "2099-01-02T03:04:05",
        actions: [],
        indexes: [],
      },
    ],
    ["GET", "/keys/bbbbbbbb-0000-4000-8000-000000000001"],
    ["GET", "/keys/BBBBBBBB000040008000000000000002"],
    ["GET", `/keys/${apiKeySecret("bbbbbbbb-0000-4000-8000-000000000003", DEFAULT_MASTER_KEY)}`],
    ["GET", "/keys/nope"],
    ["GET", "/keys/bbbbbbbb-0000-4000-8000-000000000009"],
    ["PATCH", "/keys/bbbbbbbb-0000-4000-8000-000000000001", { name: "new", description: "told" }],
    ["PATCH", "/keys/bbbbbbbb-0000-4000-8000-000000000001", { name: null }],
    ["PATCH", "/keys/bbbbbbbb-0000-4000-8000-000000000001", {}],
    ["PATCH", "/keys/nope", { name: "new" }],
    ...["uid", "actions", "indexes", "expiresAt", "createdAt", "updatedAt", "unknown"].map(
      (member): Step => ["PATCH", "/keys/bbbbbbbb-0000-4000-8000-000000000001", { [member]: 1 }],
    ),
    ["PATCH", "/keys/bbbbbbbb-0000-4000-8000-000000000001", { name: 5 }],
    ["PATCH", "/keys/bbbbbbbb-0000-4000-8000-000000000001", "nothing"],
    ["DELETE", "/keys/bbbbbbbb-0000-4000-8000-000000000001"],
    ["DELETE", "/keys/bbbbbbbb-0000-4000-8000-000000000001"],
    ["DELETE", "/keys/nope"],
    ["GET", "/keys?offset=1&limit=3"],
    ["GET", "/keys?offset=a"],
    ["GET", "/keys?limit=-1"],
    ["GET", "/keys?page=1"],
    ["PUT", "/keys"],
    ["GET", "/keys", undefined, { authorization: "Basic abc" }],
    ["GET", "/keys", undefined, { authorization: "Bearer" }],
    ["GET", "/keys", undefined, { authorization: "Bearer a.b.c" }],
  ],
};

const prepare: Script = {
  name: "keys: made under the same uids",
  alone: true,
  steps: [
    ...create,
    ["PATCH", "/indexes/auth-a/settings", { filterableAttributes: ["tag", "n"] }],
    [
      "POST",
      "/indexes/auth-a/documents",
      [1, 2, 3, 4, 5, 6].map((id) => ({ id, n: id, tag: id % 2 === 0 ? "x" : "y", title: `one ${id}` })),
    ],
    ["POST", "/indexes/auth-b/documents", [{ id: 1, title: "two" }]],
    ["POST", "/indexes/auth-xyz/documents", [{ id: 1, n: 1 }]],
  ],
};

/** What a key that may not create indexes does to one that is not there. */
const creations: Script = {
  name: "keys: writes to indexes that are not there",
  alone: true,
  steps: [
    ["POST", "/indexes/auth-new/documents", [{ id: 1 }], { authorization: bearer("writer") }],
    ["POST", "/indexes/auth-newer/documents", [{ id: 1 }], { authorization: bearer("writer") }],
    ["PUT", "/indexes/auth-nice/documents", [{ id: 1 }], { authorization: bearer("creator") }],
    ["PATCH", "/indexes/auth-nicer/settings", { stopWords: ["a"] }, { authorization: bearer("creator") }],
    ["POST", "/indexes", { uid: "auth-nicest" }, { authorization: bearer("creator") }],
    ["POST", "/indexes", { uid: "auth-other" }, { authorization: bearer("creator") }],
  ],
};

/** Scripts about keys and tokens, in the order in which they build on each other. */
export const authScripts: readonly Script[] = [
  prepare,
  management,
  ...names.map((name) => tried(`the key "${name}"`, bearer(name))),
  tried("no key", null),
  tried("an unknown key", "Bearer unknown"),
  ...tenants,
  creations,
];
