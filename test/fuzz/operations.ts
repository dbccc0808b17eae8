/** What values a member, a parameter or a body takes: as much of a schema as requests are made from. */
export type Schema =
  | { readonly kind: "any" | "null" | "integer" | "number" | "boolean" }
  /** One of a few words where there are `choices`. */
  | { readonly kind: "text"; readonly choices?: readonly string[] }
  | { readonly kind: "list" | "map"; readonly of: Schema }
  | {
      readonly kind: "object";
      readonly members: Readonly<Record<string, Schema>>;
      readonly required: readonly string[];
    }
  | { readonly kind: "one"; readonly of: readonly Schema[] };

/** A parameter of a path or a query string. */
export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly schema: Schema;
}

/** One method of one route. */
export interface Operation {
  readonly method: string;
  /** With `{name}` where a parameter stands. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body?: Schema;
}

/**
 * What is not sent, because of what it does besides answering: whole copies on disk, connections that stay open, calls to
 * other machines, or another kind of server than before.
 */
const HARMFUL: readonly RegExp[] = [
  /^POST \/dumps$/,
  /^POST \/snapshots$/,
  /^POST \/logs\/stream$/,
  /^POST \/export$/,
  /^PATCH \/network$/,
  /^POST \/network\/control$/,
  /^POST \/chats\/.*completions$/,
  /^POST \/tasks\/compact$/,
];

/** Whether an operation may be sent thousands of times to servers that go on living. */
export function isHarmless({ method, path }: Operation): boolean {
  return !HARMFUL.some((pattern) => pattern.test(`${method} ${path}`));
}
