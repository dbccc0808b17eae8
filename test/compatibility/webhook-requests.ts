import type { Script, Step, StepOptions } from "./side-by-side.js";

const post = (body: unknown, options: StepOptions = {}): Step => ["POST", "/webhooks", body, options];
const patch = (path: string, body: unknown): Step => ["PATCH", `/webhooks/${path}`, body];
const uuid = "c2f0a1d4-6d2e-4a3b-9a55-0e1f2a3b4c5d";
const nil = "00000000-0000-0000-0000-000000000000";

const wrongUuids = [
  "abc",
  "zz",
  "%C3%A9",
  "a%20b",
  "a-b",
  "1-2-3-4",
  "1-2-3-4-5",
  "-----",
  "%7Babc%7D",
  "00000000-0000-0000-0000-00000000000",
  "000000000000-0000-0000-0000-00000000",
  "00000000-0000-0000-00000000-00000000",
  "g0000000-0000-0000-0000-000000000000",
  "0000000000000000000000000000000g",
];

const wrongUrls = [
  "",
  "nope",
  "/path",
  "//host",
  "?query",
  "://",
  "1:x",
  "http://",
  "http://user:password@",
  "http://a b",
  "http://a<b",
  "http://%zz",
  "http://xn--a",
  "http://[::1",
  "http://[1.2.3]",
  "http://host:port",
  "http://host:99999",
  "http://[::1]:99999",
  "http://1.2.3.4.5",
  "http://999.1.1.1",
  "foo://a b",
  "foo://a:99999",
];

const headers = (count: number, prefix: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${prefix}-${at}`, "value"]));

const token = (length: number): string => "a1b2c3d4".repeat(8).slice(0, length);

/** Requests to the routes of webhooks. The webhooks are deleted again, so that no list has two, whose order is random. */
export const webhookScripts: readonly Script[] = [
  { name: "uuids that are none", steps: wrongUuids.map((text) => ["GET", `/webhooks/${text}`]) },
  {
    name: "webhooks that are not there",
    steps: [
      ["GET", "/webhooks"],
      ["GET", `/webhooks/${uuid}`],
      ["GET", `/webhooks/${uuid.toUpperCase()}`],
      ["GET", `/webhooks/${uuid.replaceAll("-", "")}`],
      ["GET", `/webhooks/%7B${uuid}%7D`],
      ["GET", `/webhooks/urn:uuid:${uuid}`],
      ["GET", `/webhooks/${nil}`],
      patch(uuid, { url: "http://example.com" }),
      ["DELETE", `/webhooks/${uuid}`],
    ],
  },
  {
    name: "the reserved webhook, and what is looked at first",
    steps: [
      patch(nil, { url: "http://example.com" }),
      patch(nil, { url: 3 }),
      patch(nil, "{"),
      patch("abc", "{"),
      patch(uuid, { url: 3 }),
      ["DELETE", `/webhooks/${nil}`],
      ["DELETE", "/webhooks/abc"],
    ],
  },
  {
    name: "bodies of a wrong shape",
    steps: [
      post({}),
      post(3),
      post([]),
      post("null"),
      post("{"),
      post(""),
      post({ url: 3 }),
      post({ url: null }),
      post({ url: ["http://example.com"] }),
      post({ url: "http://example.com", headers: 3 }),
      post({ url: "http://example.com", headers: [] }),
      post({ url: "http://example.com", headers: { a: 3 } }),
      post({ url: "http://example.com", headers: { a: ["b"] } }),
      post({ uuid }),
      post({ isEditable: true }),
      post({ url: "http://example.com", heders: {} }),
      post({ something: 1 }),
      post({ url: "http://example.com" }, { contentType: "text/plain" }),
      post({ url: "http://example.com" }, { contentType: null }),
      post({ url: "http://example.com" }, { authorization: null }),
      post({ url: "http://example.com" }, { authorization: "Bearer wrong" }),
    ],
  },
  { name: "URLs that are none", steps: wrongUrls.map((url) => post({ url })) },
  {
    name: "headers that are none",
    steps: [
      post({ url: "http://example.com", headers: { "a b": "c" } }),
      post({ url: "http://example.com", headers: { "": "c" } }),
      post({ url: "http://example.com", headers: { é: "c" } }),
      post({ url: "http://example.com", headers: { a: "b\n" } }),
      post({ url: "http://example.com", headers: { z: "\u0000", "a:": "b" } }),
      post({ url: "nope", headers: { a: "\u007f" } }),
      post({ url: "", headers: { a: "\u007f" } }),
      post({ url: "http://example.com", headers: headers(201, "x") }),
      post({ headers: headers(201, "x") }),
    ],
  },
  {
    name: "a webhook's life",
    steps: [
      post({
        url: "http://example.com/tasks",
        headers: { "x-b": "1", Authorization: `Bearer ${token(25)}`, "X-A": "", "x-null": null },
      }),
      ["GET", "/webhooks"],
      ["GET", "/webhooks/{webhook:0}"],
      patch("{webhook:0}", {}),
      patch("{webhook:0}", { url: null }),
      patch("{webhook:0}", { url: "" }),
      patch("{webhook:0}", { url: "nope" }),
      patch("{webhook:0}", { headers: { "a b": "c" } }),
      patch("{webhook:0}", { uuid }),
      patch("{webhook:0}", { headers: { "x-b": null, "x-c": "2", "not-there": null } }),
      patch("{webhook:0}", { url: "https://example.com:8443/tasks?a=b" }),
      patch("{webhook:0}", { headers: { authorization: token(9), AUTHORIZATION: token(35) } }),
      patch("{webhook:0}", { headers: { Authorization: "Bearer ", authorization: token(10) } }),
      patch("{webhook:0}", { headers: { authorization: token(19), Authorization: `bearer ${token(20)}` } }),
      patch("{webhook:0}", { headers: { authorization: token(20), Authorization: `Bearer ${token(30)}` } }),
      patch("{webhook:0}", { headers: { "x-d": "é", authorization: "Bearer ééé€€€ééé" } }),
      patch("{webhook:0}", { headers: headers(196, "y") }),
      patch("{webhook:0}", { headers: headers(2, "z") }),
      patch("{webhook:0}", { headers: null }),
      ["GET", "/webhooks"],
      ["POST", "/webhooks/{webhook:0}"],
      ["PUT", "/webhooks/{webhook:0}"],
      ["DELETE", "/webhooks/{webhook:0}"],
      ["DELETE", "/webhooks/{webhook:0}"],
      ["GET", "/webhooks"],
    ],
  },
  {
    name: "twenty webhooks and no more",
    steps: [
      ...Array.from({ length: 20 }, (_, at) => post({ url: `ftp://example.com/${at}` })),
      post({ url: "http://example.com" }),
      post({}),
      post({ url: "http://example.com", headers: { a: 3 } }),
      post({ url: "http://example.com", headers: headers(201, "x") }),
      patch("{webhook:1}", { url: "http://example.com" }),
    ],
  },
];
