import type { Script, Step } from "./side-by-side.js";

const change = (uid: string, primaryKey: string | null): Step => [
  "PATCH",
  `/indexes/${uid}`,
  { primaryKey },
  { alone: true },
];
const add = (uid: string, documents: readonly object[], primaryKey = ""): Step => [
  "POST",
  `/indexes/${uid}/documents${primaryKey === "" ? "" : `?primaryKey=${primaryKey}`}`,
  documents,
  { alone: true },
];

/** The primary key of an index, given and changed. */
export const primaryKeyScripts: readonly Script[] = [
  {
    name: "the primary key of an index without documents",
    steps: [
      ["POST", "/indexes", { uid: "key-empty", primaryKey: "first" }, { alone: true }],
      change("key-empty", "second"),
      ["GET", "/indexes/key-empty"],
      change("key-empty", "second"),
      change("key-empty", null),
      add("key-empty", [{ first: 1 }]),
      add("key-empty", [{ first: 1, second: 2 }]),
      change("key-empty", "first"),
      change("key-empty", "second"),
      ["GET", "/indexes/key-empty/documents"],
      ["DELETE", "/indexes/key-empty/documents/2", undefined, { alone: true }],
      change("key-empty", "third"),
      add("key-empty", [{ second: 1, third: 3 }], "second"),
      add("key-empty", [{ second: 1, third: 3 }], "third"),
      ["GET", "/indexes/key-empty/documents/3"],
      ["GET", "/indexes/key-empty"],
    ],
  },
  {
    name: "the primary key behind other writes",
    steps: [
      // A node may run an addition and the deletion behind it as one.
      ["POST", "/indexes/key-behind/documents?primaryKey=a", [{ a: 1, b: 2 }], { alone: true }],
      ["DELETE", "/indexes/key-behind/documents"],
      ["PATCH", "/indexes/key-behind", { primaryKey: "b" }],
      ["POST", "/indexes/key-behind/documents", [{ a: 1, b: 2 }]],
      ["PATCH", "/indexes/key-behind", { primaryKey: "c" }],
      ["GET", "/indexes/key-behind/documents"],
      ["GET", "/indexes/key-behind"],
      ["PATCH", "/indexes/key-nowhere", { primaryKey: "c" }],
    ],
  },
];
