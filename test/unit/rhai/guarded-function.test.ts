import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { detailsOfGuarded, guardFunction, messageAboutClient } from "../../../src/rhai/guarded-function.js";
import { readRhaiTokens } from "../../../src/rhai/tokens.js";

const STAMP = "(".repeat(18);

function guarded(source: string, hasContext = false, details = "{}"): readonly string[] {
  return guardFunction(source, STAMP, hasContext, details).split("\n");
}

describe("tokens of a Rhai script", () => {
  const texts = (source: string) => readRhaiTokens(source).tokens.map(({ text }) => text);

  it("leaves out comments, of any depth, and white space", () => {
    expect(texts("a /* b /* c */ d */ + // e\n f")).toEqual(["a", "+", "f"]);
    expect(texts("a // b\r c")).toEqual(["a", "c"]);
  });

  it("takes strings and characters whole, whatever they hold", () => {
    const literals = [`"a\\"}"`, "'}'", "'\\''", `#"b"}"#`, `##"c"#}"##`];
    expect(texts(literals.join(" + ")).filter((text) => text !== "+")).toEqual(literals);
  });

  it("goes into interpolations, and out of them again", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Rhai's own
    const source = "`a ${ if b { `c${d}}` } } e` + f";
    expect(texts(source)).toEqual([
      "`a $",
      "{",
      "if",
      "b",
      "{",
      "`c$",
      "{",
      "d",
      "}",
      "}`",
      "}",
      "}",
      " e`",
      "+",
      "f",
    ]);
    expect(texts("`a \\${b`")).toEqual(["`a \\${b`"]);
  });

  it("says how to close what is still open at the end", () => {
    const closing = (source: string) => readRhaiTokens(source).closing;
    expect(closing("a /* b /* c")).toBe("*/*/");
    expect(closing("a = `b")).toBe("`");
    expect(closing('a = ##"b"#')).toBe('"##');
    expect(closing('a = #"b"#; // c')).toBe("");
  });

  it("reads any text to its end, each character once", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."`$}{\"'#/*\\\n ab(") }), (source) => {
        let end = 0;
        for (const token of readRhaiTokens(source).tokens) {
          expect(token.start).toBeGreaterThanOrEqual(end);
          expect(token.text).toBe(source.slice(token.start, token.end));
          end = token.end;
        }
        expect(end).toBeLessThanOrEqual(source.length);
      }),
    );
  });
});

describe("a guarded edit function", () => {
  it("holds the client's statements on lines of their own, column by column", () => {
    const source = "doc.a = 1;\n\tdoc.b = 2;";
    expect(guarded(source).slice(1, 3)).toEqual(source.split("\n"));
  });

  it("puts definitions where Rhai takes them, and leaves their places empty among the statements", () => {
    const source = "let a = 1; private fn f(x) { x }\ndoc.a = f(a); fn g() { `}` }";
    const lines = guarded(source);
    expect(lines.slice(0, 2)).toEqual(["           private fn f(x) { x }", "              fn g() { `}` }"]);
    expect(lines.slice(3, 5).map((line) => line.trimEnd())).toEqual(["let a = 1;", "doc.a = f(a);"]);
  });

  it("assigns where the client declares the document again, at the outermost level only", () => {
    expect(guarded("let doc = 1; { let doc = 2; } const doc = 3;")[1]).toBe(
      "    doc = 1; { let doc = 2; }       doc = 3;",
    );
  });

  it("closes what the client left open", () => {
    expect(guarded("doc.a = 1; /* open")[1]).toBe("doc.a = 1; /* open*/");
  });

  it("takes names that do not occur in the client's code", () => {
    const text = guardFunction("miroir0_kept; `miroir1`", STAMP, false, "{}");
    expect(text).toContain("miroir2_kept");
    expect(text.match(/miroir[01]/g)).toHaveLength(2);
  });

  it("leaves definitions of `exit` and `remove` to the client", () => {
    const text = guardFunction("fn exit(code) {} fn remove(name) {}", STAMP, false, "{}");
    expect(text.match(/fn exit\(/g)).toHaveLength(2);
    expect(text).toContain('remove(doc, "_miroir_shard")');
    expect(guardFunction("fn exit() {} fn exit(code) {}", STAMP, false, "{}")).not.toContain("throw");
  });

  it("gives the client's details back", () => {
    const details = JSON.stringify({ function: "doc.a = 1 // x\n//y", context: null });
    expect(detailsOfGuarded(guardFunction("doc.a = 1 // x\n//y", STAMP, true, details))).toBe(details);
  });
});

describe("errors about a guarded function", () => {
  const source = "fn f(x) {\n  x.y()\n}\n\n  f(doc)";
  const lineOf = (text: string, from = 0): number =>
    guarded(source).findIndex((line, at) => at >= from && line.includes(text)) + 1;

  it("point to the client's own lines", () => {
    const inner = `Function not found: y (()) (line ${lineOf("x.y()")}, position 5)`;
    const call = `in call to function 'f' (line ${lineOf("f(doc)")}, position 3)`;
    const guard = `in call to function 'miroir0_run' (line ${guarded(source).length - 8}, position 15)`;
    expect(messageAboutClient(`${inner}\n${call}\n${guard}`, source)).toBe(
      "Function not found: y (()) (line 2, position 5)\nin call to function 'f' (line 5, position 3)",
    );
  });

  it("point to the beginning where Rhai names the guard's own call", () => {
    const message = `Too many operations (line ${guarded(source).length - 8}, position 15)`;
    expect(messageAboutClient(message, source)).toBe("Too many operations (line 1, position 1)");
  });

  it("leave positions alone that the client's text only speaks of", () => {
    const message = "Runtime error: see (line 40, position 1) there (line 2, position 1)";
    expect(messageAboutClient(message, "throw")).toBe(
      "Runtime error: see (line 40, position 1) there (line 1, position 1)",
    );
  });

  it("show documents without Miroir's fields", () => {
    const code = (name: string) => `"_miroir_${name}":"()[]{};,"`;
    const printed = (...members: string[]) =>
      `Document doesn't have a \`id\` attribute: \`{${members.join(",")}}\`.`;
    const [seq, shard] = [code("seq"), code("shard")];
    for (const [found, wanted] of [
      [[seq, shard], []],
      [['"A":1', seq, shard], ['"A":1']],
      [[seq, shard, '"a":1'], ['"a":1']],
      [
        ['"A":1', seq, '"_miroir_sh":2', shard, '"a":1'],
        ['"A":1', '"_miroir_sh":2', '"a":1'],
      ],
    ] as const) {
      expect(messageAboutClient(printed(...found), "")).toBe(printed(...wanted));
    }
  });
});
