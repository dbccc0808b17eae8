import type { Script, Step } from "./side-by-side.js";

const ACCEPTED: readonly string[] = [
  "",
  ",",
  "gzip",
  "GZIP",
  "x-gzip",
  "br",
  "deflate",
  "zstd",
  "compress",
  "identity",
  "*",
  "gzip, deflate, br, zstd",
  "deflate, gzip",
  "zstd, gzip;q=0.1",
  "gzip;q=0.9, br;q=0.5",
  "identity, gzip",
  "gzip;q=0.5, identity",
  "*, gzip;q=0",
  "gzip;q=0",
  "gzip;q=0.001",
  "gzip;q=0.0001",
  "gzip;q=2",
  "gzip;q=nan",
  "gzip;q=0x1",
  "gzip;q= 1",
  "gzip ; Q=.5",
  "gzip;q=1e-1",
  "gzip;",
  "gzip;q=1;x=1",
  "br;q=0.5, deflate;q=0.5005",
  "constructor, __proto__",
  "*, identity;q=0",
  "identity;q=0, gzip",
  "identity;q=0",
  "*;q=0",
  "zstd, *;q=0",
];

/** Every kind of answer: hits, none, small and large ones, errors, and those without a body. */
const ASKED: readonly Step[] = [
  ["GET", "/health"],
  ["POST", "/indexes/ce/search", { q: "word" }],
  ["GET", "/indexes/ce/documents?limit=100"],
  ["GET", "/indexes/none"],
  ["GET", "/indexes", undefined, { authorization: null }],
  ["GET", "/nope"],
  ["PUT", "/health"],
  ["HEAD", "/health"],
  [
    "OPTIONS",
    "/health",
    undefined,
    { headers: { origin: "http://page.example", "access-control-request-method": "GET" } },
  ],
  ["GET", "/health", undefined, { headers: { origin: "http://page.example" } }],
];

/** Requests of clients that take compressed answers. */
export const contentEncodingScript: Script = {
  name: "compressed answers",
  steps: [
    [
      "POST",
      "/indexes/ce/documents",
      Array.from({ length: 100 }, (_, id) => ({ id, text: `word ${id} `.repeat(20) })),
    ],
    ...ACCEPTED.flatMap((accepted) => ASKED.map((step) => accepting(accepted, step))),
    // Refused requests do nothing.
    accepting("*;q=0", ["DELETE", "/indexes/ce"]),
    ["GET", "/indexes/ce"],
    accepting("gzip", ["DELETE", "/indexes/ce"]),
    accepting("br", ["GET", "/tasks?limit=1"]),
  ],
};

function accepting(accepted: string, [method, path, body, options = {}]: Step): Step {
  return [method, path, body, { ...options, headers: { ...options.headers, "accept-encoding": accepted } }];
}
