import type { Step } from "../side-by-side.js";
import type { WrongRequests } from "./wrong-requests.js";

const JSON_TYPE = { contentType: "application/json" } as const;
const CSV = { contentType: "text/csv" } as const;
const NDJSON = { contentType: "application/x-ndjson" } as const;
const add = (to: string, body: unknown, query = ""): Step => [
  "POST",
  `/indexes/${to}/documents${query}`,
  typeof body === "string" ? body : JSON.stringify(body),
  JSON_TYPE,
];
const update = (to: string, body: unknown): Step => ["PUT", `/indexes/${to}/documents`, body];
const settings = (to: string, body: unknown): Step => ["PATCH", `/indexes/${to}/settings`, body];
const embedder = (one: object): Step => settings("wt-settings", { embedders: { one } });

/** Requests that are taken, and whose task fails. */
export const failingTasks: WrongRequests = {
  category: "errors of asynchronous tasks",
  quota: 30,
  alone: true,
  prepare: [
    ["POST", "/indexes", { uid: "wt", primaryKey: "id" }],
    ["POST", "/indexes", { uid: "wt-other", primaryKey: "key" }],
    ["POST", "/indexes", { uid: "wt-none" }],
    add("wt", [{ id: 1, name: "one" }]),
    add("wt-other", [{ key: "a" }]),
    settings("wt-geo", {
      filterableAttributes: ["_geo", "_geojson"],
      embedders: { two: { source: "userProvided", dimensions: 2 } },
    }),
    add("wt-geo", [{ id: 1, _vectors: { two: [1, 2] } }]),
    add("wt-settings", [{ id: 1, _vectors: { one: [1, 2] } }]),
    settings("wt-settings", { embedders: { one: { source: "userProvided", dimensions: 2 } } }),
  ],
  requests: [
    // Indexes.
    ["POST", "/indexes", { uid: "wt" }],
    ["POST", "/indexes", { uid: "wt", primaryKey: "other" }],
    ["PATCH", "/indexes/wt", { primaryKey: "other" }],
    ["PATCH", "/indexes/wt-missing", { primaryKey: "id" }],
    ["DELETE", "/indexes/wt-missing"],
    ["PATCH", "/indexes/wt", { uid: "wt-other" }],
    ["PATCH", "/indexes/wt-missing", { uid: "wt-renamed" }],
    // Primary keys.
    add("wt-none", [{ name: "no key" }]),
    add("wt-none", [{ id: 1, uid: 2, otherId: 3 }]),
    add("wt-none", [{ ID: 1, Id: 2 }]),
    add("wt-none", [{ "": 1 }]),
    add("wt-none", { identity: 1, idea: 2 }),
    add("wt-none", [{ name: "x" }], "?primaryKey=id"),
    add("wt-none", [{ id: null }], "?primaryKey=id"),
    add("wt-none", [{ a: { id: 1 } }], "?primaryKey=a.key"),
    add("wt-new-by-key", [{ id: 1 }], "?primaryKey=key"),
    ["POST", "/indexes/wt-none/documents", "name,title\nx,y\n", CSV],
    add("wt", [{ id: 2, key: 1 }], "?primaryKey=key"),
    add("wt-other", [{ key: 2, id: 1 }], "?primaryKey=id"),
    // Ids.
    add("wt", [{ name: "no id" }]),
    add("wt", [{ id: 2 }, { name: "no id" }, { id: 3 }]),
    add("wt", [{ id: "a b" }]),
    add("wt", [{ id: "é" }]),
    add("wt", [{ id: "" }]),
    add("wt", [{ id: "😀".repeat(10) }]),
    add("wt", [{ id: "a".repeat(512) }]),
    add("wt", [{ id: 1.5 }]),
    add("wt", '[{"id":1e2}]'),
    add("wt", '[{"id":-0.0}]'),
    add("wt", '[{"id":18446744073709551616}]'),
    add("wt", [{ id: true }]),
    add("wt", [{ id: null }]),
    add("wt", [{ id: [1] }]),
    add("wt", [{ id: { a: 1 } }]),
    update("wt", [{ id: "a/b" }]),
    update("wt", [{ id: 1 }, { id: "a\nb" }]),
    update("wt", [{ id: 1, name: { deep: true } }, { Id: 2 }]),
    ["POST", "/indexes/wt/documents", "id,name\n,empty\n", CSV],
    ["POST", "/indexes/wt/documents", "id:number,name\n1.5,x\n", CSV],
    ["POST", "/indexes/wt/documents", "name\nx\n", CSV],
    ["POST", "/indexes/wt/documents", '{"id":4}\n{"id":"c d"}\n', NDJSON],
    // Places and vectors.
    add("wt-geo", [{ id: 2, _geo: "here" }]),
    add("wt-geo", [{ id: 2, _geo: { lat: 1 } }]),
    add("wt-geo", [{ id: 2, _geo: { lat: "x", lng: "y" } }]),
    add("wt-geo", [{ id: 2, _geo: { lat: 1, lng: [2] } }]),
    add("wt-geo", [{ id: 2, _geo: { lat: 1, lng: 2, altitude: 3 } }]),
    add("wt-geo", [{ id: 2, _geo: { latitude: 1, longitude: 3 } }]),
    add("wt-geo", [{ id: 2, _geo: [] }]),
    add("wt-geo", [{ id: 2, _geo: true }]),
    add("wt-geo", [{ id: "x", _geo: {} }]),
    add("wt-geo", [{ id: 2, _vectors: { two: null }, _geojson: { type: "Nope" } }]),
    add("wt-geo", [{ id: 2, _geojson: 5, _vectors: { two: null } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: [1, 2, 3] } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: ["a", 2] } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: "a" } }]),
    add("wt-geo", [{ id: 2, _vectors: [1, 2] }]),
    add("wt-geo", [{ id: 2, _vectors: { two: { embeddings: [[1, 2], [3]], regenerate: false } } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: { regenerate: true, embedding: [1] } } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: { embeddings: [1, 2], regenerate: "no" } } }]),
    add("wt-geo", [{ id: 2 }]),
    add("wt-geo", [{ id: 2, _geojson: 5, _vectors: { two: [1] } }]),
    add("wt-geo", [{ id: 2, _geo: 5, _vectors: { two: [1] } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: [1] }, _geo: 5 }]),
    add("wt-geo", [{ id: 2, _vectors: { two: null }, _geojson: 5, _geo: 5 }]),
    update("wt-geo", [{ id: 1, _vectors: { two: [null] } }]),
    add("wt-geo", [{ id: 2, _vectors: { two: [1, 2], [`${"n".repeat(10)}`]: true } }]),
    add("wt-geo", [
      { id: 2, _vectors: { two: [1] } },
      { id: 3, _geo: 5, _vectors: { two: null } },
    ]),
    // Deletions.
    ["POST", "/indexes/wt/documents/delete", { filter: "name = one" }],
    ["POST", "/indexes/wt/documents/delete", { filter: [["name = one", "id = 1"]] }],
    ["POST", "/indexes/wt-missing/documents/delete", { filter: "id = 1" }],
    ["POST", "/indexes/wt-missing/documents/delete-batch", [1, 2]],
    ["DELETE", "/indexes/wt-missing/documents/1"],
    ["DELETE", "/indexes/wt-missing/documents"],
    // Settings.
    ["DELETE", "/indexes/wt-missing/settings"],
    ["DELETE", "/indexes/wt-missing/settings/embedders"],
    settings("wt-settings", { embedders: { kept: { source: "userProvided", dimensions: 4 } } }),
    embedder({ source: "rest", url: "http://127.0.0.1:1", request: {}, response: {} }),
    embedder({
      source: "rest",
      url: "http://127.0.0.1:1/",
      dimensions: 2,
      request: "{{nope}}",
      response: "{{embedding}}",
    }),
    embedder({ source: "openAi", documentTemplate: "{{doc.title" }),
    // Names.
    ["POST", "/swap-indexes", [{ indexes: ["wt", "wt-missing"] }]],
    ["POST", "/swap-indexes", [{ indexes: ["wt-gone", "wt-missing"] }]],
    ["POST", "/swap-indexes", [{ indexes: ["wt", "wt-other"], rename: true }]],
    ["POST", "/swap-indexes", [{ indexes: ["wt-missing", "wt-new"], rename: true }]],
    ["POST", "/swap-indexes", [{ indexes: ["wt", "wt-other"] }, { indexes: ["wt-x", "wt-y"] }]],
  ],
};
