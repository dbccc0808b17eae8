import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { PAYLOAD_LIMIT, type Script, type Step, type StepOptions } from "./side-by-side.js";

const as = (contentType: string | null): StepOptions => ({ contentType });
const JSON_TYPE = "application/json";
const NDJSON = "application/x-ndjson";
const CSV = "text/csv";

/** Adds each body to an index of its own, so that no task meets another. */
function each(prefix: string, bodies: readonly string[], options: StepOptions = as(JSON_TYPE), query = ""): Step[] {
  return bodies.flatMap((body, at): Step[] => [
    ["POST", `/indexes/${prefix}-${at}/documents${query}`, body, { ...options, pipelined: true }],
  ]);
}

const malformed = [
  "{", "[", '"x"', "1", "null", "true", "[1]", "[null]", '[{"id":2},3]', "[{", '{"id":', '{"id":1 2}', "nope", "[{}", "{}{}",
  '[{"id":1},]', '[{"id":1},', '{"id":1,}', '{"id" 1}', '{id:1}', "{'id':1}", '{"id":01}', '{"id":1.}', '{"id":.5}', '{"id":+1}',
  '{"id":"a\\q"}', '{"id":"a\nb"}', '{"id":"\\ud800"}', '{"id":"\\u12"}', '{"id":tru}', '[{"id":1}] x', '[{"id":1}][{"id":2}]',
  '{"id":1e999}', '{"id":"a', "  ", "\n", "[[{\"id\":1}]]", `{"id":1,"a":"${"x".repeat(200)}",}`, "\ufeff[]", '{"id":1,"id":2}',
];

const ids: readonly string[] = [
  '""', '" "', '"a b"', '"é"', '"a.b"', '"a/b"', '"a_b-C9"', "1.5", "1.0", "1e3", "-1", "-0", "0", "null", "true", "[]", "[1]", "{}", '{"a":1}',
  "18446744073709551615", "18446744073709551616", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
  "12345678901234567890123", '"12345678901234567890123"', '"007"', `"${"a".repeat(511)}"`, `"${"a".repeat(512)}"`, `"${"é".repeat(300)}"`, '"a\\u0062"', '"*"',
];

