import type { Script, Step, StepOptions } from "./side-by-side.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

/** Requests about the whole server; they run one after the other, so that task uids can be compared. */
export const serverScripts: readonly Script[] = [
  {
    name: "a server without anything",
    steps: [
      ["GET", "/health"], ["GET", "/health", undefined, { authorization: null }], ["GET", "/version"], ["GET", "/stats"], ["GET", "/indexes"], ["GET", "/tasks"], ["GET", "/"],
      ["GET", "/nope"], ["POST", "/nope", {}], ["GET", "/indexes/x/nope"], ["GET", "/nope", undefined, { authorization: null }], ["GET", "/health/"], ["GET", "/indexes/"], ["GET", "//health"], ["GET", "/Health"], ["GET", "/indexes?"],
      ["PATCH", "/health"], ["DELETE", "/health"], ["POST", "/version"], ["PUT", "/indexes"], ["DELETE", "/indexes"], ["PATCH", "/indexes/x/documents"], ["PUT", "/indexes/x/search"], ["POST", "/tasks"], ["PUT", "/tasks/1"], ["POST", "/stats"], ["PUT", "/indexes/x"], ["POST", "/indexes/x"], ["PUT", "/indexes/x/settings"], ["POST", "/indexes/x/settings"], ["GET", "/indexes/x/documents/fetch"], ["GET", "/indexes/x/documents/delete-batch"], ["PUT", "/indexes/x/documents/1"], ["HEAD", "/health"], ["HEAD", "/indexes"], ["OPTIONS", "/indexes"],
      ["OPTIONS", "/indexes", undefined, { authorization: null, headers: { origin: "http://a.b", "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" } }],
      ["GET", "/indexes", undefined, { headers: { origin: "http://a.b" } }],
    ],
  },
  {
    name: "keys on every kind of route",
    steps: [null, "Bearer wrong", "Bearer ", "Bearer", "Basic abc", "bearer node-master-key-0123456789", "node-master-key-0123456789", "", "Bearer  node-master-key-0123456789"].flatMap((authorization): Step[] =>
      ([["GET", "/indexes"], ["GET", "/version"], ["GET", "/stats"], ["GET", "/tasks"], ["GET", "/tasks/x"], ["POST", "/indexes", "{"], ["POST", "/indexes/x/documents", ""], ["POST", "/indexes/x/search", "{"], ["GET", "/indexes/a%20b/search"], ["DELETE", "/indexes/x"], ["PUT", "/indexes/x/settings/stop-words", "{"], ["GET", "/health"]] as const).map(
        ([method, path, body]): Step => [method, path, body, { authorization }],
      ),
    ),
  },
  {
    name: "indexes",
    steps: [
      ...[{}, { uid: "a b" }, { uid: "" }, { uid: 1 }, { uid: null }, { uid: "x", foo: 1 }, { uids: "x" }, { uid: "x", primarykey: "a" }, { uid: "x", primaryKey: 1 }, { primaryKey: "a" }, [1], "x", 1, null, { uid: "a".repeat(401) }, { uid: "é" }, { uid: "x", createdAt: "x" }].map((body): Step => ["POST", "/indexes", JSON.stringify(body), JSON_TYPE]),
      ...['{"uid":', '{"uid":"x"', '{"uid":"x"} y', '{"uid" "x"}', "{'uid':1}", '{"uid":"x",}', "", '{"uid":"a","uid":"a b"}'].map((body): Step => ["POST", "/indexes", body, JSON_TYPE]),
      ["POST", "/indexes", "{}", { contentType: "text/plain" }], ["POST", "/indexes", "{}", { contentType: null }], ["POST", "/indexes"], ["POST", "/indexes?foo=1", { uid: "one", primaryKey: "id" }],
      ["POST", "/indexes", { uid: "one" }], ["POST", "/indexes", { uid: "two", primaryKey: null }], ["POST", "/indexes", { uid: "Two" }],
      ["GET", "/indexes"], ["GET", "/indexes?limit=1&offset=1"], ["GET", "/indexes?limit=0"], ["GET", "/indexes?limit=x"], ["GET", "/indexes?offset=-1"], ["GET", "/indexes?foo=1"], ["GET", "/indexes?limits=1"], ["GET", "/indexes?offset=9"], ["GET", "/indexes/one"], ["GET", "/indexes/one?foo=1"], ["GET", "/indexes/ONE"],
      ["GET", "/indexes/one/stats"], ["GET", "/indexes/one/stats?foo=1"], ["GET", "/indexes/one/stats?sizeFormat=x"],
      ...[{ foo: 1 }, { primaryKey: 1 }, { uid: 1 }, { uid: "a b" }, { createdAt: "x" }, { updatedAt: "x" }, { primarykey: "x" }, [], "x", null].map((body): Step => ["PATCH", "/indexes/one", JSON.stringify(body), JSON_TYPE]),
      ["PATCH", "/indexes/one", "", JSON_TYPE], ["PATCH", "/indexes/one", "{", JSON_TYPE], ["PATCH", "/indexes/a%20b", {}],
      ["PATCH", "/indexes/two", { primaryKey: "key" }], ["PATCH", "/indexes/two", {}], ["PATCH", "/indexes/nope", { primaryKey: "key" }],
      ["GET", "/indexes"], ["DELETE", "/indexes/two"], ["DELETE", "/indexes/two"], ["DELETE", "/indexes/a%20b"], ["GET", "/indexes/three"], ["POST", "/indexes", { uid: "three" }], ["GET", "/indexes/three"], ["DELETE", "/indexes/three"], ["GET", "/stats"],
    ],
  },
  {
    name: "tasks",
    steps: [
      ["POST", "/indexes/t/documents?customMetadata=meta", [{ id: 1, c: "a" }, { id: 2, c: "b" }]],
      ["PUT", "/indexes/t/documents", [{ id: 1, d: 1 }]],
      ["POST", "/indexes/t/documents", [{ x: 1 }]],
      ["PATCH", "/indexes/t/settings", { filterableAttributes: ["c"] }],
      ["PUT", "/indexes/t/settings/stop-words", ["b", "a"]],
      ["DELETE", "/indexes/t/documents/1"],
      ["POST", "/indexes/t/documents/delete-batch", ["2", 3]],
      ["POST", "/indexes/t/documents/delete", { filter: ["c = b", ["c = a"]] }],
      ["POST", "/indexes/t/documents/delete", { filter: "zz = b" }],
      ["DELETE", "/indexes/t/documents"],
      ["DELETE", "/indexes/t/settings"],
      ["PATCH", "/indexes/t", { primaryKey: "id" }],
      ["DELETE", "/indexes/t"],
      ...["", "limit=3", "limit=0", "limit=2&from=5", "from=0", "from=99999", "reverse=true&limit=2", "reverse=true&limit=2&from=3", "statuses=failed&limit=2", "statuses=succeeded,failed&limit=1", "types=indexCreation", "types=documentAdditionOrUpdate,settingsUpdate&limit=2", "indexUids=t&limit=2", "indexUids=nope", "indexUids=t,one&limit=4", "uids=1,2,3", "uids=1,2,3&limit=0", "uids=99999", "canceledBy=1", "afterEnqueuedAt=2100-01-01", "beforeEnqueuedAt=2000-01-01T00:00:00Z", "afterEnqueuedAt=2000-01-01&limit=1", "beforeStartedAt=2100-01-01&limit=1", "afterFinishedAt=*&limit=1", "uids=*&limit=1", "statuses=*&types=*&indexUids=*&limit=1", "statuses=Failed&limit=1", "types=INDEXCREATION&limit=1"].map((query): Step => ["GET", `/tasks?${query}`]),
      ...["statuses=foo", "statuses=", "types=foo", "types=indexcreations", "uids=a", "uids=", "uids=1,a,b", "uids=-1", "limit=a", "limit=-1", "limit=", "foo=1", "status=failed", "type=x", "indexUid=x", "reverse=x", "reverse=TRUE", "afterEnqueuedAt=x", "afterEnqueuedAt=", "afterEnqueuedAt=2020-13-01", "beforeEnqueuedAt=2020-01-01T00:00:00", "beforeStartedAt=1", "afterStartedAt=yesterday", "afterFinishedAt=x", "beforeFinishedAt=x", "indexUids=a%20b", "indexUids=", "canceledBy=x", "from=x", "from=-1", "batchUids=x", "uids=4294967296", "uids=99999999999999999999"].map((query): Step => ["GET", `/tasks?${query}`]),
      ["GET", "/tasks/0"], ["GET", "/tasks/3"], ["GET", "/tasks/99999"], ["GET", "/tasks/abc"], ["GET", "/tasks/-1"], ["GET", "/tasks/1.5"], ["GET", "/tasks/4294967296"], ["GET", "/tasks/1?foo=1"],
    ],
  },
  {
    name: "statistics",
    steps: [
      ["POST", "/indexes/st/documents", [{ id: 1, a: 1, _geo: { lat: 1, lng: 2 } }, { id: 2, b: { c: 1 }, n: null }]],
      ["GET", "/stats"], ["GET", "/indexes/st/stats"], ["GET", "/stats?foo=1"], ["GET", "/stats?sizeFormat=human"], ["GET", "/stats?showInternalDatabaseSizes=x"], ["GET", "/indexes/st"],
      ["GET", "/version?foo=1"], ["GET", "/health?foo=1"],
    ],
  },
];
