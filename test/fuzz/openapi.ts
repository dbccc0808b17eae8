import { readFileSync } from "node:fs";
import type { Operation, Parameter, Schema } from "./operations.js";

type Json = { readonly [name: string]: unknown };

const METHODS = ["get", "post", "put", "patch", "delete"];

/** How deep references are followed; what lies deeper is anything. */
const MAX_DEPTH = 12;

/**
 * The operations of an OpenAPI document, such as Meilisearch publishes with each release.
 *
 * @throws Error where the file is no OpenAPI document
 */
export function operationsOfOpenApi(file: string): Operation[] {
  const document = JSON.parse(readFileSync(file, "utf8")) as Json;
  if (!isObject(document.paths)) throw new Error(`${file} is no OpenAPI document: it has no paths`);
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = isObject(item) ? item[method] : undefined;
      return isObject(operation) ? [readOperation(document, method, path, operation)] : [];
    }),
  );
}

function readOperation(document: Json, method: string, path: string, operation: Json): Operation {
  const parameters = array(operation.parameters).flatMap((entry): Parameter[] => {
    const { name, in: place, schema } = isObject(entry) ? entry : {};
    if (typeof name !== "string" || (place !== "path" && place !== "query")) return [];
    return [{ name, in: place, schema: readSchema(document, schema) }];
  });
  const content = isObject(operation.requestBody) ? operation.requestBody.content : undefined;
  const [media] = isObject(content) ? Object.values(content) : [];
  const body = isObject(media) ? { body: readSchema(document, media.schema) } : {};
  return { method: method.toUpperCase(), path, parameters, ...body };
}

function readSchema(document: Json, given: unknown, depth = 0): Schema {
  if (!isObject(given) || depth > MAX_DEPTH) return { kind: "any" };
  const below = (one: unknown): Schema => readSchema(document, one, depth + 1);
  if (typeof given.$ref === "string") return below(resolve(document, given.$ref));
  const variants = given.oneOf ?? given.anyOf;
  if (Array.isArray(variants)) return { kind: "one", of: variants.map(below) };
  if (Array.isArray(given.allOf)) return merged(given.allOf.map(below));
  if (Array.isArray(given.enum)) return { kind: "text", choices: given.enum.map(String) };
  if (Array.isArray(given.type)) {
    return { kind: "one", of: given.type.map((type) => below({ ...given, type })) };
  }
  switch (given.type) {
    case "string":
      return { kind: "text" };
    case "integer":
    case "number":
    case "boolean":
    case "null":
      return { kind: given.type };
    case "array":
      return { kind: "list", of: below(given.items) };
    case "object": {
      if (!isObject(given.properties)) return { kind: "map", of: below(given.additionalProperties) };
      const members = Object.entries(given.properties).map(
        ([name, schema]) => [name, below(schema)] as const,
      );
      return {
        kind: "object",
        members: Object.fromEntries(members),
        required: array(given.required).map(String),
      };
    }
    default:
      return { kind: "any" };
  }
}

/** Objects that hold together. */
function merged(schemas: readonly Schema[]): Schema {
  const objects = schemas.filter((schema) => schema.kind === "object");
  if (objects.length === 0) return schemas[0] ?? { kind: "any" };
  return {
    kind: "object",
    members: Object.assign({}, ...objects.map(({ members }) => members)) as Record<string, Schema>,
    required: objects.flatMap(({ required }) => required),
  };
}

function resolve(document: Json, reference: string): unknown {
  return reference
    .replace(/^#\//, "")
    .split("/")
    .reduce<unknown>(
      (at, step) => (isObject(at) ? at[step.replace(/~1/g, "/").replace(/~0/g, "~")] : undefined),
      document,
    );
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