/** Everything that adds, reads and deletes documents. */
export const documentScripts: readonly Script[] = [
  {
    name: "malformed bodies",
    steps: [JSON_TYPE, NDJSON].flatMap((type) =>
      malformed.map((body): Step => ["POST", `/indexes/malformed-${type === NDJSON ? "nd" : "js"}/documents`, body, { ...as(type), pipelined: true }]),
    ),
  },
  {
    name: "content types and empty bodies",
    steps: [
      ...[JSON_TYPE, NDJSON, CSV, "text/plain", "application/xml", "", "json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json", "text/csv;header=present", "application/x-ndjson; a=b", "multipart/form-data; boundary=x", null].flatMap(
        (type, at): Step[] => [
          ["POST", `/indexes/types-${at}/documents`, "", as(type)],
          ["PUT", `/indexes/types-${at}/documents`, "", as(type)],
          ["POST", `/indexes/types-${at}/documents`, "[]", { ...as(type), pipelined: true }],
          ["POST", `/indexes/types-${at}/documents/delete-batch`, "[]", { ...as(type), pipelined: true }],
          ["POST", `/indexes/types-${at}/documents/delete`, "{}", { ...as(type), pipelined: true }],
          ["POST", `/indexes/types-${at}/documents/fetch`, "", as(type)],
          ["POST", `/indexes/types-${at}/documents/fetch`, "{}", as(type)],
          ["POST", `/indexes/types-${at}/search`, "", as(type)],
        ],
      ),
      ["POST", "/indexes/types-x/documents"],
      ["PUT", "/indexes/types-x/documents"],
    ],
  },
  {
    name: "query parameters of additions",
    steps: [
      "foo=1", "primarykey=id", "primaryKeys=id", "primaryKey=", "csvDelimiter=;", "csvDelimiter=ab", "csvDelimiter=", "csvDelimiter=%C3%A9", "skipCreation=x", "skipCreation=", "skipCreation=TRUE",
      "skipcreation=true", "customMetadata=", "custommetadata=x", "primaryKey=id&primaryKey=x", "primaryKey=a%20b",
    ].flatMap((query, at): Step[] => [
      ["POST", `/indexes/query-${at}/documents?${query}`, '[{"id":1,"x":2}]', { ...as(JSON_TYPE), pipelined: true }],
    ]),
  },
  {
    name: "uids of indexes in paths",
    steps: ["a%20b", "a.b", "%C3%A9", "*", "a%2Fb", "a".repeat(400), "a".repeat(401), "a".repeat(512), "a".repeat(513), "-", "_"].flatMap((uid): Step[] => [
      ["POST", `/indexes/${uid}/documents`, "{", as(JSON_TYPE)],
      ["PUT", `/indexes/${uid}/documents`, "", as(JSON_TYPE)],
      ["GET", `/indexes/${uid}/documents`],
      ["GET", `/indexes/${uid}/documents/1`],
      ["GET", `/indexes/${uid}/search`],
      ["GET", `/indexes/${uid}/stats`],
      ["GET", `/indexes/${uid}`],
      ["GET", `/indexes/${uid}/settings`],
      ["GET", `/indexes/${uid}/settings/stop-words`],
      ["POST", `/indexes/${uid}/documents/fetch`, {}],
      ["POST", `/indexes/${uid}/documents/delete`, {}],
      ["POST", `/indexes/${uid}/search`, { q: 1 }],
      ["PATCH", `/indexes/${uid}`, { foo: 1 }],
      ["PATCH", `/indexes/${uid}/settings`, { foo: 1 }],
      ["PUT", `/indexes/${uid}/settings/stop-words`, { foo: 1 }],
    ]),
  },
  {
    name: "an index that does not exist, on every route",
    steps: [
      ["GET", "/indexes/nope"], ["GET", "/indexes/nope/stats"], ["GET", "/indexes/nope/documents"], ["GET", "/indexes/nope/documents/1"], ["GET", "/indexes/nope/search"],
      ["GET", "/indexes/nope/settings"], ["GET", "/indexes/nope/settings/ranking-rules"], ["POST", "/indexes/nope/search", {}], ["POST", "/indexes/nope/documents/fetch", {}],
      ["DELETE", "/indexes/nope"], ["DELETE", "/indexes/nope/documents"], ["DELETE", "/indexes/nope/documents/1"], ["POST", "/indexes/nope/documents/delete-batch", [1]],
      ["POST", "/indexes/nope/documents/delete", { filter: "a = 1" }], ["PATCH", "/indexes/nope", { primaryKey: "id" }], ["PATCH", "/indexes/nope", {}],
      ["DELETE", "/indexes/nope/settings"], ["DELETE", "/indexes/nope/settings/stop-words"], ["PUT", "/indexes/nope/documents?skipCreation=true", [{ id: 1 }]],
      ["GET", "/indexes/nope"], ["DELETE", "/indexes/nope"],
      ["PUT", "/indexes/nope-2/settings/stop-words", ["a"]], ["GET", "/indexes/nope-2"], ["PATCH", "/indexes/nope-3/settings", {}], ["GET", "/indexes/nope-3"],
      ["POST", "/indexes/nope-4/documents", []], ["GET", "/indexes/nope-4"], ["POST", "/indexes/nope-5/documents?primaryKey=id", []], ["GET", "/indexes/nope-5"],
    ],
  },
  {
    name: "document ids",
    steps: [
      ["POST", "/indexes/ids/documents?primaryKey=id", [{ id: 1, first: true }]],
      ...ids.map((id): Step => ["POST", "/indexes/ids/documents", `[{"id":${id}}]`, { ...as(JSON_TYPE), pipelined: true }]),
      ["POST", "/indexes/ids/documents", [{ id: 5 }, { x: 1 }, { id: 6 }]],
      ["POST", "/indexes/ids/documents", [{ id: 5 }, { id: "a b" }, { x: 6 }]],
      ["GET", "/indexes/ids/documents?limit=100"],
      ...["1", "007", "a%20b", "*", "1.0", "-0", "0", "-1", "é", "%C3%A9", "a.b", "a".repeat(511), "a".repeat(512), "a%2Fb", "1?fields=id", "1?fields=nope", "1?foo=1", "1?retrieveVectors=true", "1?retrieveVectors=x", "1?fields=*"].map(
        (id): Step => ["GET", `/indexes/ids/documents/${id}`],
      ),
      ...["nope", "a%20b", "*", "1.0", "%C3%A9"].map((id): Step => ["DELETE", `/indexes/ids/documents/${id}`, undefined, { pipelined: true }]),
      ["GET", "/indexes/ids/stats"],
    ],
  },
  {
    name: "primary keys",
    steps: [
      ...each("pk", [
        '[{"a":1}]', '[{"id":1}]', '[{"ID":1}]', '[{"Id":1}]', '[{"bookId":1}]', '[{"book_id":1,"title":"x"}]', '[{"bookid":1}]', '[{"kid":1,"x":2}]', '[{"id":1,"otherId":2}]', '[{"aid":1,"bid":2}]', '[{"id":1,"Id":2}]',
        '[{"a.id":1}]', '[{"a":{"id":1}}]', '[{"title":"x"},{"id":1}]', '[{"id":1},{"title":"x"}]', '[{"id_":1}]', '[{"x":1,"uuid":"a"},{"x":2,"other_id":3}]', "[{}]", "[{},{\"id\":1}]", '[{"id":null}]', '[{"id":"a b"}]',
      ]),
      ...Array.from({ length: 21 }, (_, at): Step => ["GET", `/indexes/pk-${at}`]),
      ...each("pkgiven", ['[{"id":1,"k":2}]', '[{"id":1}]', "[]", "{}", '[{"k":{"a":1}}]'], as(JSON_TYPE), "?primaryKey=k"),
      ...Array.from({ length: 5 }, (_, at): Step => ["GET", `/indexes/pkgiven-${at}`]),
      ["POST", "/indexes/pk-1/documents?primaryKey=other", [{ id: 1, other: 3 }]],
      ["POST", "/indexes/pk-1/documents?primaryKey=id", [{ id: 1, other: 3 }]],
      ["POST", "/indexes/pk-1/documents?primaryKey=other", []],
      ["POST", "/indexes/pk-0/documents?primaryKey=a", [{ a: 7 }]],
      ["GET", "/indexes/pk-0"],
      ["POST", "/indexes/pknested/documents?primaryKey=a.b", [{ a: { b: 1 } }, { "a.b": 2 }, { a: { b: "x" }, c: 1 }]],
      ["GET", "/indexes/pknested/documents"],
      ["PATCH", "/indexes/pk-1", { primaryKey: "other" }],
      ["PATCH", "/indexes/pk-1", { primaryKey: "id" }],
      ["POST", "/indexes", { uid: "pkset", primaryKey: "k" }],
      ["POST", "/indexes/pkset/documents", [{ id: 1 }]],
      ["POST", "/indexes/pkset/documents?primaryKey=id", [{ id: 1 }]],
      ["PATCH", "/indexes/pkset", { primaryKey: "id" }],
      ["POST", "/indexes/pkset/documents", [{ id: 1 }]],
      ["GET", "/indexes/pkset"],
    ],
  },
  {
    name: "CSV",
    steps: [
      ...each("csv", [
        "id:number,name,ok:boolean\n8,\"x, y\",true\n9,,false\n", "id,a\n1,2,3\n", "id,a\n1\n", "id:number\nx\n", "id,ok:boolean\n1,yes\n", "id,ok:boolean\n1,\n", "id,n:number\n1,\n", "id,n:number\n1,1.50\n2,1e3\n3,-0\n4,12345678901234567890\n",
        "id,a:string\n1,2\n", "id,a:foo\n1,2\n", "id,a:b:number\n1,2\n", "id\n", "id", "\n", "id,a\n1,\"x\ny\"\n", "id,a\n1,\"x\"\"y\"\n", "id,a\n1,\"x\n", "id,id\n1,2\n", "id, a\n1, 2\n", "id,a\r\n1,2\r\n", "id,a\n\n1,2\n", ",a\n1,2\n", "\ufeffid,a\n1,2\n", "id;a\n1;2\n", "id,name.first\n1,x\n",
        "id,_miroir_x\n1,2\n",
      ].slice(0, -1), as(CSV)),
      ...Array.from({ length: 25 }, (_, at): Step => ["GET", `/indexes/csv-${at}/documents`]),
      ...each("csvsemi", ["id:number;name\n10;z,y\n11;\"a;b\"\n", "id,name\n1,2\n"], as(CSV), "?csvDelimiter=%3B"),
      ...each("csvtab", ["id:number\tname\n10\tz\n"], as(CSV), "?csvDelimiter=%09"),
      ["GET", "/indexes/csvsemi-0/documents"],
      ["GET", "/indexes/csvsemi-1/documents"],
      ["GET", "/indexes/csvtab-0/documents"],
    ],
  },
  {
    name: "documents byte for byte",
    steps: [
      ["POST", "/indexes/bytes/documents",
        '[{"z":1,"id":1,"a":1.10,"b":1e5,"c":1.0,"d":12345678901234567890,"e":9007199254740993,"f":-0,"g":{"y":[1,2.50],"x":null},"h":1E400000,"i":"\\u00e9\\/\\n\\u0001 é😀","":{"":[]},"j":0.1000000000000000055511151231257827021181583404541015625}]'.replace('"h":1E400000,', ""),
        as(JSON_TYPE)],
      ["POST", "/indexes/bytes/documents", '{"id":2,"x":1,"x":2}\n\n {"id" : 3 , "y" : [ 1 , { } ] }\n{"id":4}{"id":5}', as(NDJSON)],
      ["PUT", "/indexes/bytes/documents", '[{"id":1,"g":{"new":1},"k":1.50},{"id":9,"a":1}]', as(JSON_TYPE)],
      ["PUT", "/indexes/bytes/documents?skipCreation=true", '[{"id":1,"s":true},{"id":77,"a":1}]', as(JSON_TYPE)],
      ["POST", "/indexes/bytes/documents?skipCreation=true", '[{"id":2,"s":true},{"id":78,"a":1}]', as(JSON_TYPE)],
      ["POST", "/indexes/bytes/documents?customMetadata=abc.1%20%C3%A9", [{ id: 2, r: 1 }, { id: 2, r: 2 }]],
      ["PUT", "/indexes/bytes/documents?customMetadata=", [{ id: 2, q: 1 }]],
      ["GET", "/indexes/bytes/documents"],
      ["GET", "/indexes/bytes/documents/1"],
      ["GET", "/indexes/bytes/documents/1?fields=g.y,d,%20"],
      ["GET", "/indexes/bytes/documents?fields=id,g.new"],
      ["GET", "/indexes/bytes/documents?fields="],
      ["GET", "/indexes/bytes/documents?fields=*"],
      ["POST", "/indexes/bytes/search", { q: "" }],
      ["POST", "/indexes/bytes/documents", { id: "keep", _miroir_expires_at: 5 }],
      ["GET", "/indexes/bytes/documents/keep"],
      ["DELETE", "/indexes/bytes/documents/9?customMetadata=one"],
      ["POST", "/indexes/bytes/documents/delete-batch?customMetadata=batch", [4]],
      ["DELETE", "/indexes/bytes/documents?customMetadata=all"],
      ["GET", "/indexes/bytes/documents"],
    ],
  },
  {
    name: "listing and fetching documents",
    steps: [
      ["PATCH", "/indexes/list/settings", { filterableAttributes: ["n", "_geo"], sortableAttributes: ["n", "_geo"] }, { pipelined: true }],
      ["POST", "/indexes/list/documents", Array.from({ length: 30 }, (_, id) => ({ id, n: (id * 7) % 11, _geo: { lat: id, lng: -id } }))],
      ...["", "?limit=3&offset=4", "?limit=0", "?offset=100", "?limit=x", "?limit=-1", "?limit=", "?offset=1.5", "?foo=x", "?limits=1", "?ids=2,1,77", "?ids=", "?ids=a%20b", "?ids=1&fields=id", "?filter=n%20%3D%203", "?filter=n%20%3D", "?filter=z%20%3D%201", "?filter=", "?sort=n:asc,id:desc",
        "?sort=n:asc", "?sort=n", "?sort=z:asc", "?sort=", "?sort=_geoPoint(1,2):asc", "?sort=_geoPoint(1):asc", "?sort=n:desc&limit=4&offset=3", "?retrieveVectors=true", "?retrieveVectors=1", "?fields=n&limit=2"].map((query): Step => ["GET", `/indexes/list/documents${query}`]),
      ...[
        {}, { limit: 2, offset: 1 }, { limit: "2" }, { limit: -1 }, { limit: 1.5 }, { limit: null }, { offset: null }, { limit: 18446744073709551615 }, { ids: [2, "1"] }, { ids: [] }, { ids: "a" }, { ids: [1.5] }, { ids: [null] }, { ids: ["a b"] }, { ids: null },
        { fields: ["id"] }, { fields: [] }, { fields: "id" }, { fields: [1] }, { fields: null }, { fields: ["*"] }, { filter: "n = 1" }, { filter: ["n = 1", ["id = 1"]] }, { filter: ["n = 1", ["n > 5", "n < 3"]] }, { filter: 1 }, { filter: [1] }, { filter: [[1]] }, { filter: {} }, { filter: "" }, { filter: [] }, { filter: null }, { filter: "n =" },
        { filter: "_geoRadius(3, -3, 300000)" }, { sort: ["n:desc", "n:asc"] }, { sort: ["n:desc"] }, { sort: "n:desc" }, { sort: ["n"] }, { sort: ["z:asc"] }, { sort: [] }, { sort: null }, { sort: [1] }, { sort: ["_geoPoint(1, -2):asc"], limit: 3 }, { foo: 1 }, { limits: 1 }, { feilds: [] }, { retrieveVectors: "x" }, { retrieveVectors: true, limit: 1 }, [], "x", 1, null, true,
      ].map((body): Step => ["POST", "/indexes/list/documents/fetch", JSON.stringify(body), as(JSON_TYPE)]),
      ["POST", "/indexes/list/documents/fetch", "{", as(JSON_TYPE)],
      ["POST", "/indexes/list/documents/fetch?foo=1", "{}", as(JSON_TYPE)],
    ],
  },
  {
    name: "deleting documents",
    steps: [
      ["POST", "/indexes/del/documents", [{ id: 1, c: "a" }, { id: 2, c: "b" }, { id: "x", c: "a" }]],
      ...["{", "{}", "null", "1", '"x"', "", '{"filter":1}', '{"filter":null}', '{"filter":[]}', '{"filter":""}', '{"filter":" "}', '{"filter":[[1]]}', '{"filter":["c = a",["d",["e"]]]}', '{"filter":{}}', '{"filter":"c = a","foo":1}', '{"filters":"c = a"}', '{"filter":"c ="}', '{"filter":"c"}', '{"filter":"c = a AND"}', '{"filter":"_geoRadius(1)"}', '{"filter":"c = a"}', '{"filter":true}', '{"filter":["c = a"]}', '{"filter":[["c = a"]]}', "[]"].map(
        (body): Step => ["POST", "/indexes/del/documents/delete", body, as(JSON_TYPE)],
      ),
      ["PATCH", "/indexes/del/settings", { filterableAttributes: ["c"] }],
      ["POST", "/indexes/del/documents/delete", { filter: "z = 1" }],
      ["POST", "/indexes/del/documents/delete", { filter: "c = a AND z = 1" }],
      ["POST", "/indexes/del/documents/delete", { filter: "id = 2" }],
      ["POST", "/indexes/del/documents/delete", { filter: ["c = zzz"] }],
      ["POST", "/indexes/del/documents/delete", { filter: "c = a" }],
      ["POST", "/indexes/del/documents/delete?foo=1", { filter: "c = a" }],
      ...["{", "{}", "null", "1", '"x"', "", "1.5", "-1", "true", "[", "[1", '["a",null]', "[null]", "[[1]]", "[{}]", "[true]", "[1.5]", '["a b"]', "[]", '[1,"x",99]', "[1] x"].map(
        (body): Step => ["POST", "/indexes/del/documents/delete-batch", body, as(JSON_TYPE)],
      ),
      ["GET", "/indexes/del/documents"],
      ["DELETE", "/indexes/del/documents/2"],
      ["DELETE", "/indexes/del/documents/2"],
      ["DELETE", "/indexes/del/documents?foo=1"],
      ["DELETE", "/indexes/del/documents/2?foo=1"],
      ["DELETE", "/indexes/del/documents"],
    ],
  },
  {
    name: "_geo and _vectors in documents",
    steps: [
      ["PATCH", "/indexes/geo/settings", { filterableAttributes: ["_geo"], embedders: { e: { source: "userProvided", dimensions: 2 } } }],
      ...['{"lat":1,"lng":2}', '{"lat":"1","lng":"2.5"}', '{"lat":1}', '{"lng":1}', "{}", '{"lat":"x","lng":1}', '{"lat":1,"lng":null}', '{"lat":91,"lng":1}', '{"lat":1,"lng":181}', "null", "1", '"x"', "[1,2]", '{"lat":1,"lng":2,"alt":3}', '{"lat":[1],"lng":{}}'].map(
        (geo): Step => ["POST", "/indexes/geo/documents", `[{"id":1,"_vectors":{"e":[1,2]}},{"id":2,"_geo":${geo},"_vectors":{"e":null}}]`, as(JSON_TYPE)],
      ),
      ...["1", "null", '"x"', "[1]", "{}", '{"e":[1]}', '{"e":[1,2,3]}', '{"e":["x",1]}', '{"e":[[1,2],[3]]}', '{"e":[[1,2],[3,4]]}', '{"e":{"embeddings":[1,2],"regenerate":false}}', '{"e":{"embeddings":[1,2]}}', '{"e":{"regenerate":true}}', '{"e":{"foo":1}}', '{"e":1}', '{"other":[1,2,3]}', '{"e":null}', '{"e":[]}'].map(
        (vectors): Step => ["POST", "/indexes/geo/documents", `[{"id":3,"_vectors":${vectors}}]`, as(JSON_TYPE)],
      ),
      ["POST", "/indexes/geo/documents", '[{"id":4}]', as(JSON_TYPE)],
      ["GET", "/indexes/geo/documents?retrieveVectors=true"],
      ["GET", "/indexes/geo/documents/3?retrieveVectors=true"],
      ["GET", "/indexes/geo/documents/3"],
    ],
  },
  {
    name: "content encodings and sizes",
    steps: [
      ...(
        [
          ["gzip", gzipSync('[{"id":1}]')], ["deflate", deflateSync('[{"id":1}]')], ["br", brotliCompressSync('[{"id":1}]')], ["identity", Buffer.from('[{"id":1}]')], ["nope", Buffer.from('[{"id":1}]')], ["gzip", Buffer.from('[{"id":1}]')], ["GZIP", gzipSync('[{"id":1}]')], ["gzip", gzipSync('[{"id":1}]').subarray(0, 20)], ["br", Buffer.from("[]")], ["deflate", Buffer.from("[]")], ["gzip", Buffer.from("")], ["gzip", gzipSync("")], ["gzip", gzipSync(`[{"id":1,"a":"${"x".repeat(PAYLOAD_LIMIT)}"}]`)], ["x-gzip", gzipSync('[{"id":1}]')], ["zstd", Buffer.from('[{"id":1}]')], ["gzip, br", Buffer.from('[{"id":1}]')],
        ] as const
      ).flatMap(([encoding, body], at): Step[] => [
        ["POST", `/indexes/enc-${at}/documents`, body, { ...as(JSON_TYPE), headers: { "content-encoding": encoding } }],
        ["POST", "/indexes", body, { ...as(JSON_TYPE), headers: { "content-encoding": encoding } }],
      ]),
      ["POST", "/indexes/enc-0/search", gzipSync('{"q":"x"}'), { ...as(JSON_TYPE), headers: { "content-encoding": "gzip" } }],
      ["POST", "/indexes/large/documents", `[{"id":1,"a":"${"x".repeat(PAYLOAD_LIMIT)}"}]`, as(JSON_TYPE)],
      ["POST", "/indexes/large/documents", `{"id":1,"a":"${"x".repeat(PAYLOAD_LIMIT)}"}`, as(NDJSON)],
      ["POST", "/indexes/large/documents", `id,a\n1,${"x".repeat(PAYLOAD_LIMIT)}`, as(CSV)],
      ["POST", "/indexes/large/documents/delete-batch", `["${"x".repeat(PAYLOAD_LIMIT)}"]`, as(JSON_TYPE)],
      ["POST", "/indexes/large/documents/delete", `{"filter":"${"x".repeat(PAYLOAD_LIMIT)}"}`, as(JSON_TYPE)],
      ["POST", "/indexes", `{"uid":"${"x".repeat(PAYLOAD_LIMIT)}"}`, as(JSON_TYPE)],
      ["POST", "/indexes/enc-0/search", `{"q":"${"x".repeat(PAYLOAD_LIMIT)}"}`, as(JSON_TYPE)],
      ["PATCH", "/indexes/enc-0/settings", `{"stopWords":["${"x".repeat(PAYLOAD_LIMIT)}"]}`, as(JSON_TYPE)],
    ],
  },
];
