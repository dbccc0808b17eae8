import { apiKeySecret } from "../../src/proxy/auth/api-key.js";
import { DEFAULT_MASTER_KEY } from "../support/nodes.js";
import type { Script, Step } from "./side-by-side.js";

/** Keys that both sides get under the same uid, and so with the same secret. */
const KEYS = [
  {
    name: "swaps some",
    actions: ["indexes.swap", "indexes.update", "tasks.*"],
    indexes: ["sw-a", "sw-b", "rn-*"],
  },
  { name: "swaps none", actions: ["indexes.get", "tasks.get"], indexes: ["*"] },
  { name: "swaps all", actions: ["indexes.*"], indexes: ["*"] },
] as const;

function uidOf(at: number): string {
  return `bbbbbbbb-0000-4000-8000-00000000000${at}`;
}

function bearer(at: number): string {
  return `Bearer ${apiKeySecret(uidOf(at), DEFAULT_MASTER_KEY)}`;
}

const keys: Step[] = KEYS.map((key, at) => [
  "POST",
  "/keys",
  { uid: uidOf(at), description: null, ...key, expiresAt: null },
]);

const batches: Script = {
  name: "batches",
  alone: true,
  steps: [
    ["POST", "/indexes", { uid: "ba", primaryKey: "id" }],
    ["POST", "/indexes", { uid: "ba" }],
    ["POST", "/indexes/ba/documents?customMetadata=meta", [{ id: 1 }, { id: 2 }]],
    ["POST", "/indexes/ba/documents", [{ x: 1 }]],
    ["PATCH", "/indexes/ba/settings", { stopWords: ["the"], rankingRules: null }],
    ["DELETE", "/indexes/ba/settings/stop-words"],
    ["POST", "/indexes/ba/documents/delete-batch", [1]],
    ["DELETE", "/indexes/ba/documents"],
    ["PATCH", "/indexes/ba", { primaryKey: "id" }],
    ["PATCH", "/indexes/ba-missing", { primaryKey: "id" }],
    ["DELETE", "/indexes/ba"],
    ...Array.from({ length: 11 }, (_, at): Step => ["GET", `/batches/{task:${at}}`]),
    ...[
      "",
      "?limit=3",
      "?limit=0",
      "?limit=2&from={task:5}",
      "?reverse=true&limit=2",
      "?statuses=failed",
      "?statuses=enqueued",
      "?statuses=enqueued,failed&limit=1",
      "?statuses=processing",
      "?types=indexCreation",
      "?types=taskDeletion",
      "?indexUids=ba&limit=2",
      "?indexUids=nope",
      "?uids={task:1},{task:2}",
      "?batchUids={task:1},{task:2}",
      "?batchUids={task:1},{task:2}&uids={task:2},{task:3}",
      "?uids=99999",
      "?canceledBy={task:1}",
      "?afterEnqueuedAt=2100-01-01",
      "?beforeStartedAt=2100-01-01&limit=1",
      "?afterFinishedAt=*&limit=1",
      "?statuses=foo",
      "?types=foo",
      "?batchUids=x",
      "?uids=1,a",
      "?limit=-1",
      "?from=x",
      "?reverse=1",
      "?foo=1",
      "?canceledBy=x",
      "?indexUids=a%20b",
      "?beforeStartedAt=x",
    ].map((query): Step => ["GET", `/batches${query}`]),
    ["GET", "/batches/99999"],
    ["GET", "/batches/abc"],
    ["GET", "/batches/-1"],
    ["GET", "/batches/4294967296"],
    ["GET", "/batches/{task:0}", undefined, { authorization: "Bearer nope" }],
    ["GET", "/batches", undefined, { authorization: null }],
    ["POST", "/batches", {}],
    ["DELETE", "/batches/1"],
  ],
};

