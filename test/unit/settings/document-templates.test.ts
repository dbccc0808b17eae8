import { describe, expect, it } from "vitest";
import {
  guardTemplate,
  mapTemplates,
  sentTemplate,
  unguardMessage,
  unguardTemplate,
  withDefaultTemplates,
} from "../../../src/settings/document-templates.js";

const guarded = (name: string, dash = "") =>
  `{% if ${name} != "_miroir_shard" and ${name} != "_miroir_seq" ${dash}%}`;
const END = "endif %}{% comment %}_miroir_{% endcomment %}";

describe("a guarded document template", () => {
  it.each([
    ["{{doc.title}}", "{{doc.title}}"],
    [
      "{% for f in fields %}{{f.value}}{% endfor %}",
      `{% for f in fields %}${guarded("f.name")}{{f.value}}{% ${END}{% endfor %}`,
    ],
    [
      "{%- for f in doc -%} {{f}} {%- endfor -%}",
      `{%- for f in doc -%}${guarded("f[0]", "-")} {{f}} {%- ${END}{%- endfor -%}`,
    ],
    [
      "{% for f in fields %}{% if f %}a{% else %}b{% endif %}{% else %}none{% endfor %}",
      `{% for f in fields %}${guarded("f.name")}{% if f %}a{% else %}b{% endif %}{% ${END}{% else %}none{% endfor %}`,
    ],
    ["{% for a in doc.actors %}{{a}}{% endfor %}", "{% for a in doc.actors %}{{a}}{% endfor %}"],
    ["{% raw %}{% for f in fields %}{% endraw %}", "{% raw %}{% for f in fields %}{% endraw %}"],
    ["{% for f in fields %}", "{% for f in fields %}"],
    ["{% for f in fields %}{% endif %}", "{% for f in fields %}{% endif %}"],
  ])("of %s", (template, wanted) => {
    expect(guardTemplate(template)).toBe(wanted);
    expect(unguardTemplate(guardTemplate(template))).toBe(template);
  });

  it("shows in details only where the client sent it", () => {
    const filled = withDefaultTemplates({ a: { source: "rest" }, b: { documentTemplate: null } }, []);
    const onNodes = mapTemplates(filled, guardTemplate);
    expect(mapTemplates(onNodes, sentTemplate)).toEqual({
      a: { source: "rest" },
      b: { documentTemplate: null },
    });
    const own = expect.stringMatching(
      /^\{% for field in fields %\}\{% if field\.is_searchable .*\{% endfor %\}$/s,
    );
    expect(mapTemplates(onNodes, unguardTemplate)).toEqual({
      a: { source: "rest", documentTemplate: own },
      b: { documentTemplate: own },
    });
  });

  it("is found in embedders and in parts of composite ones, and nowhere else", () => {
    const embedders = {
      a: { documentTemplate: "x", request: { documentTemplate: "x" } },
      b: { source: "composite", indexingEmbedder: { documentTemplate: "x" } },
      c: null,
    };
    expect(mapTemplates(embedders, () => "y")).toEqual({
      a: { documentTemplate: "y", request: { documentTemplate: "x" } },
      b: { source: "composite", indexingEmbedder: { documentTemplate: "y" } },
      c: null,
    });
  });
});

describe("a node's message about a template", () => {
  it("is about what the client wrote, with the place in it", () => {
    const line = guardTemplate("{% for f in fields %}{{ f.name }{% endfor %}");
    const at = line.indexOf("}{%", 30);
    const about = (text: string, column: number) =>
      `Invalid template: liquid:  --> 1:${column}\n  |\n1 | ${text}\n  | ${" ".repeat(column - 1)}^---\n  |\n  = expected Literal\n.`;
    expect(unguardMessage(about(line, at + 1))).toBe(
      about("{% for f in fields %}{{ f.name }{% endfor %}", at + 1 - guarded("f.name").length),
    );
  });
});

describe("Meilisearch's own template", () => {
  const named = { documentTemplate: expect.stringContaining("is_searchable") };

  it.each([
    [{ e: { source: "rest" } }, [], { e: { source: "rest", ...named } }],
    [{ e: {} }, [], { e: named }],
    [{ e: { source: "userProvided" } }, [], { e: { source: "userProvided" } }],
    [{ e: { url: "x" } }, [{ e: { source: "rest", documentTemplate: "t" } }], { e: { url: "x" } }],
    [
      { e: { url: "x" } },
      [{ e: { source: "rest", documentTemplate: "t" } }, null],
      { e: { url: "x", ...named } },
    ],
    [{ e: { documentTemplate: null } }, [{ e: { source: "rest", documentTemplate: "t" } }], { e: named }],
    [{ e: { source: "rest" } }, [{ e: { source: "userProvided" } }], { e: { source: "rest", ...named } }],
    [{ e: { source: "rest", indexingFragments: {} } }, [], { e: { source: "rest", indexingFragments: {} } }],
    [
      {
        e: { source: "composite", indexingEmbedder: { source: "rest" }, searchEmbedder: { source: "rest" } },
      },
      [],
      {
        e: {
          source: "composite",
          indexingEmbedder: { source: "rest", ...named },
          searchEmbedder: { source: "rest" },
        },
      },
    ],
    [{ e: null }, [], { e: null }],
    [null, [], null],
  ])("is named where %j comes after %j", (patch, before, wanted) => {
    expect(withDefaultTemplates(patch, before)).toEqual(wanted);
  });
});
