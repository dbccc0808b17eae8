import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { PAYLOAD_LIMIT, type Step, type StepOptions } from "../side-by-side.js";
import { nested, type WrongRequests } from "./wrong-requests.js";

const JSON_TYPE = "application/json";
const NDJSON = "application/x-ndjson";
const CSV = "text/csv";
const add = (body: string | Buffer, contentType: string | null = JSON_TYPE): Step => [
  "POST",
  "/indexes/wb/documents",
  body,
  { contentType },
];
const packed = (
  encoding: string,
  body: Buffer,
  path = "/indexes/wb/documents",
  contentType = JSON_TYPE,
): Step => ["POST", path, body, { contentType, headers: { "content-encoding": encoding } }];
const typed = (contentType: string | null): StepOptions => ({ contentType });
const bytes = (...parts: readonly (string | number)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part))));

const large = "x".repeat(PAYLOAD_LIMIT);
const documents = Buffer.from('[{"id":1,"title":"one"}]');

/** Bodies that cannot be read: their type, their encoding, their size, their text. */
export const bodies: WrongRequests = {
  category: "media types, encodings and sizes",
  quota: 20,
  prepare: [["POST", "/indexes", { uid: "wb", primaryKey: "id" }]],
  requests: [
    // Types.
    add("[]", " "),
    add("[]", "application/"),
    add("[]", "text/csv-schema"),
    add("[]", "application/jsonlines"),
    add("[]", "application/ndjson"),
    add("[]", "*/*"),
    add("[]", "application/json, text/csv"),
    add("[]", "application/octet-stream"),
    ["PUT", "/indexes/wb/documents", "[]", typed("application/x-www-form-urlencoded")],
    ["POST", "/indexes/wb/documents?csvDelimiter=,", "[]", typed(JSON_TYPE)],
    ["POST", "/indexes/wb/documents?csvDelimiter=,", "{}", typed(NDJSON)],
    ["POST", "/indexes/wb/documents?csvDelimiter=%00%00", "id\n1", typed(CSV)],
    ["POST", "/indexes/wb/documents?csvDelimiter=%F0%9F%98%80", "id\n1", typed(CSV)],
    ["POST", "/indexes/wb/search", "{}", typed("application/json2")],
    ["POST", "/indexes/wb/search", "q=x", typed("application/x-www-form-urlencoded")],
    ["POST", "/indexes/wb/search", "", typed(JSON_TYPE)],
    ["POST", "/indexes/wb/search", " ", typed(JSON_TYPE)],
    ["POST", "/multi-search", "{}", typed(null)],
    ["POST", "/multi-search", "", typed(JSON_TYPE)],
    ["PATCH", "/indexes/wb/settings", "{}", typed("text/plain;charset=utf-8")],
    ["PUT", "/indexes/wb/settings/stop-words", "[]", typed(null)],
    ["POST", "/keys", "{}", typed("text/json")],
    ["PATCH", "/keys/x", "{}", typed(null)],
    ["POST", "/swap-indexes", "[]", typed("json")],
    ["POST", "/indexes/wb/documents/fetch", "{}", typed("application/jsonp")],
    ["POST", "/indexes/wb/facet-search", "{}", typed("text/plain")],
    ["POST", "/indexes/wb/similar", "{}", typed(null)],
    ["POST", "/indexes/wb/fields", "{}", typed("text/html")],
    ["POST", "/indexes/wb/documents/delete", '{"filter":"a"}', typed("text/plain")],
    ["POST", "/indexes/wb/documents/delete-batch", "[1]", typed("text/csv")],
    // Encodings.
    packed("gzip", gzipSync(documents).subarray(0, -4)),
    packed("gzip", gzipSync(documents).subarray(0, 12)),
    packed("gzip", Buffer.concat([gzipSync(documents), Buffer.from("trailing")])),
    packed("gzip", deflateSync(documents)),
    packed("deflate", deflateRawSync(documents)),
    packed("deflate", gzipSync(documents)),
    packed("br", gzipSync(documents)),
    packed("zstd", gzipSync(documents)),
    packed("", gzipSync(documents)),
    packed("identity", gzipSync(documents)),
    packed("gzip,gzip", gzipSync(gzipSync(documents))),
    packed("gzip", gzipSync('{"q":1}'), "/indexes/wb/search"),
    packed("gzip", Buffer.from('{"q":"x"}'), "/indexes/wb/search"),
    packed("br", Buffer.from('{"q":"x"}'), "/indexes/wb/search"),
    packed("br", brotliCompressSync('{"q":[]}'), "/multi-search"),
    packed("gzip", gzipSync("nope"), "/multi-search"),
    packed("deflate", Buffer.from("nope"), "/swap-indexes"),
    ...["gzip", "deflate", "br"].flatMap((encoding) => [
      packed(encoding, Buffer.alloc(0)),
      packed(encoding, Buffer.alloc(0), "/indexes/wb/search"),
    ]),
    // Sizes, as sent and as unpacked.
    add(`[{"id":1,"a":"${"é".repeat(PAYLOAD_LIMIT / 2)}"}]`),
    add(`id,a\n1,"${large}"\n`, CSV),
    add(`{"id":1}\n{"id":2,"a":"${large}"}`, NDJSON),
    packed("br", brotliCompressSync(`[{"id":1,"a":"${large}"}]`)),
    packed("deflate", deflateSync(`{"q":"${large}"}`), "/indexes/wb/search"),
    ["POST", "/multi-search", `{"queries":[{"indexUid":"wb","q":"${large}"}]}`, typed(JSON_TYPE)],
    ["POST", "/keys", `{"name":"${large}"}`, typed(JSON_TYPE)],
    ["PUT", "/indexes/wb/settings/stop-words", `["${large}"]`, typed(JSON_TYPE)],
    ["POST", "/swap-indexes", `[{"indexes":["${large}","b"]}]`, typed(JSON_TYPE)],
    ["POST", "/indexes/wb/search", large, typed("text/plain")],
    ["GET", `/indexes/wb/documents/${"9".repeat(600)}`],
    // Texts.
    add(bytes('[{"id":1,"a":"', 0xff, '"}]')),
    add(bytes('[{"id":1,"a":"', 0xc3, '"}]')),
    add(bytes('[{"id":1,"a":"', 0xed, 0xa0, 0x80, '"}]')),
    add(bytes('{"id":1,"a":"', 0xff, '"}'), NDJSON),
    add(bytes("id,a\n1,", 0xff, "\n"), CSV),
    add(bytes(0xff, 0xfe, "[\0]\0")),
    add("\ufeff{}"),
    add("\ufeff[{}]", NDJSON),
    add('[{"id":1},{"id":2}'),
    add('[{"id":1,"a":"\t"}]'),
    add('[{"id":1 "a":2}]'),
    add('[{"id":0x1}]'),
    add('[{"id":NaN}]'),
    add('[{"id":-}]'),
    add('[{"id":1e}]'),
    add('[{"id":1,"a":"\\x"}]'),
    add('[{"id":1}/* no */]'),
    add(nested(100)),
    add(`{"id":1,"a":${nested(300)}}`),
    add('{"id":1}\n{"id":2}\nnope\n', NDJSON),
    add('{"id":1}\n\n[{"id":2}]\n', NDJSON),
    add('{"id":1},{"id":2}', NDJSON),
    add("id:number\n1\ntwo\n", CSV),
    add("id:int\n1\n", CSV),
    add('id,a\n1,2\n3,4,"', CSV),
    ["POST", "/indexes/wb/search", bytes('{"q":"', 0xff, '"}')],
    ["POST", "/indexes/wb/search", bytes(0xef, 0xbb, 0xbf, '{"q":"x"}')],
    ["POST", "/indexes/wb/search", '{"q":"x"}}'],
    ["POST", "/indexes/wb/search", '{"q":"\\ud800x"}'],
    ["POST", "/indexes/wb/search", "{q:1}"],
    ["POST", "/indexes/wb/search", '{"q":"x",}'],
    ["POST", "/indexes/wb/search", "\n\n{\n"],
    ["POST", "/indexes/wb/documents/delete-batch", '["a","b"'],
    ["POST", "/indexes/wb/documents/delete", "\ufeff{}"],
    ["PUT", "/indexes/wb/settings/stop-words", '["a" "b"]'],
    ["PATCH", "/indexes/wb/settings", bytes('{"stopWords":["', 0xc0, 0x80, '"]}')],
  ],
};
