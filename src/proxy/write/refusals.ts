import type { MeilisearchError } from "../../meilisearch/errors.js";
import type { ExposingToken } from "../../settings/canonical-settings.js";
import { apiError as refusal } from "../http/api-errors.js";

/** The formats of document additions. */
export type DocumentFormatName = "json" | "ndjson" | "csv";

/** The body is empty. */
export function missingPayload(format: string): MeilisearchError {
  return refusal(400, "missing_payload", `A ${format} payload is missing.`);
}

/** The body is no JSON; `reason` is cut in its middle where it is long, as Meilisearch does. */
export function malformedDocuments(format: DocumentFormatName, reason: string): MeilisearchError {
  const shown = reason.length > 138 ? `${reason.slice(0, 50)}...${reason.slice(reason.length - 85)}` : reason;
  return refusal(
    400,
    "malformed_payload",
    `The \`${format}\` payload provided is malformed. \`Couldn't serialize document value: ${shown}\`.`,
  );
}

/** The body is no CSV that Meilisearch takes. */
export function malformedCsv(reason: string): MeilisearchError {
  return refusal(400, "malformed_payload", `The \`csv\` payload provided is malformed: \`${reason}\`.`);
}

/** An element of the body is no object; Meilisearch answers so, too. */
export function notAnObject(message: string): MeilisearchError {
  return refusal(500, "internal", message, "internal");
}

/** A JSON body of another route is malformed. */
export function malformedJson(reason: string): MeilisearchError {
  return refusal(400, "malformed_payload", `The json payload provided is malformed. \`${reason}\`.`);
}

/** A JSON body has another shape than its route takes. */
export function badRequest(message: string): MeilisearchError {
  return refusal(400, "bad_request", message);
}

/** A refusal with any code of Meilisearch's and status 400. */
export function invalid(code: string, message: string): MeilisearchError {
  return refusal(400, code, message);
}

/** The compressed body cannot be decompressed, or the connection ended early. */
export function incompletePayload(cause: unknown): MeilisearchError {
  return refusal(
    400,
    "bad_request",
    "The provided payload is incomplete and cannot be parsed",
    "invalid_request",
    {
      cause,
    },
  );
}

/** The body is larger than it may be. */
export function payloadTooLarge(limit: number): MeilisearchError {
  return refusal(
    413,
    "payload_too_large",
    `The provided payload reached the size limit. The maximum accepted payload size is ${byteText(limit)}.`,
  );
}

/** One document is larger than it may be. */
export function documentTooLarge(message: string): MeilisearchError {
  return refusal(
    413,
    "payload_too_large",
    `The provided payload holds a document that is too large: ${message}.`,
  );
}

function byteText(bytes: number): string {
  const binary = bytes % 1024 === 0;
  const base = binary ? 1024 : 1000;
  const units = binary ? ["B", "KiB", "MiB", "GiB", "TiB"] : ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${units[unit]}`;
}

/** The header names no format that documents come in, or is absent. */
export function documentContentType(found: string | undefined): MeilisearchError {
  const accepted =
    "Accepted values for the Content-Type header are: `application/json`, `application/x-ndjson`, `text/csv`";
  return found === undefined
    ? refusal(415, "missing_content_type", `A Content-Type header is missing. ${accepted}`)
    : refusal(415, "invalid_content_type", `The Content-Type \`${found}\` is invalid. ${accepted}`);
}

/** A CSV delimiter was given for another format. */
export function delimiterWithoutCsv(contentType: string): MeilisearchError {
  return refusal(
    415,
    "invalid_content_type",
    `The Content-Type \`${contentType}\` does not support the use of a csv delimiter. The csv delimiter can only be used with the Content-Type \`text/csv\`.`,
  );
}

/** A document has a field that Miroir keeps for itself. */
export function reservedField(field: string): MeilisearchError {
  return refusal(
    400,
    "miroir_reserved_field",
    `The field \`${field}\` is reserved. Fields beginning with \`_miroir_\` belong to Miroir; rename the field. Only \`_miroir_expires_at\` may be sent.`,
  );
}

