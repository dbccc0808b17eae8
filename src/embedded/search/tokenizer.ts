/** What a piece of text is: a word, a word that is never searched, or what stands between words. */
export type TokenKind = "word" | "stopWord" | "soft" | "hard" | "unknown";

/** A piece of a text with its place in it, in UTF-16 units. */
export interface Token {
  readonly kind: TokenKind;
  /** The normalised form under which the word is indexed. */
  readonly lemma: string;
  readonly start: number;
  readonly end: number;
}

/** What an index's settings change about tokenization. */
export interface TokenizerSettings {
  readonly stopWords: readonly string[];
  readonly separatorTokens: readonly string[];
  readonly nonSeparatorTokens: readonly string[];
  readonly dictionary: readonly string[];
}

/** Words longer than this many bytes are neither indexed nor searched. */
export const MAX_WORD_BYTES = 250;

const SEPARATOR = /[\p{P}\p{Zs}\p{Zl}\p{Zp}+\0\n\r\t`\u200c\u00b1\u00d7\u00f7]/u;
const NOT_SEPARATORS = new Set(["\u00a0", "\u2000", "\u2001", "\u2011", "\u2028", "\u202f", "\u205f"]);
const HARD_SEPARATORS = new Set([
  "\0",
  "!",
  ". ",
  ", ",
  ";",
  "?",
  "¡",
  "§",
  "¶",
  "¿",
  "՜",
  "՝",
  "՞",
  "։",
  "׃",
  "،",
  "؛",
  "؟",
  "۔",
  "।",
  "॥",
  "።",
  "፣",
  "፤",
  "፥",
  "፦",
  "፧",
  "፨",
  "…",
  "‼",
  "‽",
  "⁇",
  "⁈",
  "⁉",
  "⁏",
  "、",
  "。",
  "！",
  "，",
  "．",
  "：",
  "；",
  "？",
  "｡",
  "､",
]);
const IDEOGRAPH = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}]/u;

/**
 * Splits text into words and separators and normalises the words: compatibility decomposition, lower case, no
 * combining marks. Scripts that need a dictionary are cut into single characters, unlike in Meilisearch.
 */
export class Tokenizer {
  readonly #stopWords: ReadonlySet<string>;
  readonly #separators: readonly string[];
  readonly #nonSeparators: ReadonlySet<string>;
  readonly #dictionary: readonly string[];
  readonly #lemmas = new Map<string, string>();

  constructor(settings: TokenizerSettings) {
    this.#stopWords = new Set(settings.stopWords.map(normalizeWord));
    this.#separators = [...settings.separatorTokens].sort((a, b) => b.length - a.length);
    this.#nonSeparators = new Set(settings.nonSeparatorTokens);
    this.#dictionary = settings.dictionary
      .map((word) => word.toLowerCase())
      .sort((a, b) => b.length - a.length);
  }

  tokenize(text: string): Token[] {
    const tokens: Token[] = [];
    const lower = this.#dictionary.length > 0 ? text.toLowerCase() : "";
    let wordStart = -1;
    const flush = (end: number) => {
      if (wordStart >= 0) tokens.push(this.#word(text, wordStart, end));
      wordStart = -1;
    };
    for (let i = 0; i < text.length; ) {
      const known = this.#dictionary.find((word) => lower.startsWith(word, i));
      if (known !== undefined) {
        flush(i);
        tokens.push(this.#word(text, i, i + known.length));
        i += known.length;
        continue;
      }
      const separator = this.#separatorAt(text, i);
      if (separator !== "") {
        flush(i);
        const end = i + separator.length;
        tokens.push({
          kind: HARD_SEPARATORS.has(separator) ? "hard" : "soft",
          lemma: separator,
          start: i,
          end,
        });
        i = end;
        continue;
      }
      const size = (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
      if (IDEOGRAPH.test(text.slice(i, i + size))) {
        flush(i);
        tokens.push(this.#word(text, i, i + size));
      } else if (wordStart < 0) wordStart = i;
      i += size;
    }
    flush(text.length);
    return tokens;
  }

  #separatorAt(text: string, at: number): string {
    const custom = this.#separators.find((separator) => text.startsWith(separator, at));
    if (custom !== undefined) return custom;
    const first = text[at] ?? "";
    if ((first === "." || first === ",") && text[at + 1] === " " && !this.#nonSeparators.has(`${first} `)) {
      return `${first} `;
    }
    if (!SEPARATOR.test(first) || NOT_SEPARATORS.has(first) || this.#nonSeparators.has(first)) return "";
    return first;
  }

  #word(text: string, start: number, end: number): Token {
    const source = text.slice(start, end);
    let lemma = this.#lemmas.get(source);
    if (lemma === undefined) {
      lemma = normalizeWord(source);
      if (this.#lemmas.size < 200_000) this.#lemmas.set(source, lemma);
    }
    const kind = lemma === "" ? "unknown" : this.#stopWords.has(lemma) ? "stopWord" : "word";
    return { kind, lemma, start, end };
  }
}

function normalizeWord(word: string): string {
  return word
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\p{Mn}/gu, "")
    .replace(/[’‘‛]/g, "'")
    .replaceAll("æ", "ae")
    .replaceAll("œ", "oe")
    .trim();
}

/** How much the position grows over a hard separator, and between the values of an array. */
export const HARD_DISTANCE = 8;

/** A word of a text with its position, counted from `start`. */
export interface PlacedWord {
  readonly lemma: string;
  readonly position: number;
  readonly token: Token;
}

/** Gives the words of a text their positions: 1 further per word, 8 over a hard separator. */
export function placeWords(tokens: readonly Token[], start: number): PlacedWord[] {
  const words: PlacedWord[] = [];
  let position = start;
  let previous: TokenKind | undefined;
  for (const token of tokens) {
    if (token.kind === "word" || token.kind === "stopWord") {
      if (previous === "hard") position += HARD_DISTANCE;
      else if (previous !== undefined) position += 1;
      previous = token.kind;
      if (token.kind === "word" && Buffer.byteLength(token.lemma) <= MAX_WORD_BYTES) {
        words.push({ lemma: token.lemma, position, token });
      }
    } else if (
      previous !== undefined &&
      (token.kind === "hard" || (token.kind === "soft" && previous !== "hard"))
    ) {
      previous = token.kind;
    }
  }
  return words;
}
