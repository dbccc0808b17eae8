import { SEQUENCE_FIELD, SEQUENCE_SYMBOLS, SHARD_FIELD } from "../placement/injected-fields.js";
import {
  type FunctionDefinition,
  readDeclarations,
  readFunctionDefinitions,
} from "./function-definitions.js";
import { readRhaiTokens } from "./tokens.js";

/** A client's edit of documents, as Meilisearch shows it on the task. */
export interface EditDetails {
  readonly deletedDocuments: null;
  readonly editedDocuments: null;
  readonly originalFilter: string | null;
  readonly context: unknown;
  readonly function: string;
}

const EXIT_REFUSAL = "Miroir does not serve `exit`: use `return`";

/**
 * A client's edit function as nodes get it, so that neither its code nor its mistakes reach Miroir's fields (invariant 11).
 *
 * Meilisearch runs a function as a script with the document in the variable `doc`, and takes what the variable holds in the end. The guard
 * takes Miroir's fields out of `doc`, runs the client's statements as the body of a function of its own, which shares `doc` and sees nothing
 * else of the guard, so that an early `return` ends there, and puts the fields back. `exit`, which would end the guard as well, fails.
 *
 * The sequence of a document that the function changed gets `stamp` behind it. Documents keep their order by it, replicas show by it whether
 * they have the edit, and a document that bears the stamp is left alone: a node that runs its task twice changes nothing more.
 *
 * @param source a function that a node compiles
 * @param stamp the code of a sequence that no other write to the index has
 * @param hasContext whether the function is given a context
 * @param detailsJson the client's own details, which go along for {@link detailsOfGuarded}
 */
export function guardFunction(
  source: string,
  stamp: string,
  hasContext: boolean,
  detailsJson: string,
): string {
  const { definitions, outline, statements } = takeApart(source);
  const prefix = unusedPrefix(source);
  const [kept, base, before, shared, given] = ["kept", "base", "before", "shared", "given"].map(
    (name) => `${prefix}_${name}`,
  );
  const defines = (name: string, parameters: number) =>
    definitions.some((definition) => definition.name === name && definition.parameters === parameters);
  // A definition of the client's with the same number of parameters would be called in place of Meilisearch's.
  const remove = (field: string) =>
    defines("remove", 1) ? `remove(doc, "${field}");` : `doc.remove("${field}");`;
  const exits = (["", "value"] as const).filter((parameter) => !defines("exit", parameter === "" ? 0 : 1));
  return [
    `${outline}fn ${prefix}_run(doc${hasContext ? `, ${given}` : ""}) {${hasContext ? ` const context = ${given};` : ""}`,
    statements,
    "}",
    `let ${kept} = [doc.${SHARD_FIELD}, doc.${SEQUENCE_FIELD}];`,
    `let ${base} = ${kept}[1][0..${SEQUENCE_SYMBOLS}];`,
    `if ${kept}[1] != ${base} + "${stamp}" {`,
    `${remove(SHARD_FIELD)} ${remove(SEQUENCE_FIELD)}`,
    `let ${before} = doc;`,
    // A closure that names the variable is what makes it shared.
    `let ${shared} = || doc;`,
    `let ${shared} = curry(Fn("${prefix}_run"), doc${hasContext ? ", context" : ""});`,
    `${shared}.call();`,
    `if type_of(doc) == "map" {`,
    `if doc != ${before} { ${kept}[1] = ${base} + "${stamp}"; }`,
    `doc.${SHARD_FIELD} = ${kept}[0]; doc.${SEQUENCE_FIELD} = ${kept}[1];`,
    "} }",
    "let doc = doc;",
    ...exits.map((parameter) => `fn exit(${parameter}) { throw "${EXIT_REFUSAL}" }`),
    `//${detailsJson}`,
  ].join("\n");
}

/** The client's own details, from a function that {@link guardFunction} made. */
export function detailsOfGuarded(guarded: string): string {
  return guarded.slice(guarded.lastIndexOf("\n//") + "\n//".length);
}

/** A position at the end of a line, which is where Rhai prints them. */
const POSITION = /\(line (\d+), position (\d+)\)(?=\n|$)/g;
const GUARD_CALL = /\nin call to function 'miroir\d+_run' \(line \d+, position \d+\)(?=\n|$)/g;

/**
 * A node's error message about a guarded function as a node would word it about the client's: positions are those in the client's source.
 * An error that Rhai reports where the guard calls the function, such as too many operations, is shown at its beginning.
 *
 * @param source the client's function
 */
export function messageAboutClient(message: string, source: string): string {
  const { outline, statements } = takeApart(source);
  const outlined = countLines(outline);
  const first = outlined + 2;
  const last = first + countLines(statements);
  return withoutInjectedMembers(message)
    .replaceAll(GUARD_CALL, "")
    .replaceAll(POSITION, (position, line: string, column: string) => {
      const at = Number(line);
      if (at < first) return position;
      return at > last ? "(line 1, position 1)" : `(line ${at - first + 1}, position ${column})`;
    });
}

/** Meilisearch prints a document that lacks its primary key. */
function withoutInjectedMembers(message: string): string {
  const member = new RegExp(`"(?:${SHARD_FIELD}|${SEQUENCE_FIELD})":"[^"]*"`, "g");
  if (!member.test(message)) return message;
  return message
    .replaceAll(new RegExp(`,${member.source}|${member.source},`, "g"), "")
    .replaceAll(member, "");
}

interface Parts {
  readonly definitions: readonly FunctionDefinition[];
  /** The client's definitions at their own positions, which Rhai takes at the outermost level only; empty where there are none. */
  readonly outline: string;
  /** All else at its own position, with an open comment or string closed. */
  readonly statements: string;
}

function takeApart(source: string): Parts {
  const { tokens, closing } = readRhaiTokens(source);
  const definitions = readFunctionDefinitions(tokens);
  // To declare `doc` again is to assign to it, as far as Meilisearch can tell.
  const declarations = readDeclarations(tokens, "doc");
  let outline = "";
  let statements = "";
  let at = 0;
  for (const { start, end } of [...definitions, ...declarations].sort((a, b) => a.start - b.start)) {
    statements += source.slice(at, start) + blank(source.slice(start, end));
    at = end;
  }
  statements += source.slice(at) + closing;
  at = 0;
  for (const { start, end } of definitions) {
    outline += blank(source.slice(at, start)) + source.slice(start, end);
    at = end;
  }
  return { definitions, outline: outline === "" ? "" : `${outline}\n`, statements };
}

/** Spaces in the place of characters; one for each, as Rhai counts columns. */
function blank(text: string): string {
  return text.replaceAll(/[^\n]/gu, " ");
}

/** How often a new line begins. */
function countLines(text: string): number {
  return text.split("\n").length - 1;
}

/** A beginning of names that the client's function cannot reach, for it does not occur there. */
function unusedPrefix(source: string): string {
  for (let number = 0; ; number++) if (!source.includes(`miroir${number}`)) return `miroir${number}`;
}
