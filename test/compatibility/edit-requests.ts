import type { Script, Step } from "./side-by-side.js";

const on = (name: string): Step => ["PATCH", "/experimental-features", { [name]: true }];

const people = [
  { id: 1, name: "ada", age: 36, tags: ["p", "q"], o: { k: { z: 1 } }, big: 123456789012345 },
  { id: 2, name: "bob", age: 50, tags: [], o: { k: { z: 2 } }, ratio: 1.5 },
  { id: "c-3", name: "cyd", age: null, tags: ["q"], nested: [{ a: 1 }, { a: [2, 3] }] },
  { id: 4, name: "dee", age: 7 },
  { id: 5, name: "eve", age: 91, tags: ["r", "p"], flag: true },
];

/** Edits of documents of their own, each with what is there afterwards. */
function edits(uid: string, bodies: readonly unknown[]): readonly Step[] {
  return bodies.flatMap((body): Step[] => [
    ["POST", `/indexes/${uid}/documents/edit`, body, { alone: true }],
    ["POST", `/indexes/${uid}/documents/fetch`, { sort: ["name:asc"], limit: 50 }],
  ]);
}

function withPeople(
  name: string,
  uid: string,
  bodies: readonly unknown[],
  more: readonly Step[] = [],
): Script {
  return {
    name,
    steps: [
      [
        "PATCH",
        `/indexes/${uid}/settings`,
        { filterableAttributes: ["age", "tags", "name"], sortableAttributes: ["name"] },
      ],
      ["POST", `/indexes/${uid}/documents?primaryKey=id`, people, { alone: true }],
      ...edits(uid, bodies),
      ...more,
    ],
  };
}

const f = (text: string, more: object = {}) => ({ function: text, ...more });

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are Rhai's templates
/** What a function does to documents. */
const changes: Script = withPeople(
  "edits by a function",
  "edit-changes",
  [
    f("doc.age += 1", { filter: "age > 40" }),
    f("doc.name = doc.name.to_upper();", { filter: ["age > 40", ["tags = r", "name = zed"]] }),
    f("doc.seen = context.at; doc.by = context;", {
      context: { at: 12, who: ["x", { y: null }] },
      filter: "name = ada",
    }),
    f('if "tags" in doc { doc.tags = doc.tags.filter(|t| t != "p").map(|t| t + "!"); }'),
    f("fn grow(person) {\n  person.size = 3;\n  person\n}\n\ndoc = grow(doc);", { filter: "name = dee" }),
    f('fn double() { this.size *= 2 } if doc.name == "dee" { doc.double(); return; } doc.left = true;'),
    f('doc.o.k.z += 1; doc["a b"] = [1, 2.5, (), "x", #{ y: true }];', { filter: "name = ada" }),
    f("doc = #{ id: doc.id, name: doc.name }", { filter: "age = 7" }),
    f("doc.keys_seen = doc.keys();", { filter: "tags = q!" }),
    f("doc = ()", { filter: "name = EVE" }),
    f("let doc = #{ id: doc.id, name: doc.name, fresh: 1 };", { filter: "name = dee" }),
    f("doc.big += 1; doc.huge = 9223372036854775807; doc.half = 1.0 / 2.0;", { filter: "name = ada" }),
    f('doc.remove("big"); doc.gone = doc.nothing;', { filter: "name = ada" }),
    f("doc.id = `${doc.id}`", { filter: "name = ada" }),
    f("for i in 0..3 { doc[`k${i}`] = i * i; }", { filter: "name = ada" }),
    f('switch doc.name { "ada" => doc.first = true, _ => doc.first = false }'),
    f("try { doc.x = nobody(); } catch (e) { doc.x = e.message; }", { filter: "name = ada" }),
    f("doc.c = 'c'; doc.text = `a\n  b ${doc.name + `${1 + 1}`}`; /* open"),
    f("if false { nobody() } // the end"),
    f("()"),
    f(""),
    f("doc.never = 1", { filter: "name = nobody" }),
    f("doc.none = context == ()", { context: null, filter: null }),
    f('doc.none = is_def_var("context")', { context: {} }),
  ],
  [
    [
      "POST",
      "/indexes/edit-changes/documents",
      '[{"id":6,"name":"fay","exact":9007199254740993,"wide":18446744073709551615,"low":-9223372036854775808,"small":1e-7,"real":1.0}]',
      { alone: true },
    ],
    ...edits("edit-changes", [
      f("doc.exact += 2; doc.more = doc.wide;", { filter: "name = fay" }),
      f("doc.low = doc.low + 1; doc.real = doc.real;", { filter: "name = fay" }),
    ]),
    ["GET", "/indexes/edit-changes/documents/6"],
    ["GET", "/tasks?types=documentEdition&limit=2"],
    ["GET", "/indexes/edit-changes/stats"],
  ],
);

// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above

