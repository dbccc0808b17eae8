import type { RhaiToken } from "./tokens.js";

/** A `fn` of a script, which Rhai takes at the outermost level only. */
export interface FunctionDefinition {
  /** Its name without the type of a method's `this`. */
  readonly name: string;
  /** How many parameters it has. */
  readonly parameters: number;
  /** From `fn`, or `private`, to behind the brace that closes its body. */
  readonly start: number;
  readonly end: number;
}

const OPENING = new Set(["(", "[", "{"]);
const CLOSING = new Set([")", "]", "}"]);

/** The functions that a script defines, in order. */
export function readFunctionDefinitions(tokens: readonly RhaiToken[]): readonly FunctionDefinition[] {
  const definitions: FunctionDefinition[] = [];
  for (let at = 0; at < tokens.length; at++) {
    if (!isWord(tokens[at], "fn")) continue;
    const open = indexOf(tokens, "(", at);
    const close = closingOf(tokens, open);
    const end = closingOf(tokens, indexOf(tokens, "{", close));
    const before = tokens[at - 1];
    const first = isWord(before, "private") ? before : tokens[at];
    definitions.push({
      name: tokens[open - 1]?.text ?? "",
      parameters:
        close === open + 1
          ? 0
          : tokens.slice(open, close).filter(({ kind, text }) => kind === "symbol" && text === ",").length +
            1,
      start: first?.start ?? 0,
      end: tokens[end]?.end ?? tokens.at(-1)?.end ?? 0,
    });
    at = end;
  }
  return definitions;
}

/** The declarations of a variable at the outermost level of a script: where `let` or `const` stands. */
export function readDeclarations(tokens: readonly RhaiToken[], variable: string): readonly RhaiToken[] {
  let depth = 0;
  return tokens.filter((token, at) => {
    if (token.kind === "symbol" && OPENING.has(token.text)) depth++;
    if (token.kind === "symbol" && CLOSING.has(token.text)) depth--;
    if (depth > 0 || !(isWord(token, "let") || isWord(token, "const"))) return false;
    return isWord(tokens[at + 1], variable);
  });
}

function isWord(token: RhaiToken | undefined, text: string): boolean {
  return token?.kind === "word" && token.text === text;
}

function indexOf(tokens: readonly RhaiToken[], symbol: string, from: number): number {
  const found = tokens.findIndex(({ kind, text }, at) => at >= from && kind === "symbol" && text === symbol);
  return found < 0 ? tokens.length : found;
}

/** The bracket that closes the one at `open`. */
function closingOf(tokens: readonly RhaiToken[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    const { kind, text } = tokens[at] ?? { kind: "word", text: "" };
    if (kind !== "symbol") continue;
    if (OPENING.has(text)) depth++;
    if (CLOSING.has(text) && --depth === 0) return at;
  }
  return tokens.length;
}
