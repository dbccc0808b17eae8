import { SEQUENCE_FIELD, SHARD_FIELD } from "../placement/injected-fields.js";
import { isObject, type JsonObject } from "./json-object.js";

/** What Meilisearch renders for an embedder without a template of its own. */
const DEFAULT_TEMPLATE =
  "{% for field in fields %}{% if field.is_searchable and field.value != nil %}{{ field.name }}: {{ field.value }}\n{% endif %}{% endfor %}";

/** Sources whose embedders render documents. */
const RENDERING = new Set(["openAi", "huggingFace", "ollama", "rest"]);

/** Behind a template that the client did not name, and behind one that it set back to Meilisearch's own. */
const UNNAMED = "{% comment %}_miroir_unnamed_{% endcomment %}";
const RESET = "{% comment %}_miroir_reset_{% endcomment %}";

/** Marks the end of a guard, so that it can be told from what the client wrote. */
const MARK = "{% comment %}_miroir_{% endcomment %}";

const GUARD_START = new RegExp(
  `\\{% if [\\w-]+(?:\\.name|\\[0\\]) != "${SHARD_FIELD}" and [\\w-]+(?:\\.name|\\[0\\]) != "${SEQUENCE_FIELD}" -?%\\}`,
  "g",
);
const GUARD_END = new RegExp(`\\{%-? endif %\\}${MARK.replaceAll(/[{}%]/g, "\\$&")}`, "g");

const TAG = /\{%(-?)\s*(\w+)([\s\S]*?)(-?)%\}/g;

interface Block {
  readonly tag: string;
  /** Whether a guard was opened in it. */
  guarded: boolean;
}

/**
 * A client's document template that passes over Miroir's fields: each loop over `fields` or over `doc` gets a condition around its
 * body. A template whose blocks do not close stays as it is, for a node to refuse. What `doc` prints as a whole is not changed.
 */
export function guardTemplate(template: string): string {
  const open: Block[] = [];
  let result = "";
  let copied = 0;
  for (const match of template.matchAll(TAG)) {
    const [text, trimsBefore = "", tag = "", rest = "", trimsBehind = ""] = match;
    const inner = open.at(-1);
    // Nothing inside of these is a tag.
    if ((inner?.tag === "raw" || inner?.tag === "comment") && tag !== `end${inner.tag}`) continue;
    const end = match.index + text.length;
    if (tag.startsWith("end") || (tag === "else" && inner?.tag === "for")) {
      if (tag !== "else" && inner?.tag !== tag.slice(3)) return template;
      if (inner?.guarded === true) {
        result += `${template.slice(copied, match.index)}{%${trimsBefore} endif %}${MARK}`;
        copied = match.index;
        inner.guarded = false;
      }
      if (tag !== "else") open.pop();
      continue;
    }
    if (!BLOCKS.has(tag)) continue;
    const loop = tag === "for" ? /^\s+([\w-]+)\s+in\s+(fields|doc)(?![\w.[-])/.exec(rest) : null;
    open.push({ tag, guarded: loop !== null });
    if (loop === null) continue;
    const name = `${loop[1]}${loop[2] === "fields" ? ".name" : "[0]"}`;
    const guard = `{% if ${name} != "${SHARD_FIELD}" and ${name} != "${SEQUENCE_FIELD}" ${trimsBehind}%}`;
    result += template.slice(copied, end) + guard;
    copied = end;
  }
  return open.length > 0 ? template : result + template.slice(copied);
}

const BLOCKS = new Set(["for", "if", "unless", "case", "capture", "tablerow", "raw", "comment", "ifchanged"]);

/** What the client wrote, or Meilisearch's own template, of one that nodes were sent. */
export function unguardTemplate(template: string): string {
  return unmarkTemplate(template).replace(GUARD_END, "").replace(GUARD_START, "");
}

/** A template as nodes were sent it, without what tells whether the client named it. */
export function unmarkTemplate(template: string): string {
  return [UNNAMED, RESET].reduce((text, mark) => text.replaceAll(mark, ""), template);
}

/** What a node says of a template in an error: the line, and the place in it, as the client wrote it. */
const TEMPLATE_ERROR = /( --> \d+:)(\d+)(\n *\|\n\d+ \| )([^\n]*)(\n *\| )( *)\^/g;

/** An error message of a node about a template, about what the client wrote. */
export function unguardMessage(message: string): string {
  const placed = message.replace(
    TEMPLATE_ERROR,
    (_, arrow: string, column: string, bar: string, line: string, margin: string, indent: string) => {
      const before = line.slice(0, Number(column) - 1);
      const added = before.length - unguardTemplate(before).length;
      const place = `${arrow}${Number(column) - added}${bar}${unguardTemplate(line)}`;
      return `${place}${margin}${indent.slice(added)}^`;
    },
  );
  return unguardTemplate(placed);
}

/** Embedders, whole or in part, with every document template changed; one that becomes undefined is left out. */
export function mapTemplates(embedders: unknown, change: TemplateChange): unknown {
  return mapObject(embedders, (embedder) => mapEmbedder(embedder, change));
}

/** What becomes of a document template. */
export type TemplateChange = (template: string) => string | null | undefined;

/** A template in a node's details of a settings change, as the client sent it. */
export const sentTemplate: TemplateChange = (template) => {
  if (template.endsWith(UNNAMED)) return undefined;
  return template.endsWith(RESET) ? null : unguardTemplate(template);
};

function mapEmbedder(embedder: unknown, change: TemplateChange): unknown {
  return mapObject(embedder, (member, name) => {
    if (name === "indexingEmbedder" || name === "searchEmbedder") return mapEmbedder(member, change);
    return name === "documentTemplate" && typeof member === "string" ? change(member) : member;
  });
}

function mapObject(value: unknown, map: (member: unknown, name: string) => unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => {
      const mapped = map(member, name);
      return mapped === undefined ? [] : [[name, mapped]];
    }),
  );
}

/**
 * A change of embedders in which those that would get Meilisearch's own template name it, so that it can be guarded.
 *
 * @param before embedders that are there, or are being made, the latest last; null for a reset
 */
export function withDefaultTemplates(embedders: unknown, before: readonly unknown[]): unknown {
  return mapObject(embedders, (embedder, name) => withDefaultTemplate(embedder, latest(before, name)));
}

function withDefaultTemplate(embedder: unknown, before: JsonObject): unknown {
  if (!isObject(embedder)) return embedder;
  const source = embedder.source ?? before.source ?? "openAi";
  if (source === "composite" && isObject(embedder.indexingEmbedder)) {
    const inside = isObject(before.indexingEmbedder) ? before.indexingEmbedder : {};
    return { ...embedder, indexingEmbedder: withDefaultTemplate(embedder.indexingEmbedder, inside) };
  }
  if (typeof source !== "string" || !RENDERING.has(source)) return embedder;
  if ("indexingFragments" in embedder || "indexingFragments" in before) return embedder;
  const keeps = embedder.documentTemplate === undefined && typeof before.documentTemplate === "string";
  if (keeps || typeof embedder.documentTemplate === "string") return embedder;
  const mark = embedder.documentTemplate === undefined ? UNNAMED : RESET;
  return { ...embedder, documentTemplate: DEFAULT_TEMPLATE + mark };
}

/** What is known of an embedder after several changes. */
function latest(changes: readonly unknown[], name: string): JsonObject {
  let known: JsonObject = {};
  for (const change of changes) {
    if (change === undefined) continue;
    const embedder = isObject(change) ? change[name] : null;
    if (embedder === null) known = {};
    else if (isObject(embedder)) known = { ...known, ...embedder };
  }
  return known;
}
