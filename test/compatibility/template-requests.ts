import { each, refusedAnyway } from "./request-lists.js";
import type { Script } from "./side-by-side.js";

/** An embedder that renders documents. */
function rest(documentTemplate: string | undefined): object {
  return {
    source: "rest",
    url: "http://127.0.0.1:9/",
    dimensions: 2,
    request: { input: "{{text}}" },
    response: { data: "{{embedding}}" },
    documentTemplate,
  };
}

/** Templates with documents of the indexes `rt` and `rs`, which it makes. The features are on. */
export const templateScript: Script = {
  name: "templates",
  steps: [
    [
      "PATCH",
      "/indexes/rt/settings",
      {
        embedders: { e: { source: "userProvided", dimensions: 2 } },
        chat: { documentTemplate: "{{doc.t}} of {{doc.id}}" },
      },
      { alone: true },
    ],
    [
      "POST",
      "/indexes/rt/documents",
      Array.from({ length: 20 }, (_, id) => ({
        id,
        t: `text ${id}`,
        big: "12345678901234567890",
        _vectors: { e: null },
      })),
      { alone: true },
    ],
    ["PUT", "/indexes/rs/settings/searchable-attributes", ["t"], { alone: true }],
    [
      "POST",
      "/indexes/rs/documents",
      [
        { id: 1, t: "one", u: "hidden" },
        { id: 2, t: "two" },
      ],
      { alone: true },
    ],
    // No embedder is ever asked: there are no documents.
    [
      "PATCH",
      "/indexes/rv/settings",
      { embedders: { loop: rest("{% for f in fields %}{{f.name}} {% endfor %}"), plain: rest(undefined) } },
      { alone: true },
    ],
    ["GET", "/indexes/rt/documents/1"],
    ...refusedAnyway("POST", "/render-template"),
    ...each("POST", "/render-template", [
      {},
      { template: 1 },
      { template: {} },
      { template: { kind: "x" } },
      { template: { kind: "documentTemplate" } },
      { template: { kind: "documentTemplate", indexUid: "rt" } },
      { template: { kind: "documentTemplate", indexUid: "rt", embedder: "e" } },
      { template: { kind: "documentTemplate", indexUid: "rt", embedder: "z" } },
      { template: { kind: "documentTemplate", indexUid: "nope", embedder: "z" } },
      { template: { kind: "documentTemplate", indexUid: "a b", embedder: "z" } },
      { template: { kind: "documentTemplate", indexUid: 1 } },
      { template: { kind: "documentTemplate", indexUid: "rt", inline: "x" } },
      {
        template: { kind: "documentTemplate", indexUid: "rt", embedder: "e", documentTemplateMaxBytes: 0 },
      },
      { template: { kind: "inlineDocumentTemplate", inline: "x", indexUid: "rt" } },
      { template: { kind: "inlineDocumentTemplate", inline: "{{doc" } },
      { template: { kind: "inlineDocumentTemplate", inline: "x" }, input: { kind: "x" } },
      {
        template: { kind: "inlineDocumentTemplate", inline: "x" },
        input: { kind: "indexDocument", id: "1" },
      },
      {
        template: { kind: "inlineDocumentTemplate", inline: "x" },
        input: { kind: "indexDocument", indexUid: "rt" },
      },
      {
        template: { kind: "inlineDocumentTemplate", inline: "x" },
        input: { kind: "indexDocument", indexUid: "rt", id: "1", foo: 1 },
      },
      {
        template: { kind: "inlineDocumentTemplate", inline: "x" },
        input: { kind: "indexDocument", indexUid: "rt", id: "1", inline: {} },
      },
      { template: { kind: "indexingFragment", indexUid: "rt", embedder: "e", fragment: "f" } },
      {
        template: { kind: "inlineFragment", inline: { a: "{{q}}" } },
        input: { kind: "inlineSearch", inline: { q: "x" } },
      },
      {
        template: { kind: "inlineDocumentTemplate", inline: "{{doc.a}}" },
        input: { kind: "inlineDocument", inline: { a: "x" } },
      },
      ...[
        "{{doc.t}}",
        "{% for f in fields %}{{f.name}}={{f.value}} {{f.is_searchable}},{% endfor %}",
        "{{doc.nope}}",
        "{{doc.big}}",
      ].flatMap((inline) =>
        [1, 2, 3, 99, "a b"].map((id) => ({
          template: { kind: "inlineDocumentTemplate", inline },
          input: { kind: "indexDocument", indexUid: "rt", id: String(id) },
        })),
      ),
      {
        template: { kind: "inlineDocumentTemplate", inline: "{{doc" },
        input: { kind: "indexDocument", indexUid: "rt", id: "99" },
      },
      {
        template: { kind: "inlineDocumentTemplate", inline: "x" },
        input: { kind: "indexDocument", indexUid: "nope", id: "1" },
      },
      ...["rt", "rs", "nope"].map((indexUid) => ({
        template: { kind: "chatDocumentTemplate", indexUid },
        input: { kind: "indexDocument", indexUid, id: "1" },
      })),
      {
        template: { kind: "chatDocumentTemplate", indexUid: "rt" },
        input: { kind: "indexDocument", indexUid: "rs", id: "2" },
      },
      {
        template: { kind: "chatDocumentTemplate", indexUid: "rt", documentTemplateMaxBytes: 5 },
        input: { kind: "indexDocument", indexUid: "rt", id: "4" },
      },
      {
        template: {
          kind: "inlineDocumentTemplate",
          inline: "{% for f in fields %}{% if f.is_searchable %}{{f.name}} {% endif %}{% endfor %}",
        },
        input: { kind: "indexDocument", indexUid: "rs", id: "1" },
      },
      ...["loop", "plain"].flatMap((embedder) => [
        { template: { kind: "documentTemplate", indexUid: "rv", embedder } },
        {
          template: { kind: "documentTemplate", indexUid: "rv", embedder },
          input: { kind: "indexDocument", indexUid: "rs", id: "1" },
        },
        {
          template: { kind: "documentTemplate", indexUid: "rv", embedder },
          input: { kind: "inlineDocument", inline: { a: "x" } },
        },
      ]),
      {
        template: {
          kind: "inlineDocumentTemplate",
          inline: "{% for f in fields %}{{f.name}}:{{f.is_searchable}} {% endfor %}",
        },
        input: { kind: "indexDocument", indexUid: "rs", id: "1" },
      },
      {
        template: { kind: "inlineFragment", inline: { a: "{{doc.t}}", b: 1 } },
        input: { kind: "indexDocument", indexUid: "rt", id: "7" },
      },
    ]),
  ],
};
