/**
 * Compares two strings by the bytes of their UTF-8 form, as Meilisearch orders sort values and facet
 * labels. UTF-16 code units give the same order except where a surrogate meets a unit above U+DFFF.
 *
 * @returns a negative number, zero or a positive number
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above every other unit. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** A facet value longer than this many UTF-8 bytes is known to a node by its head only. */
const MAX_FACET_VALUE_BYTES = 468;

const OUTER_WHITE_SPACE = /^\p{White_Space}+|\p{White_Space}+$/gu;
const ASCII = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/**
 * The form under which a node knows a facet string: trimmed, compatibility-decomposed, in lower case and
 * cut to the length of a key. Two labels with the same form are one facet value, and one distinct value.
 */
export function normalizeFacet(label: string): string {
  if (ASCII.test(label) && label.length <= MAX_FACET_VALUE_BYTES) return label.toLowerCase();
  const normalized = label.replace(OUTER_WHITE_SPACE, "").normalize("NFKD").toLowerCase();
  if (normalized.length * 3 <= MAX_FACET_VALUE_BYTES) return normalized;
  return truncateUtf8(normalized, MAX_FACET_VALUE_BYTES);
}

function truncateUtf8(text: string, maxBytes: number): string {
  let bytes = 0;
  let end = 0;
  for (const symbol of text) {
    bytes += Buffer.byteLength(symbol);
    if (bytes > maxBytes) return text.slice(0, end);
    end += symbol.length;
  }
  return text;
}
