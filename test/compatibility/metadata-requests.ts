import type { Script, Step } from "./side-by-side.js";

const index = "/indexes/metadata";
const csv = "id,title\n3,c\n4,d\n";
const ndjson = '{"id":5,"title":"e"}\n{"id":6}\n';

/** Writes of every kind with a text of the client's. */
function writes(given: string): readonly Step[] {
  const of = (path: string): string =>
    `${index}${path}${path.includes("?") ? "&" : "?"}customMetadata=${given}`;
  return [
    ["POST", of("/documents"), [{ id: 1, title: "a" }, { id: 2 }]],
    ["PUT", of("/documents"), [{ id: 1, more: true }]],
    ["POST", of("/documents"), csv, { contentType: "text/csv" }],
    ["PUT", of("/documents?csvDelimiter=%3B"), "id;title\n3;x\n", { contentType: "text/csv" }],
    ["POST", of("/documents"), ndjson, { contentType: "application/x-ndjson" }],
    ["POST", of("/documents"), [{ title: "without" }], { alone: true }],
    ["DELETE", of("/documents/1")],
    ["POST", of("/documents/delete-batch"), [2, "none"]],
    ["POST", of("/documents/delete"), { filter: "title = x" }],
    ["POST", of("/documents/delete"), { filter: "other = x" }, { alone: true }],
    ["DELETE", of("/documents")],
  ];
}

/** `customMetadata` and `skipCreation` on every route of documents. */
export const metadataScripts: readonly Script[] = [
  {
    name: "customMetadata",
    steps: [
      ["PATCH", `${index}/settings`, { filterableAttributes: ["title"] }, { alone: true }],
      ...writes("mine"),
      ...writes(""),
      ...writes("%7B%22a%22%3A1%7D%20%C3%A9%F0%9F%98%80%00"),
      ...writes("a&customMetadata=b"),
      ["POST", `${index}/documents?customMetadata=${"x".repeat(5_000)}`, [{ id: 1 }]],
      ["PUT", `${index}/settings/stop-words?customMetadata=x`, ["the"]],
      ["POST", "/indexes/metadata-nowhere/documents/delete?customMetadata=x", { filter: "a = 1" }],
      ["DELETE", "/indexes/metadata-nowhere/documents?customMetadata="],
      ["DELETE", "/indexes/metadata-nowhere/documents/1?customMetadata="],
    ],
  },
  {
    name: "skipCreation",
    steps: [
      [
        "POST",
        "/indexes/skips/documents",
        [
          { id: 1, a: 1 },
          { id: 2, a: 2 },
        ],
        { alone: true },
      ],
      [
        "POST",
        "/indexes/skips/documents?skipCreation=true",
        [
          { id: 1, b: 1 },
          { id: 9, b: 9 },
        ],
        { alone: true },
      ],
      ["GET", "/indexes/skips/documents/1"],
      ["GET", "/indexes/skips/documents/9"],
      [
        "PUT",
        "/indexes/skips/documents?skipCreation=true",
        [
          { id: 2, b: 2 },
          { id: 8, b: 8 },
        ],
        { alone: true },
      ],
      ["GET", "/indexes/skips/documents/2"],
      [
        "PUT",
        "/indexes/skips/documents?skipCreation=TRUE",
        "id,c\n2,x\n7,y\n",
        { contentType: "text/csv", alone: true },
      ],
      [
        "POST",
        "/indexes/skips/documents?skipCreation=true",
        '{"id":1}\n{"id":6}\n',
        { contentType: "application/x-ndjson", alone: true },
      ],
      ["POST", "/indexes/skips/documents?skipCreation=false", [{ id: 5 }], { alone: true }],
      ["GET", "/indexes/skips/stats"],
      ["POST", "/indexes/skips-new/documents?skipCreation=true", [{ id: 5 }], { alone: true }],
      ["GET", "/indexes/skips-new"],
      ["GET", "/indexes/skips-new/documents"],
      ["POST", "/indexes/skips/documents?skipCreation=", [{ id: 5 }]],
      ["POST", "/indexes/skips/documents?skipCreation=yes", [{ id: 5 }]],
      ["POST", "/indexes/skips/documents?skipCreation=1", [{ id: 5 }]],
      ["DELETE", "/indexes/skips/documents?skipCreation=true"],
      ["POST", "/indexes/skips/documents/delete-batch?skipCreation=true", [1]],
      ["POST", "/indexes/skips/documents/edit?skipCreation=true", { function: "doc.x = 1" }],
    ],
  },
];
