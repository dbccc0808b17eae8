import { apiKeySecret } from "../../src/proxy/auth/api-key.js";
import { DEFAULT_MASTER_KEY } from "../support/nodes.js";
import { chatScript } from "./chat-requests.js";
import { networkScript } from "./network-requests.js";
import { each, refusedAnyway } from "./request-lists.js";
import { searchRuleScript } from "./search-rule-requests.js";
import type { Script, Step } from "./side-by-side.js";
import { templateScript } from "./template-requests.js";

const FEATURES = {
  metrics: true,
  logsRoute: true,
  dynamicSearchRules: true,
  network: true,
  taskQueueCompactionRoute: true,
  chatCompletions: true,
  renderRoute: true,
  multimodal: true,
};

const GATED: readonly Step[] = [
  ["GET", "/metrics"],
  ["POST", "/logs/stream", {}],
  ["DELETE", "/logs/stream"],
  ["POST", "/logs/stderr", {}],
  ["POST", "/tasks/compact"],
  ["GET", "/network"],
  ["PATCH", "/network", {}],
  ["PATCH", "/network", { leader: "x" }],
  ["PATCH", "/network", { foo: 1 }],
  ["POST", "/network/control", {}],
  ["POST", "/dynamic-search-rules", {}],
  ["GET", "/dynamic-search-rules/x"],
  ["PATCH", "/dynamic-search-rules/x", {}],
  ["PATCH", "/dynamic-search-rules/x", { foo: 1 }],
  ["PATCH", "/dynamic-search-rules/x?foo=1", {}],
  ["DELETE", "/dynamic-search-rules/x"],
  ["DELETE", "/dynamic-search-rules/a%20b"],
  ["DELETE", "/dynamic-search-rules"],
  ["POST", "/render-template", {}],
  ["POST", "/render-template", { template: { kind: "inlineDocumentTemplate", inline: "x" } }],
  ["GET", "/chats"],
  ["GET", "/chats?limit=x"],
  ["GET", "/chats/x"],
  ["GET", "/chats/a%20b"],
  ["DELETE", "/chats/x"],
  ["GET", "/chats/x/settings"],
  ["PATCH", "/chats/x/settings", {}],
  ["PATCH", "/chats/x/settings", { foo: 1 }],
  ["DELETE", "/chats/x/settings"],
  ["POST", "/chats/x/chat/completions", {}],
  ["POST", "/chats/x/chat/completions", { model: "x", messages: [] }],
  ["POST", "/chats/x/chat/completions", { model: "x", messages: [], stream: true }],
];

/** Keys that both sides get under the same uid, and so with the same secret. */
const KEYS = [
  { actions: ["settings.get", "documents.get"], indexes: ["rt"] },
  { actions: ["settings.get"], indexes: ["*"] },
  { actions: ["*.get"], indexes: ["*"] },
  { actions: ["*"], indexes: ["rt"] },
  { actions: ["chats.*", "chatCompletions", "network.update", "tasks.compact"], indexes: ["*"] },
  { actions: ["chatsSettings.*", "metrics.*", "dynamicSearchRules.*", "indexes.compact"], indexes: ["*"] },
  { actions: ["indexes.*"], indexes: ["rt"] },
].map((key, at) => ({ ...key, uid: `bbbbbbbb-0000-4000-8000-${String(at).padStart(12, "0")}` }));

/** What every key is tried on; nothing that both sides do not answer alike, or that changes anything. */
const ATTEMPTS: readonly Step[] = [
  ["DELETE", "/logs/stream"],
  ["POST", "/logs/stderr", { target: 1 }],
  ["GET", "/network"],
  ["PATCH", "/network", { leader: "x" }],
  ["POST", "/network/control", {}],
  ["POST", "/dynamic-search-rules", {}],
  ["GET", "/dynamic-search-rules/x"],
  ["PATCH", "/dynamic-search-rules/x", { foo: 1 }],
  ["DELETE", "/dynamic-search-rules/x?foo=1"],
  ["GET", "/chats"],
  ["GET", "/chats/x"],
  ["DELETE", "/chats/x"],
  ["GET", "/chats/x/settings"],
  ["PATCH", "/chats/x/settings", { foo: 1 }],
  ["DELETE", "/chats/x/settings"],
  ["POST", "/chats/x/chat/completions", {}],
  ["POST", "/indexes/a%20b/compact"],
  ["POST", "/render-template", { foo: 1 }],
  ...["rt", "rs", "nope"].flatMap((indexUid): Step[] => [
    ["POST", "/render-template", { template: { kind: "documentTemplate", indexUid } }],
    ["POST", "/render-template", { template: { kind: "chatDocumentTemplate", indexUid }, foo: 1 }],
    [
      "POST",
      "/render-template",
      {
        template: { kind: "chatDocumentTemplate", indexUid: "rt" },
        input: { kind: "indexDocument", indexUid, id: "1" },
      },
    ],
  ]),
];

