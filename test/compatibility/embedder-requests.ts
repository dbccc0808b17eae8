import { EMBEDDING_DIMENSIONS, embed } from "../support/embedding-server.js";
import type { Script, Step } from "./side-by-side.js";

const words = ["alpine", "ocean", "desert", "river", "forest", "city", "island", "storm"];
const documents = Array.from({ length: 24 }, (_, id) => ({
  id,
  title: `${words[id % 8]} ${words[(id * 3 + 1) % 8]} journey`,
  overview: `a tale of the ${words[(id * 5 + 2) % 8]} and number ${id}`,
  tag: id % 2 === 0 ? "even" : "odd",
}));

/** A key that must be seen nowhere but by the embedding server. */
export const EMBEDDER_KEY = "sk-test-0123456789abcdefghijklmnopqrstuvwxyz";

/** An embedder that asks the embedding server. */
function rest(url: string, more: object = {}): object {
  return {
    source: "rest",
    url,
    apiKey: EMBEDDER_KEY,
    dimensions: EMBEDDING_DIMENSIONS,
    request: { input: ["{{text}}", "{{..}}"] },
    response: { data: ["{{embedding}}", "{{..}}"] },
    ...more,
  };
}

const search = (body: object): Step => ["POST", "/indexes/{index}/search", body];

const searches: readonly Step[] = [
  search({ q: "ocean storm", hybrid: { embedder: "e", semanticRatio: 1 }, limit: 8, showRankingScore: true }),
  search({ q: "desert", hybrid: { embedder: "e" }, limit: 8 }),
  search({ q: "forest river", hybrid: { embedder: "e", semanticRatio: 0.2 }, filter: "tag = odd" }),
  search({ q: "island", hybrid: { embedder: "e", semanticRatio: 0 } }),
  search({
    hybrid: { embedder: "e" },
    vector: embed("a vector of the client's"),
    limit: 5,
    retrieveVectors: true,
  }),
  search({ q: "city", hybrid: { embedder: "e", semanticRatio: 1 }, rankingScoreThreshold: 0.8 }),
  search({
    q: "city",
    hybrid: { embedder: "e", semanticRatio: 1 },
    attributesToRetrieve: ["title"],
    facets: ["tag"],
  }),
  ["POST", "/indexes/{index}/similar", { id: 3, embedder: "e", limit: 6 }],
  ["GET", "/indexes/{index}/similar?id=4&embedder=e&limit=4&filter=tag%20%3D%20even&retrieveVectors=true"],
  [
    "POST",
    "/multi-search",
    {
      federation: {},
      queries: [
        { indexUid: "{index}", q: "ocean", hybrid: { embedder: "e", semanticRatio: 1 } },
        { indexUid: "{index}", q: "storm" },
      ],
    },
  ],
  ["GET", "/indexes/{index}/documents/5"],
  ["POST", "/indexes/{index}/documents/fetch", { retrieveVectors: true, limit: 3 }],
  ["GET", "/indexes/{index}/stats"],
];

const withVectors = documents.map((document, id) => ({
  ...document,
  _vectors: { e: embed(`${document.title} ${id} given`) },
}));

/** Indexes with embedders: settings, documents, searches. @param url of the embedding server */
export function embedderScripts(url: string): readonly Script[] {
  const script = (
    name: string,
    embedder: object,
    given: readonly object[],
    more: readonly Step[] = [],
  ): Script => {
    const uid = name.replaceAll(/[^a-z]+/g, "-");
    const steps: readonly Step[] = [
      ["PATCH", "/indexes/{index}/settings", { filterableAttributes: ["tag"], embedders: { e: embedder } }],
      ["POST", "/indexes/{index}/documents?primaryKey=id", given],
      ["GET", "/indexes/{index}/settings"],
      ["GET", "/indexes/{index}/settings/embedders"],
      ...searches,
      ...more,
    ];
    return {
      name,
      alone: true,
      steps: steps.map(([method, path, body]) => [
        method,
        path.replaceAll("{index}", uid),
        body === undefined ? undefined : JSON.parse(JSON.stringify(body).replaceAll("{index}", uid)),
      ]),
    };
  };
  const settings = "/indexes/{index}/settings";
  return [
    script(
      "vectors from clients",
      { source: "userProvided", dimensions: EMBEDDING_DIMENSIONS },
      withVectors,
      [
        ["POST", "/indexes/{index}/documents", [{ id: 90, title: "no vector", tag: "odd" }]],
        ["POST", "/indexes/{index}/documents", [{ id: 91, _vectors: { e: [1, 2] } }]],
        ["POST", "/indexes/{index}/documents", [{ id: 92, _vectors: { e: null } }]],
        ["DELETE", `${settings}/embedders`],
        ["GET", `${settings}/embedders`],
      ],
    ),
    script(
      "a template of single fields",
      rest(url, { documentTemplate: "{{doc.title}} of {{doc.overview}}" }),
      documents,
      [
        ["PATCH", `${settings}/embedders`, { e: { documentTemplate: "only {{doc.title}}" } }],
        ["GET", `${settings}/embedders`],
        search({ q: "ocean", hybrid: { embedder: "e", semanticRatio: 1 }, limit: 4 }),
        ["PATCH", `${settings}/embedders`, { e: { documentTemplate: null } }],
        ["GET", `${settings}/embedders`],
        ["PATCH", `${settings}/embedders`, { e: null }],
        ["GET", `${settings}`],
      ],
    ),
    script("the default template", rest(url), documents),
    script(
      "a template that walks over all fields",
      rest(url, {
        documentTemplate:
          "{%- for field in fields -%} {{field.name}}={{field.value}}; {%- endfor -%}|{% for entry in doc %}{% if entry[0] == 'id' %}#{% else %}{{ entry[0] }}{% endif %} {% else %}empty{% endfor %}",
        documentTemplateMaxBytes: 2_000,
      }),
      documents,
    ),
    // One document: of several, a node names any that the template does not suit.
    script("templates that nodes refuse", rest(url), documents.slice(0, 1), [
      ["PATCH", settings, { embedders: { e: { documentTemplate: "{% for field in fields %}" } } }],
      [
        "PATCH",
        settings,
        { embedders: { e: { documentTemplate: "{% for f in fields %}{{ f.name }{% endfor %}" } } },
      ],
      ["PATCH", settings, { embedders: { e: { documentTemplate: "{{ nothing }" } } }],
      [
        "PATCH",
        settings,
        { embedders: { u: { source: "userProvided", dimensions: 2, documentTemplate: "x" } } },
      ],
      ["PATCH", settings, { embedders: { e: { source: "userProvided" } } }],
      ["PATCH", settings, { embedders: { e: { documentTemplate: "{{ doc.title }} {{ doc.nothing }}" } } }],
    ]),
  ];
}
