import { JsonSyntaxError } from "../../json/scan.js";
import { validateJson } from "../../json/validate.js";
import { apiError } from "./api-errors.js";
import { didYouMean } from "./did-you-mean.js";
import { quotedList } from "./query-parameters.js";

/**
 * Parses a request's JSON body.
 *
 * @throws MeilisearchError `missing_payload` for an empty body, `malformed_payload` for one that is not JSON
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) throw apiError(400, "missing_payload", "A json payload is missing.");
  try {
    // Stricter than `JSON.parse`, which lets lone surrogates, broken UTF-8 and any depth pass.
    validateJson(body);
    return JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw malformedPayload(body, cause);
  }
}

/** 400 for a body that is not JSON, with the position that Meilisearch would report. */
export function malformedPayload(body: Buffer, cause: unknown) {
  return apiError(
    400,
    "malformed_payload",
    `The json payload provided is malformed. \`${faultOf(body, cause)}\`.`,
    "invalid_request",
    { cause },
  );
}

function faultOf(body: Buffer, cause: unknown): string {
  try {
    validateJson(body);
  } catch (fault) {
    if (fault instanceof JsonSyntaxError) return fault.message;
    throw fault;
  }
  return cause instanceof Error ? cause.message : String(cause);
}

/** The body as an object, or what `path` names in it. @throws MeilisearchError `bad_request` for any other value */
export function asObject(value: unknown, path = ""): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw wrongType(path, "an object", value, "bad_request");
}

/** 400 for a member that the route does not know; `inside` as `[0]` for one that is not of the body itself. */
export function unknownField(name: string, accepted: readonly string[], inside?: string) {
  const place = inside === undefined ? "" : ` inside \`${inside}\``;
  return apiError(
    400,
    "bad_request",
    `Unknown field \`${name}\`${place}: ${didYouMean(name, accepted)}expected one of ${quotedList(accepted)}`,
  );
}

/** 400 for a value of another type than expected; `path` as `.member`, empty for the body itself. */
export function wrongType(path: string, expected: string, actual: unknown, code: string) {
  const place = path === "" ? "" : ` at \`${path}\``;
  return apiError(
    400,
    code,
    `Invalid value type${place}: expected ${expected}, but found ${describeValue(actual)}`,
  );
}

function describeValue(value: unknown): string {
  if (value === null) return "null";
  return `${kindOf(value)}: \`${JSON.stringify(value)}\``;
}

function kindOf(value: unknown): string {
  switch (typeof value) {
    case "boolean":
      return "a boolean";
    case "string":
      return "a string";
    case "number":
      if (!Number.isInteger(value)) return "a number";
      return value < 0 ? "a negative integer" : "a positive integer";
    default:
      return Array.isArray(value) ? "an array" : "an object";
  }
}