/** A settings change names an attribute that Miroir keeps for itself. */
export function reservedSetting(name: string): MeilisearchError {
  return refusal(
    400,
    "miroir_reserved_field",
    `The attribute \`${name}\` is reserved. Names beginning with \`_miroir_\` belong to Miroir and cannot be used in settings, except \`_miroir_expires_at\`.`,
  );
}

/** A tokenizer setting would make the codes searchable that Miroir keeps with every document. */
export function exposingSetting({ member, at, token }: ExposingToken): MeilisearchError {
  const code = `invalid_settings_${member === "dictionary" ? member : "non_separator_tokens"}`;
  const role = member === "dictionary" ? "a dictionary word" : "a non-separator token";
  return refusal(
    400,
    code,
    `Invalid value at \`.${member}[${at}]\`: \`${token}\` cannot be ${role}. Miroir keeps a code made of the separators \`(\`, \`)\`, \`,\`, \`;\`, \`[\`, \`]\`, \`{\` and \`}\` with every document, which must not be found by searches.`,
  );
}

/** Nothing was sent: too few in-sync copies could be reached (invariant 4). */
export function noQuorum(why: string, options: ErrorOptions = {}): MeilisearchError {
  return refusal(
    503,
    "miroir_no_quorum",
    `The write was not made: ${why}. Nothing was sent; repeat the write once the nodes answer.`,
    "system",
    { retryAfterSeconds: 1, ...options },
  );
}

/** Some nodes may hold the write and others not; it is being settled. Never "failed" (invariant 4). */
export function outcomeUnknown(
  taskUid: bigint | undefined,
  why: string,
  options: ErrorOptions = {},
): MeilisearchError {
  const task =
    taskUid === undefined ? "" : ` It is task ${taskUid}: once that task can be read, the write was made.`;
  return refusal(
    504,
    "miroir_write_outcome_unknown",
    `Whether the write was made is not known yet: ${why}. Miroir goes on settling it, and takes no other write to this index until it has.${task} Repeating it is safe where it is idempotent.`,
    "system",
    options,
  );
}

/** An earlier write to the index has not been settled. */
export function indexBlocked(indexUid: string, why: string): MeilisearchError {
  return refusal(
    503,
    "miroir_index_blocked",
    `Index \`${indexUid}\` takes no writes until the outcome of an earlier one is known: ${why}. Nothing was sent; repeat the write after a moment.`,
    "system",
    { retryAfterSeconds: 2 },
  );
}

/** A limit of the write path is reached. */
export function writesOverloaded(what: string): MeilisearchError {
  return refusal(
    503,
    "miroir_overloaded",
    `The write was not made: ${what}. Repeat it after a moment.`,
    "system",
    {
      retryAfterSeconds: 1,
    },
  );
}

/** The control plane is needed and does not answer. */
export function controlAway(what: string, cause: unknown): MeilisearchError {
  return refusal(
    503,
    "miroir_control_unavailable",
    `The write was not made: ${what} needs the control plane, which does not answer. Nothing was sent; repeat the write after a moment.`,
    "system",
    { retryAfterSeconds: 1, cause },
  );
}

/** The control plane refused a call. */
export function controlRefused(what: string, cause: Error): MeilisearchError {
  return refusal(
    503,
    "miroir_control_refused",
    `The write was not made: ${what} was refused: ${cause.message}`,
    "system",
    {
      retryAfterSeconds: 1,
      cause,
    },
  );
}

/** No valid lease: another proxy writes, or none does. */
export function noLease(reason: string): MeilisearchError {
  return refusal(
    503,
    "miroir_no_write_lease",
    `This proxy may not write now: ${reason}. Nothing was sent; repeat the write after a moment.`,
    "system",
    { retryAfterSeconds: 1 },
  );
}

/** The proxy is stopping. */
export function stopping(): MeilisearchError {
  return refusal(503, "miroir_stopping", "This proxy is stopping and takes no more writes.", "system", {
    retryAfterSeconds: 1,
  });
}
