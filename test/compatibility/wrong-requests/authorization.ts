import { createHmac } from "node:crypto";
import { apiKeySecret } from "../../../src/proxy/auth/api-key.js";
import { DEFAULT_MASTER_KEY } from "../../support/nodes.js";
import type { Step } from "../side-by-side.js";
import type { WrongRequests } from "./wrong-requests.js";

const uid = (at: number): string => `dddddddd-0000-4000-8000-00000000000${at}`;
const secret = (at: number): string => apiKeySecret(uid(at), DEFAULT_MASTER_KEY);
const ALL = 0;
const NARROW = 1;
const ADDER = 2;
const ENDED = 3;
const KEYS: readonly object[] = [
  { actions: ["search", "documents.get"], indexes: ["*"], expiresAt: null },
  { actions: ["search", "documents.*", "settings.get", "tasks.get"], indexes: ["wa-in*"], expiresAt: null },
  { actions: ["documents.add"], indexes: ["wa-in"], expiresAt: null },
  { actions: ["*"], indexes: ["*"], expiresAt: "2099-01-01T00:00:00Z" },
];

const encoded = (part: unknown): string =>
  Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");

/** A tenant token of these parts; a string goes in as it is, so that it can be no JSON. */
function token(
  claims: object | string,
  header: unknown = { alg: "HS256", typ: "JWT" },
  key = secret(ALL),
): string {
  const message = `${encoded(header)}.${encoded(claims)}`;
  return `${message}.${createHmac("sha256", key).update(message).digest("base64url")}`;
}

const rules = { searchRules: ["*"], apiKeyUid: uid(ALL) };
const sound = token(rules);
const [head = "", payload = "", signature = ""] = sound.split(".");

/** Tokens that no search is allowed with, each for a reason of its own. */
const tokens: readonly string[] = [
  `${head}.${payload}.`,
  `${head}.${payload}`,
  `${head}.${payload}.${signature}.x`,
  `.${payload}.${signature}`,
  `${head}..${signature}`,
  `${head}.${payload}.${signature.slice(0, -2)}`,
  `${head}.${payload}.${signature}=`,
  `${head}.${payload}.!${signature.slice(1)}`,
  `${head}.${payload.slice(0, -1)}.${signature}`,
  `${head}.${payload}~.${signature}`,
  "..",
  "a..",
  token("nope"),
  token("[]"),
  token('"text"'),
  token("{"),
  token("1"),
  token({}),
  token({ searchRules: ["*"] }),
  token({ apiKeyUid: uid(ALL) }),
  token({ ...rules, apiKeyUid: "not-a-uid" }),
  token({ ...rules, apiKeyUid: 7 }),
  token({ ...rules, apiKeyUid: null }),
  token({ ...rules, apiKeyUid: "ffffffff-0000-4000-8000-000000000000" }),
  token({ ...rules, searchRules: "*" }),
  token({ ...rules, searchRules: null }),
  token({ ...rules, searchRules: [1] }),
  token({ ...rules, searchRules: { "*": 1 } }),
  token({ ...rules, exp: "soon" }),
  token({ ...rules, exp: 1.5 }),
  token({ ...rules, searchRules: [] }),
  token({ ...rules, searchRules: {} }),
  token({ ...rules, searchRules: ["other"] }),
  token({ ...rules, searchRules: { "wa-out": {} } }),
  token({ ...rules, searchRules: { "*": { filter: 5 } } }),
  token({ ...rules, searchRules: { "*": { filter: "(" } } }),
  token({ ...rules, searchRules: { "*": { filter: ["genre = x", ["(("]] } } }),
  token({ ...rules, searchRules: { "*": { filter: "unfilterable = 1" } } }),
  token(rules, { alg: "none", typ: "JWT" }),
  token(rules, { alg: "RS256", typ: "JWT" }),
  token(rules, { alg: "HS1" }),
  token(rules, { alg: 256 }),
  token(rules, { typ: "JWT" }),
  token(rules, "nope"),
  token(rules, { alg: "HS384" }),
  token(rules, { alg: "HS256" }, DEFAULT_MASTER_KEY),
  token(rules, { alg: "HS256" }, "another secret"),
  token({ ...rules, apiKeyUid: uid(ADDER) }, undefined, secret(ADDER)),
];

const as = (authorization: string | null) => ({ authorization });
const key = (at: number) => as(`Bearer ${secret(at)}`);

