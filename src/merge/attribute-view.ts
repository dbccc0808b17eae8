import { isInjectedField, standInForAttribute } from "./injected-fields.js";
import type { SearchParameters } from "./search-parameters.js";

/**
 * Which attributes a client may see in a hit, and which have to be asked for besides. Rests on nodes that
 * display everything: `displayedAttributes` is applied to the request and to the answer (invariant 11).
 */
export type AttributeView = {
  /** The `attributesToRetrieve` for nodes; undefined for all. */
  readonly toRetrieve: readonly string[] | undefined;
  /** Attributes that were only asked for the merge, as paths; to be removed from documents. */
  readonly extraInDocument: readonly string[];
  /** The same for `_formatted`, which keeps what the client wants highlighted or cropped. */
  readonly extraInFormatted: readonly string[];
  /** Set where only these attributes (and what lies under them) may be seen. */
  readonly displayed: readonly string[] | null;
  readonly attributesToHighlight: readonly string[] | undefined;
  readonly attributesToCrop: readonly string[] | undefined;
};

/** Whether clients may see all of a document that nodes print, but for injected fields. */
export function hidesNothing({ displayed, extraInDocument, extraInFormatted }: AttributeView): boolean {
  return displayed === null && extraInDocument.length === 0 && extraInFormatted.length === 0;
}

/**
 * @param displayed the client's `displayedAttributes`; null for all
 * @param needed attributes that the merge reads from hits
 */
export function attributeView(
  query: SearchParameters,
  displayed: readonly string[] | null,
  needed: readonly string[],
): AttributeView {
  const visible = visibleAttributes(query.attributesToRetrieve ?? null, displayed);
  const extra = visible === undefined ? [] : needed.filter((name) => !isCovered(name, visible));
  const highlight = expand(query.attributesToHighlight ?? [], displayed, () => "");
  const crop = expand(query.attributesToCrop ?? [], displayed, cropLengthOf);
  const formatted = [...highlight, ...crop.map(attributeOfCrop)];
  return {
    toRetrieve: visible === undefined ? undefined : [...visible.map(standInForAttribute), ...extra],
    extraInDocument: extra,
    extraInFormatted: extra.filter((name) => !formatted.includes("*") && !isCovered(name, formatted)),
    displayed,
    attributesToHighlight: given(query.attributesToHighlight, highlight.map(standInForAttribute)),
    attributesToCrop: given(query.attributesToCrop, crop.map(standInForAttribute)),
  };
}

/** Whether a key of `_matchesPosition` (an attribute's path) lies under a displayed attribute. */
export function isDisplayed(path: string, displayed: readonly string[] | null): boolean {
  if (isInjectedField(path)) return false;
  return displayed === null || isCovered(path, displayed);
}

function visibleAttributes(
  asked: readonly string[] | null,
  displayed: readonly string[] | null,
): readonly string[] | undefined {
  if (asked === null || asked.includes("*")) return displayed ?? undefined;
  return displayed === null ? asked : asked.filter((name) => displayed.includes(name));
}

/** Applies `displayedAttributes` to a list in which `*` stands for all of them. */
function expand(
  list: readonly string[],
  displayed: readonly string[] | null,
  suffixOf: (entry: string) => string,
): readonly string[] {
  if (displayed === null) return list;
  return list.flatMap((entry) => {
    const suffix = suffixOf(entry);
    const name = entry.slice(0, entry.length - suffix.length);
    if (name === "*") return displayed.map((attribute) => attribute + suffix);
    return displayed.includes(name) ? [entry] : [];
  });
}

function cropLengthOf(entry: string): string {
  const colon = entry.lastIndexOf(":");
  return colon === -1 ? "" : entry.slice(colon);
}

function attributeOfCrop(entry: string): string {
  return entry.slice(0, entry.length - cropLengthOf(entry).length);
}

function isCovered(path: string, names: readonly string[]): boolean {
  return names.some((name) => path === name || path.startsWith(`${name}.`));
}

function given(
  asked: readonly string[] | null | undefined,
  list: readonly string[],
): readonly string[] | undefined {
  return asked === null || asked === undefined ? undefined : list;
}