/** Functions that fail where they run: nothing is changed. */
const failures: Script = withPeople("edits that fail", "edit-failures", [
  f("doc.x = nobody(1);"),
  f("\n\n  let x = doc.nothing.more;\n doc.y = x.z();"),
  f("fn inner(d) {\n d.name.nothing(1) }\n\nlet a = 1; inner(doc);"),
  f("let f = |d| d.nobody(); f.call(doc)"),
  f('throw "no more"'),
  f("throw #{ code: 7 }"),
  f("doc = 5"),
  f("doc = [doc]"),
  f("doc.id = 77"),
  f('doc.remove("id")', { filter: "name = ada" }),
  f("doc = #{}"),
  f("doc.clear()"),
  f('doc.id = "no good id"'),
  f("doc.id = #{ a: 1 }"),
  f("context.at = 1", { context: { at: 2 } }),
  f("doc.at = context.at"),
  f("doc.t = timestamp()"),
  f("doc.t = rand()"),
  f("doc.age = 1 / 0"),
  f("doc._geo = 5"),
  f('eval("let x = ;")'),
  f("eval(`fn inner() { 1 }`)"),
  f("let x = []; x[4]"),
  f("doc.x = kept; miroir0_kept"),
  f("let x = 5; x = doc; x()"),
  f("doc.x = 1", { filter: "size = 3" }),
  f("doc.x = 1", { filter: ["name = ada", "big > 1"] }),
  f("doc.x = 1", { filter: "_geoRadius(1, 2, 3)" }),
]);

/** Requests that are refused at once. */
const refusals: Script = {
  name: "edits that are refused",
  steps: [
    ["POST", "/indexes/edit-refused/documents", [{ id: 1 }]],
    ...[
      {},
      { filter: "id = 1" },
      { function: null },
      { function: 5 },
      { function: ["doc"] },
      f("let x = ;"),
      f("doc.x = 1", { context: 5 }),
      f("doc.x = 1", { context: [] }),
      f("doc.x = 1", { context: "text" }),
      f("doc.x = 1", { context: false }),
      f("doc.x = 1", { filter: "a =" }),
      f("doc.x = 1", { filter: "" }),
      f("doc.x = 1", { filter: [] }),
      f("doc.x = 1", { filter: 5 }),
      f("doc.x = 1", { filter: { a: 1 } }),
      f("doc.x = 1", { filter: ["a = 1", 5] }),
      f("doc.x = 1", { filters: "a = 1" }),
      f("doc.x = 1", { more: 1, context: 5 }),
      f("let x = ;", { filter: "a =", context: 5 }),
      f("\n\n   fn x( {"),
      f("fn a() { fn b() {} }"),
      f('import "x" as y;'),
      f("doc.x = 'ab'"),
      f('doc.x = "open'),
      f("this.x = 1"),
      f("fn eval(x) { x }"),
      f("break;"),
      f("doc.new = 1"),
      [],
      "text",
      5,
      null,
      [f("doc.x = 1")],
    ].map((body): Step => ["POST", "/indexes/edit-refused/documents/edit", body]),
    ["POST", "/indexes/edit-refused/documents/edit", "{"],
    ["POST", "/indexes/edit-refused/documents/edit", ""],
    ["POST", "/indexes/edit-refused/documents/edit", f("doc.x = 1"), { contentType: "text/plain" }],
    ["POST", "/indexes/edit-refused/documents/edit", f("doc.x = 1"), { contentType: null }],
    ["POST", "/indexes/edit-refused/documents/edit?other=1", f("doc.x = 1")],
    ["POST", "/indexes/no%20uid/documents/edit", f("doc.x = 1")],
    ["POST", "/indexes/no%20uid/documents/edit", f("let x = ;")],
    ["POST", "/indexes/edit-refused/documents/edit", f("doc.x = 1"), { authorization: null }],
    ["POST", "/indexes/edit-refused/documents/edit", f("doc.x = 1"), { authorization: "Bearer none" }],
    ["PUT", "/indexes/edit-refused/documents/edit", f("doc.x = 1")],
    ["POST", "/indexes/edit-nowhere/documents/edit", f("doc.x = 1", { filter: "id = 1", context: { a: 1 } })],
    ["POST", "/indexes/edit-refused/documents/edit?customMetadata=mine", f("doc.x = 1")],
    ["POST", "/indexes/edit-refused/documents/edit?customMetadata=", f("doc.y = 1")],
    ["POST", "/indexes", { uid: "edit-empty", primaryKey: "id" }],
    ["POST", "/indexes/edit-empty/documents/edit", f("doc.x = nobody()")],
    ["POST", "/indexes/edit-empty/documents/edit", f("doc.x = nobody()", { filter: "id = 1" })],
  ],
};

/** Everything about the route while the feature is off. */
const disabled: Script = {
  name: "edits without the feature",
  steps: [
    ["PATCH", "/experimental-features", { editDocumentsByFunction: false }],
    ["POST", "/indexes/edit-off/documents/edit", f("doc.x = 1")],
    ["POST", "/indexes/edit-off/documents/edit", f("let x = ;")],
    ["POST", "/indexes/edit-off/documents/edit", {}],
    ["POST", "/indexes/no%20uid/documents/edit", f("doc.x = 1")],
  ],
};

/** Scripts that run one after the other: they switch the feature. */
export const editScripts: readonly Script[] = [
  disabled,
  { name: "switching the feature", steps: [on("editDocumentsByFunction")] },
  refusals,
  failures,
  changes,
];