/** Requests whose sender is unknown, or is not allowed what they ask for. */
export const authorization: WrongRequests = {
  category: "auth",
  quota: 30,
  prepare: [
    ...KEYS.map((body, at): Step => ["POST", "/keys", { uid: uid(at), ...body }]),
    ["POST", "/indexes/wa-in/documents", [{ id: 1, genre: "x" }]],
    ["POST", "/indexes/wa-out/documents", [{ id: 1, genre: "x" }]],
  ],
  requests: [
    ...tokens.map((text): Step => ["POST", "/indexes/wa-in/search", {}, as(`Bearer ${text}`)]),
    // The header itself.
    ...[
      "Bearer\tnode-master-key-0123456789",
      "Bearer node-master-key-0123456789 x",
      "Bearer node-master-key-012345678",
      "Bearer NODE-MASTER-KEY-0123456789",
      "BEARER node-master-key-0123456789",
      "Bearer: node-master-key-0123456789",
      "Bearer,node-master-key-0123456789",
      "Token node-master-key-0123456789",
      `Basic ${Buffer.from("user:node-master-key-0123456789").toString("base64")}`,
      "Bearer é",
      `Bearer ${"x".repeat(4_000)}`,
    ].map((text): Step => ["GET", "/indexes/wa-in", undefined, as(text)]),
    ["GET", "/indexes/wa-in", undefined, { authorization: null, headers: { "x-meili-api-key": "x" } }],
    // What comes first: the key, the path or the body.
    ["POST", "/indexes/w%20a/documents", "{", as(null)],
    ["POST", "/indexes/wa-in/documents", "{", { authorization: null, contentType: "text/plain" }],
    ["POST", "/multi-search", "{", as(null)],
    ["GET", "/keys/not-a-uid", undefined, as(null)],
    ["GET", "/tasks?uids=x", undefined, as("Bearer wrong")],
    ["PATCH", "/experimental-features", {}, as("Bearer wrong")],
    ["POST", "/indexes/wa-in/facet-search", {}, as("Bearer wrong")],
    ["POST", "/indexes/wa-in/similar", {}, as(null)],
    ["POST", "/swap-indexes", "x", as("Bearer wrong")],
    // What keys may not do.
    ["GET", "/indexes/wa-in", undefined, key(ALL)],
    ["GET", "/stats", undefined, key(ALL)],
    ["GET", "/version", undefined, key(NARROW)],
    ["GET", "/keys", undefined, key(NARROW)],
    ["POST", "/indexes/wa-out/search", {}, key(NARROW)],
    ["POST", "/indexes/wa-out/search", "{", key(NARROW)],
    ["POST", "/indexes/w%20a/search", {}, key(NARROW)],
    ["GET", "/indexes/wa-out/documents/1", undefined, key(NARROW)],
    ["POST", "/indexes/wa-out/documents", "[]", key(NARROW)],
    ["DELETE", "/indexes/wa-out/documents", undefined, key(NARROW)],
    ["PATCH", "/indexes/wa-in/settings", {}, key(NARROW)],
    ["GET", "/indexes/wa-out/settings/synonyms", undefined, key(NARROW)],
    ["POST", "/indexes/wa-in/search", {}, key(ADDER)],
    ["GET", "/indexes/wa-in/documents", undefined, key(ADDER)],
    ["DELETE", "/indexes/wa-in", undefined, key(ADDER)],
    ["POST", "/indexes", { uid: "wa-in" }, key(ADDER)],
    ["DELETE", "/tasks?uids=1", undefined, key(NARROW)],
    ["POST", "/tasks/cancel?uids=1", undefined, key(ALL)],
    ["POST", "/swap-indexes", [{ indexes: ["wa-in", "wa-out"] }], key(NARROW)],
    ["POST", "/multi-search", { queries: [{ indexUid: "wa-in" }, { indexUid: "wa-out" }] }, key(NARROW)],
    ["POST", "/multi-search", { federation: {}, queries: [{ indexUid: "wa-out" }] }, key(NARROW)],
    ["POST", "/indexes/wa-out/facet-search", { facetName: "genre" }, key(NARROW)],
    ["GET", "/indexes/wa-out/similar?id=1&embedder=x", undefined, key(NARROW)],
    ["GET", "/tasks/0", undefined, key(ALL)],
    ["GET", "/tasks?indexUids=wa-out", undefined, key(ALL)],
    ["GET", "/indexes/wa-in/documents", undefined, as(`Bearer ${sound}`)],
    ["GET", "/indexes/wa-in/settings", undefined, as(`Bearer ${sound}`)],
    ["GET", "/keys", undefined, as(`Bearer ${sound}`)],
    [
      "POST",
      "/multi-search",
      { queries: [{ indexUid: "wa-out" }, { indexUid: "wa-in" }] },
      as(`Bearer ${token({ ...rules, searchRules: { "wa-in": null } })}`),
    ],
    [
      "POST",
      "/indexes/wa-out/facet-search",
      { facetName: "genre" },
      as(`Bearer ${token({ ...rules, searchRules: ["wa-in"] })}`),
    ],
    // A key that is gone, and what made of it.
    ["DELETE", `/keys/${uid(ENDED)}x`],
    ["PATCH", `/keys/${uid(ENDED)}`, { expiresAt: null }],
    ["PATCH", `/keys/${uid(ENDED)}`, { actions: ["*"] }],
    ["POST", "/keys", { uid: uid(ENDED), actions: [], indexes: [], expiresAt: null }],
    ["POST", "/keys", { actions: ["*"], indexes: ["*"], expiresAt: "2020-01-01T00:00:00Z" }],
  ],
};
