/** A piece of a Rhai script that means something: white space and comments lie between tokens. */
export interface RhaiToken {
  /** `literal` is a string or a character; `word` is a name, a keyword or a number; `symbol` is one other character. */
  readonly kind: "literal" | "word" | "symbol";
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** What {@link readRhaiTokens} finds. */
export interface RhaiTokens {
  readonly tokens: readonly RhaiToken[];
  /** What closes the comment or the string that is still open at the end, which Rhai allows; empty where none is. */
  readonly closing: string;
}

const WORD = /[A-Za-z0-9_]+/y;
const SPACE = /\s+/y;
const LINE_COMMENT = /\/\/[^\n\r]*/y;
const RAW_STRING = /(#+)"(?:[\s\S]*?"\1|[\s\S]*)/y;
const QUOTED = { '"': /"(?:[^"\\]|\\[\s\S])*"/y, "'": /'(?:[^'\\]|\\[\s\S])*'/y } as const;

/**
 * Cuts a script that Rhai compiles into tokens. Of text that it does not compile the tokens are a guess, but they always come to an end.
 *
 * The code inside of an interpolation gives its own tokens, between those of the braces around it.
 */
export function readRhaiTokens(source: string): RhaiTokens {
  const reader = new Reader(source);
  reader.code();
  return { tokens: reader.tokens, closing: reader.closing };
}

class Reader {
  readonly tokens: RhaiToken[] = [];
  closing = "";
  #at = 0;

  constructor(private readonly source: string) {}

  /** Reads to the end, or to the brace that closes an interpolation. */
  code(isInterpolated = false): void {
    let depth = 0;
    while (this.#at < this.source.length) {
      if (this.#match(SPACE) !== undefined || this.#match(LINE_COMMENT) !== undefined) continue;
      if (this.source.startsWith("/*", this.#at)) this.#blockComment();
      else if (this.#take("word", WORD) || this.#rawString()) continue;
      else {
        const character = this.source[this.#at] ?? "";
        if (character === "`") this.#template();
        else if ((character === '"' || character === "'") && this.#take("literal", QUOTED[character]))
          continue;
        else {
          this.#push("symbol", this.#at, this.#at + 1);
          if (character === "{") depth++;
          if (character === "}" && --depth < 0 && isInterpolated) return;
        }
      }
    }
  }

  #template(): void {
    let start = this.#at++;
    while (this.#at < this.source.length) {
      if (this.source[this.#at] === "`") {
        this.#push("literal", start, this.#at + 1);
        return;
      }
      if (this.source.startsWith("\\${", this.#at)) this.#at += 3;
      else if (this.source.startsWith("${", this.#at)) {
        this.#push("literal", start, this.#at + 1);
        this.#push("symbol", this.#at, this.#at + 1);
        this.code(true);
        start = this.#at;
      } else this.#at++;
    }
    this.#push("literal", start, this.source.length);
    this.closing = "`";
  }

  #rawString(): boolean {
    if (!this.#take("literal", RAW_STRING)) return false;
    const { text = "" } = this.tokens.at(-1) ?? {};
    const hashes = /^#+/.exec(text)?.[0] ?? "";
    if (!text.slice(hashes.length + 1).endsWith(`"${hashes}`)) this.closing = `"${hashes}`;
    return true;
  }

  #blockComment(): void {
    let open = 0;
    do {
      if (this.source.startsWith("/*", this.#at)) {
        open++;
        this.#at += 2;
      } else if (this.source.startsWith("*/", this.#at)) {
        open--;
        this.#at += 2;
      } else this.#at++;
    } while (open > 0 && this.#at < this.source.length);
    this.closing = "*/".repeat(open);
  }

  #take(kind: RhaiToken["kind"], pattern: RegExp): boolean {
    const end = this.#match(pattern);
    if (end === undefined) return false;
    this.tokens.push({ kind, text: this.source.slice(end.start, end.end), ...end });
    return true;
  }

  #push(kind: RhaiToken["kind"], start: number, end: number): void {
    this.tokens.push({ kind, text: this.source.slice(start, end), start, end });
    this.#at = end;
  }

  #match(pattern: RegExp): { readonly start: number; readonly end: number } | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.source);
    if (found === null) return undefined;
    const start = this.#at;
    this.#at += found[0].length;
    return { start, end: this.#at };
  }
}