/** Requests of experimental routes that both sides answer alike; they run one after the other. */
export const experimentalScripts: readonly Script[] = [
  {
    name: "every gated route without its feature",
    steps: [
      ...GATED,
      ...GATED.map(([method, path, body]): Step => [method, path, body, { authorization: null }]),
      ["PUT", "/metrics", {}],
      ["GET", "/logs/stream"],
      ["PUT", "/logs/stderr", {}],
      ["DELETE", "/network"],
      ["GET", "/network/control"],
      ["GET", "/dynamic-search-rules"],
      ["PUT", "/dynamic-search-rules/x", {}],
      ["GET", "/render-template"],
      ["POST", "/chats", {}],
      ["PUT", "/chats/x/settings", {}],
      ["GET", "/chats/x/chat/completions"],
      ["GET", "/indexes/x/compact"],
      ["GET", "/tasks/compact"],
      ["PATCH", "/experimental-features", FEATURES],
    ],
  },
  {
    name: "logs",
    steps: [
      ...refusedAnyway("POST", "/logs/stream"),
      ...refusedAnyway("POST", "/logs/stderr"),
      ...each("POST", "/logs/stream", [
        { mode: "x" },
        { mode: "profiles" },
        { mode: 1 },
        { mode: null },
        { profileMemory: true },
        { profileMemory: true, mode: "json" },
        { profileMemory: 1 },
        { profileMemory: null },
        { profile_memory: true },
        { foo: 1 },
        { target: "", mode: "x" },
        { mode: "x", target: "" },
      ]),
      ...each(
        "POST",
        "/logs/stderr",
        [
          {},
          ...["", "foo=bar", "info,", "a=b=c", "milli=trace,index_scheduler,actix_web=off", "INFO", "=info"],
          ...["a[b]=info", "a=", "a=5", "a=6", "6", ",", " info ", "a[x{y=1}]=info", "foo", "a = info", "é"],
          ...[
            "a=b,c=d",
            "a[{b}]=info",
            "a[{b=info",
            "a[{b}",
            "a[{b}][{c}]=info",
            "a[{b}]x=info",
            "+3",
            "OFF",
          ],
        ].map((target) => (typeof target === "string" ? { target } : target)),
      ),
      ...each("POST", "/logs/stderr", [
        { target: 1 },
        { target: null },
        { targets: "info" },
        { mode: "human" },
      ]),
      ["DELETE", "/logs/stream"],
    ],
  },
  networkScript,
  chatScript,
  searchRuleScript,
  templateScript,
  {
    name: "compaction",
    alone: true,
    steps: [
      ["POST", "/indexes/rt/compact"],
      ["POST", "/indexes/rt/compact?foo=1", { foo: 1 }],
      ["POST", "/indexes/never/compact"],
      ["POST", "/indexes/a%20b/compact"],
      ["POST", "/indexes/rt/compact", undefined, { authorization: null }],
      ["POST", "/tasks/compact", undefined, { authorization: null }],
      ["GET", "/tasks?types=indexCompaction"],
      ["GET", "/indexes/rt"],
    ],
  },
  {
    name: "keys",
    steps: [
      ...KEYS.map((key): Step => ["POST", "/keys", { ...key, expiresAt: null }]),
      ...KEYS.flatMap(({ uid }) =>
        ATTEMPTS.map(([method, path, body]): Step => {
          const authorization = `Bearer ${apiKeySecret(uid, DEFAULT_MASTER_KEY)}`;
          return [method, path, body, { authorization }];
        }),
      ),
    ],
  },
];
