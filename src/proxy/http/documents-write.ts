import type { DocumentWriteKind, WriteResult } from "../write/types.js";
import { checkedIndexUid } from "./api-errors.js";
import { ParameterFault, type ParameterReader, readParameters, text } from "./query-parameters.js";
import { checkAnnouncedLength, checkContentType } from "./request-body.js";
import { parameter, type RouteAccess, type RouteMethod, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const delimiter: ParameterReader<string> = (value) => {
  const characters = [...value];
  if (characters.length !== 1) {
    return new ParameterFault(
      characters.length === 0
        ? "expected a string of one character, but found an empty string"
        : `expected a string of one character, but found the following string of ${characters.length} characters: \`${value}\``,
    );
  }
  if (value.charCodeAt(0) < 0x80) return value;
  return new ParameterFault(`csv delimiter must be an ascii character. Found: \`${value}\``, undefined, true);
};

const caselessBoolean: ParameterReader<boolean> = (value) => {
  const lower = value.toLowerCase();
  if (lower === "true") return true;
  if (lower === "false") return false;
  return new ParameterFault(
    `skipCreation must be either \`true\` or \`false\`. Found: \`${value}\``,
    undefined,
    true,
  );
};

const customMetadata = { code: "invalid_index_custom_metadata", read: text } as const;

const ADDITION_PARAMETERS = {
  primaryKey: { code: "invalid_index_primary_key", read: text },
  csvDelimiter: { code: "invalid_document_csv_delimiter", read: delimiter },
  customMetadata,
  skipCreation: { code: "invalid_skip_creation", read: caselessBoolean },
} as const;

const OTHER_PARAMETERS = { customMetadata } as const;

/** The routes that write documents. Bodies go to the write path as they arrive. */
export function registerDocumentsWrite(routes: RouteTable, services: RouteServices): void {
  const additions: readonly (readonly [RouteMethod, DocumentWriteKind])[] = [
    ["POST", "replace"],
    ["PUT", "update"],
  ];
  for (const [method, kind] of additions) {
    routes.on(
      method,
      "/indexes/:indexUid/documents",
      "documents.add",
      services.writeRouter.handle(async (request) => {
        const given = readParameters(request.query, ADDITION_PARAMETERS);
        const result = await services.writes.submit(
          {
            kind,
            indexUid: checkedIndexUid(parameter(request, "indexUid")),
            contentType: request.contentType,
            contentEncoding: request.headers["content-encoding"],
            body: request.stream,
            mayCreateIndex: request.auth.allowsCreating(parameter(request, "indexUid")),
            ...given,
          },
          request.signal,
        );
        return withMetadata(result, given.customMetadata);
      }),
    );
  }

  const others: readonly (readonly [RouteMethod, string, RouteAccess, DocumentWriteKind])[] = [
    ["DELETE", "/indexes/:indexUid/documents", "documents.delete", "delete-all"],
    ["DELETE", "/indexes/:indexUid/documents/:documentId", "documents.delete", "delete-one"],
    ["POST", "/indexes/:indexUid/documents/delete-batch", "documents.delete", "delete-batch"],
    ["POST", "/indexes/:indexUid/documents/delete", "documents.delete", "delete-by-filter"],
    ["POST", "/indexes/:indexUid/documents/edit", "documents.*", "edit"],
  ];
  for (const [method, path, access, kind] of others) {
    routes.on(
      method,
      path,
      access,
      services.writeRouter.handle(async (request) => {
        const given = readParameters(request.query, OTHER_PARAMETERS);
        if (method === "POST") {
          checkContentType(request.contentType, ["application/json"]);
          checkAnnouncedLength(request.headers["content-length"], services.config.maxBodyBytes);
        }
        const result = await services.writes.submit(
          {
            kind,
            indexUid: parameter(request, "indexUid"),
            contentType: request.contentType,
            contentEncoding: request.headers["content-encoding"],
            body: request.stream,
            ...(kind === "delete-one" ? { documentId: parameter(request, "documentId") } : {}),
            ...given,
          },
          request.signal,
        );
        return withMetadata(result, given.customMetadata);
      }),
    );
  }
}

/** The answer to a write shows the client's own text, last. */
function withMetadata(result: WriteResult, customMetadata: string | undefined): WriteResult {
  if (customMetadata === undefined) return result;
  const body = { ...result.body, customMetadata };
  return { ...result, body };
}
