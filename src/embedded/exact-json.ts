/** A parsed JSON value. Objects have no prototype, so that any member name is safe. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
/** A parsed JSON object. */
export interface JsonObject {
  [name: string]: JsonValue;
}

/** A value together with its compact text, in which numbers keep the digits that Meilisearch keeps. */
export interface ExactValue {
  readonly value: JsonValue;
  readonly text: string;
}

/** JSON that could not be parsed; the message is worded and positioned as serde_json's. */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";
}

const MAX_I64 = 9223372036854775807n;
const MIN_I64 = -9223372036854775808n;
const MAX_U64 = 18446744073709551615n;

/**
 * Prints a JSON number as Meilisearch stores it: integers of 64 bits digit by digit, anything else as the
 * shortest text of its double, with a fraction or an exponent so that it stays a float.
 */
export function canonicalNumber(token: string): string {
  if (/^-?\d+$/.test(token) && token !== "-0") {
    const integer = BigInt(token);
    if (integer >= MIN_I64 && integer <= (token.startsWith("-") ? MAX_I64 : MAX_U64))
      return integer.toString();
  }
  return printFloat(Number(token));
}

/** Prints a double as Meilisearch does: `1.0`, `1e+16`, `0.00001`, `1e-7`. */
export function printFloat(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (exponent < -5 || exponent >= 16) {
    const [mantissa = "", power = "0"] = value.toExponential().split("e");
    return `${mantissa}e${power}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/**
 * Parses JSON one value at a time, keeping the exact text of every value. `JSON.parse` would lose integers
 * above 2^53, the difference between `1` and `1.0`, and the order of members whose names are numbers.
 */
export class ExactJsonParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Whether only white space is left. */
  atEnd(): boolean {
    this.#skipSpace();
    return this.#at >= this.#text.length;
  }

  /** The next character that is not white space; empty at the end. */
  peek(): string {
    this.#skipSpace();
    return this.#text[this.#at] ?? "";
  }

  /** Parses the next value. */
  value(): ExactValue {
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === undefined) throw this.#fail("EOF while parsing a value", 0);
    if (first === "{") {
      const members = this.members();
      const value: JsonObject = Object.create(null);
      for (const [name, member] of members) value[name] = member.value;
      const text = [...members].map(([name, member]) => `${JSON.stringify(name)}:${member.text}`).join(",");
      return { value, text: `{${text}}` };
    }
    if (first === "[") {
      const items = this.items();
      return {
        value: items.map((item) => item.value),
        text: `[${items.map((item) => item.text).join(",")}]`,
      };
    }
    if (first === '"') {
      const value = this.#string();
      return { value, text: JSON.stringify(value) };
    }
    if (first === "-" || (first >= "0" && first <= "9")) return this.#number();
    for (const [word, value] of [
      ["true", true],
      ["false", false],
      ["null", null],
    ] as const) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return { value, text: word };
      }
    }
    const word = { t: "true", f: "false", n: "null" }[first];
    if (word === undefined) throw this.#fail("expected value");
    // The first letter that does not belong is where the word breaks off.
    const start = this.#at;
    while (this.#text[this.#at] === word[this.#at - start]) this.#at++;
    throw this.#at >= this.#text.length
      ? this.#fail("EOF while parsing a value", 0)
      : this.#fail("expected ident");
  }

  /** Parses the object that comes next into its members; the last of several with one name wins. */
  members(): Map<string, ExactValue> {
    const members = new Map<string, ExactValue>();
    this.#at++;
    for (let more = this.#open("}", "an object"); more; more = this.#separator("}", "an object")) {
      if (this.peek() !== '"') {
        throw this.#at >= this.#text.length
          ? this.#fail("EOF while parsing an object", 0)
          : this.#fail(this.peek() === "}" ? "trailing comma" : "key must be a string");
      }
      const name = this.#string();
      if (this.peek() !== ":") {
        throw this.#at >= this.#text.length
          ? this.#fail("EOF while parsing an object", 0)
          : this.#fail("expected `:`");
      }
      this.#at++;
      const value = this.value();
      members.delete(name);
      members.set(name, value);
    }
    return members;
  }

  /** Parses the array that comes next into its items. */
  items(): ExactValue[] {
    const items: ExactValue[] = [];
    this.#at++;
    for (let more = this.#open("]", "a list"); more; more = this.#separator("]", "a list")) {
      if (this.peek() === "]") throw this.#fail("trailing comma");
      items.push(this.value());
    }
    return items;
  }

  /** Fails where anything but white space is left. */
  end(): void {
    if (!this.atEnd()) throw this.#fail("trailing characters");
  }

  #open(close: string, what: string): boolean {
    const next = this.peek();
    if (next === "") throw this.#fail(`EOF while parsing ${what}`, 0);
    if (next !== close) return true;
    this.#at++;
    return false;
  }

  #separator(close: string, what: string): boolean {
    const next = this.peek();
    if (next === "") throw this.#fail(`EOF while parsing ${what}`, 0);
    if (next !== "," && next !== close) throw this.#fail(`expected \`,\` or \`${close}\``);
    this.#at++;
    return next === ",";
  }

  #string(): string {
    const start = this.#at;
    for (let i = start + 1; i < this.#text.length; i++) {
      const code = this.#text.charCodeAt(i);
      if (code === 0x5c) i++;
      else if (code === 0x22) {
        this.#at = i + 1;
        const token = this.#text.slice(start, i + 1);
        try {
          return JSON.parse(token) as string;
        } catch {
          throw this.#fail("invalid escape");
        }
      } else if (code < 0x20) {
        this.#at = i;
        throw this.#fail("control character (\\u0000-\\u001F) found while parsing a string");
      }
    }
    this.#at = this.#text.length;
    throw this.#fail("EOF while parsing a string", 0);
  }

  #number(): ExactValue {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.#text)?.[0];
    if (token === undefined) throw this.#fail("invalid number");
    this.#at += token.length;
    const next = this.#text[this.#at];
    if (next !== undefined && /[\d.eE+-]/.test(next)) throw this.#fail("invalid number");
    const value = Number(token);
    if (!Number.isFinite(value)) throw this.#fail("number out of range", 0);
    return { value, text: canonicalNumber(token) };
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break;
      this.#at++;
    }
  }

  #fail(reason: string, beyond = 1): JsonSyntaxError {
    const before = this.#text.slice(0, Math.min(this.#at + beyond, this.#text.length));
    const lines = before.split("\n");
    const column = Buffer.byteLength(lines.at(-1) ?? "");
    return new JsonSyntaxError(`${reason} at line ${lines.length} column ${column}`);
  }
}

/** Parses a text that holds exactly one JSON value. */
export function parseExactJson(text: string): ExactValue {
  const parser = new ExactJsonParser(text);
  const value = parser.value();
  parser.end();
  return value;
}