const wrongSwaps: readonly unknown[] = [
  {},
  "x",
  1.5,
  [1],
  [null],
  [{}],
  [[]],
  [{ indexes: ["sw-a"] }],
  [{ indexes: ["sw-a", "sw-b", "sw-c"] }],
  [{ indexes: [] }],
  [{ indexes: "sw-a" }],
  [{ indexes: null }],
  [{ indexes: { "0": "sw-a" } }],
  [{ indexes: ["sw-a", 1] }],
  [{ indexes: ["sw-a", null] }],
  [{ indexes: ["sw-a", "b c"] }],
  [{ indexes: ["sw-a", "*"] }],
  [{ indexes: ["sw-a", ""] }],
  [{ indexes: ["sw-a", "sw-b"], rename: 1 }],
  [{ indexes: ["sw-a", "sw-b"], rename: "true" }],
  [{ indexes: ["sw-a", "sw-b"], rename: null }],
  [{ rename: 3, indexes: ["sw-a", 3] }],
  [{ indexes: ["sw-a", "sw-b"], renam: true }],
  [{ indexes: ["sw-a", "sw-b"] }, { swap: 1 }],
  [{ indexes: ["sw-a", "sw-b"] }, { indexes: ["sw-c"] }, 3],
  [{ rename: true }],
  [{ indexes: ["sw-a", "sw-a"] }],
  [{ indexes: ["sw-a", "sw-a"], rename: true }],
  [{ indexes: ["sw-a", "sw-b"] }, { indexes: ["sw-b", "sw-a"] }],
  [{ indexes: ["sw-a", "sw-b"] }, { indexes: ["sw-b", "sw-c"], rename: true }],
];

const swapped = (...names: readonly string[]): Step[] =>
  names.flatMap((uid): Step[] => [
    ["GET", `/indexes/${uid}`],
    ["GET", `/indexes/${uid}/documents`],
    ["POST", `/indexes/${uid}/search`, { q: "" }],
    ["GET", `/indexes/${uid}/settings/stop-words`],
  ]);

const swaps: Script = {
  name: "swaps",
  alone: true,
  steps: [
    ...keys,
    ["POST", "/indexes/sw-a/documents", [{ id: 1, name: "a one" }]],
    ["POST", "/indexes/sw-b/documents?primaryKey=key", [{ key: "x", name: "b one" }]],
    ["PUT", "/indexes/sw-a/settings/stop-words", ["the"]],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-b"] }]],
    ...swapped("sw-a", "sw-b"),
    ["POST", "/indexes/sw-a/documents", [{ key: "y", name: "into b" }]],
    ["POST", "/indexes/sw-b/documents", [{ id: 2, name: "into a" }]],
    ...swapped("sw-a", "sw-b"),
    ["POST", "/indexes", { uid: "sw-c" }],
    ["POST", "/indexes", { uid: "sw-d", primaryKey: "id" }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-c"] }, { indexes: ["sw-b", "sw-d"], rename: false }]],
    ["GET", "/indexes"],
    ["POST", "/swap-indexes", [{ indexes: ["sw-c", "sw-e"], rename: true }]],
    ...swapped("sw-c", "sw-e"),
    ["POST", "/swap-indexes", [{ indexes: ["sw-e", "sw-f"], rename: true }, { indexes: ["sw-a", "sw-b"] }]],
    ["GET", "/indexes"],
    ["POST", "/swap-indexes", []],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-missing"] }]],
    ["POST", "/swap-indexes", [{ indexes: ["sw-missing", "sw-a"], rename: true }]],
    ["POST", "/swap-indexes", [{ indexes: ["sw-z", "sw-y"] }, { indexes: ["sw-x", "sw-a"] }]],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-b"], rename: true }]],
    [
      "POST",
      "/swap-indexes",
      [
        { indexes: ["sw-d", "sw-b"], rename: true },
        { indexes: ["sw-a", "sw-f"], rename: true },
      ],
    ],
    [
      "POST",
      "/swap-indexes",
      [
        { indexes: ["sw-d", "sw-g"], rename: true },
        { indexes: ["sw-a", "sw-f"], rename: true },
      ],
    ],
    ["GET", "/indexes"],
    ["DELETE", "/indexes/sw-f"],
    ["GET", "/indexes/sw-f"],
    ["POST", "/swap-indexes", [{ indexes: ["sw-d", "sw-f"], rename: true }]],
    ["GET", "/indexes/sw-f"],
    ...wrongSwaps.map((body): Step => ["POST", "/swap-indexes", body]),
    ["POST", "/swap-indexes", "null"],
    ["POST", "/swap-indexes", "["],
    ["POST", "/swap-indexes", ""],
    ["POST", "/swap-indexes", "[]", { contentType: "text/plain" }],
    ["GET", "/swap-indexes"],
    ["POST", "/swap-indexes", [], { authorization: null }],
    ["POST", "/swap-indexes", [], { authorization: "Bearer nope" }],
    ["POST", "/swap-indexes", [], { authorization: bearer(1) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-b"] }], { authorization: bearer(0) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-d"] }], { authorization: bearer(0) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-d", "sw-a"] }], { authorization: bearer(0) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-z"], rename: true }], { authorization: bearer(0) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-d"] }], { authorization: bearer(0) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-d", "sw-d"] }], { authorization: bearer(0) }],
    ["POST", "/swap-indexes", [{ indexes: ["sw-a", "sw-f"] }], { authorization: bearer(2) }],
    ["GET", "/indexes"],
    ["GET", "/batches?types=indexSwap&limit=2"],
  ],
};

/** A node's tasks follow their index to its new name; Miroir's keep the name that they were accepted under. */
export const interleaved: Script = {
  name: "a swap between writes",
  steps: [
    ["POST", "/indexes/so-a/documents", [{ id: 1, from: "a" }]],
    ["POST", "/indexes/so-b/documents", [{ id: 2, from: "b" }]],
    ["POST", "/swap-indexes", [{ indexes: ["so-a", "so-b"] }]],
    ["POST", "/indexes/so-a/documents", [{ id: 3, to: "b" }]],
    ["POST", "/indexes/so-b/documents", [{ id: 4, to: "a" }]],
    ["POST", "/swap-indexes", [{ indexes: ["so-a", "so-c"], rename: true }]],
    ["POST", "/indexes/so-c/documents", [{ id: 5, to: "c" }]],
    ["DELETE", "/indexes/so-b/documents/1"],
    ["GET", "/indexes/so-b/documents"],
    ["GET", "/indexes/so-c/documents"],
    ["GET", "/indexes/so-a"],
  ],
};

const renames: Script = {
  name: "renames",
  alone: true,
  steps: [
    ["POST", "/indexes/rn-a/documents", [{ id: 1, name: "one" }]],
    ["PATCH", "/indexes/rn-a", { uid: "rn-b" }],
    ...swapped("rn-a", "rn-b"),
    ["POST", "/indexes/rn-b/documents", [{ id: 2, name: "two" }]],
    ["GET", "/indexes/rn-b/documents"],
    ["PATCH", "/indexes/rn-b", { uid: "rn-b" }],
    ["PATCH", "/indexes/rn-missing", { uid: "rn-c" }],
    ["PATCH", "/indexes/rn-missing", { uid: "rn-b" }],
    ["POST", "/indexes", { uid: "rn-empty" }],
    ["PATCH", "/indexes/rn-b", { uid: "rn-empty" }],
    ["PATCH", "/indexes/rn-empty", { uid: "rn-keyed", primaryKey: "key" }],
    ["GET", "/indexes/rn-keyed"],
    ["POST", "/indexes/rn-keyed/documents", [{ key: 1, id: 7 }]],
    ["GET", "/indexes/rn-keyed/documents"],
    ["PATCH", "/indexes/rn-keyed", { uid: "rn-again", primaryKey: "id" }],
    ["GET", "/indexes/rn-keyed"],
    ["GET", "/indexes/rn-again"],
    ["PATCH", "/indexes/rn-again", { uid: "rn-last", primaryKey: "key" }],
    ["GET", "/indexes/rn-last"],
    ["PATCH", "/indexes/rn-last", { uid: null }],
    ["PATCH", "/indexes/rn-last", { uid: "a b" }],
    ["PATCH", "/indexes/rn-last", { uid: "" }],
    ["PATCH", "/indexes/rn-last", { uid: 1 }],
    ["PATCH", "/indexes/rn-last", { uid: "x", foo: 1 }],
    ["PATCH", "/indexes/a%20b", { uid: "x" }],
    ["PATCH", "/indexes/rn-last", { uid: "rn-by-key" }, { authorization: bearer(0) }],
    ["PATCH", "/indexes/rn-by-key", { uid: "zz-by-key" }, { authorization: bearer(0) }],
    ["PATCH", "/indexes/zz-by-key", { uid: "rn-by-key" }, { authorization: bearer(0) }],
    ["GET", "/indexes"],
  ],
};

/** Requests about tasks and batches, and those that change names; they run one after the other. */
export const taskScripts: readonly Script[] = [batches, swaps, renames];
