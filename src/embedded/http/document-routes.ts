import { DOCUMENT_FORMATS, type DocumentFormat, printDocuments, readDocuments } from "../document-formats.js";
import { ApiError } from "../errors.js";
import type { JsonObject, JsonValue } from "../exact-json.js";
import { checkFilter, filterIds, parseFilterValue } from "../filter/evaluate.js";
import type { IndexState } from "../index-state.js";
import { renderDocument } from "../search/render.js";
import { parseSort, type SortCriterion, sortDocuments } from "../search/sort.js";
import * as check from "../validate.js";
import {
  booleanParameter,
  checkContentType,
  enqueue,
  existingIndex,
  indexUid,
  integerParameter,
  jsonBody,
  objectBody,
  type Reply,
  type RequestContext,
  type Route,
  refuseUnknownParameters,
} from "./context.js";

function addDocuments(context: RequestContext, method: "replace" | "update"): Reply {
  const uid = indexUid(context);
  const { query } = context;
  refuseUnknownParameters(query, ["primaryKey", "csvDelimiter", "customMetadata", "skipCreation"]);
  const skip = query.get("skipCreation") ?? "false";
  if (skip !== "true" && skip !== "false") {
    throw new ApiError(
      "invalid_skip_creation",
      `skipCreation must be either \`true\` or \`false\`. Found: \`${skip}\``,
    );
  }
  const type = checkContentType(context, Object.keys(DOCUMENT_FORMATS)) as keyof typeof DOCUMENT_FORMATS;
  const format: DocumentFormat = DOCUMENT_FORMATS[type];
  const delimiter = query.get("csvDelimiter");
  if (delimiter !== null && format !== "csv") {
    throw new ApiError(
      "invalid_content_type",
      `The Content-Type \`${type}\` does not support the use of a csv delimiter. The csv delimiter can only be used with the Content-Type \`text/csv\`.`,
    );
  }
  if (delimiter !== null && !/^[ -~]$/.test(delimiter)) {
    throw new ApiError(
      "invalid_document_csv_delimiter",
      `Invalid value in parameter \`csvDelimiter\`: csv delimiter must be an ascii character. Found: \`${delimiter}\``,
    );
  }
  const documents = readDocuments(context.body.toString("utf8"), format, delimiter ?? ",");
  return enqueue(
    context,
    uid,
    {
      kind: "addDocuments",
      method,
      primaryKey: query.get("primaryKey"),
      skipCreation: skip === "true",
      allowCreation: context.access.allows("indexes.create", uid),
      count: documents.length,
      lines: printDocuments(documents),
    },
    query.get("customMetadata"),
  );
}

/** What a request for documents asks for. */
interface DocumentsRequest {
  readonly offset: number;
  readonly limit: number;
  readonly fields: readonly string[] | undefined;
  readonly retrieveVectors: boolean;
  readonly ids: readonly string[] | undefined;
  readonly filter: JsonValue;
  readonly sort: readonly string[] | undefined;
}

function listDocuments(index: IndexState, request: DocumentsRequest): Reply {
  const context = { code: "invalid_document_filter", prefix: "" } as const;
  const filter = parseFilterValue(request.filter, context);
  if (filter !== undefined) {
    checkFilter(index, filter, context, typeof request.filter === "string" ? request.filter : undefined);
  }
  const criteria: SortCriterion[] | undefined =
    request.sort === undefined ? undefined : parseSort(index, request.sort, "invalid_document_sort", "");
  const wanted =
    request.ids === undefined
      ? index.ids
      : [...new Set(request.ids.flatMap((key) => index.idOf(key) ?? []))].sort((a, b) => a - b);
  const found = filterIds(index, filter, wanted);
  const ids = criteria === undefined ? found : sortDocuments(index, found, criteria);
  const results = ids
    .slice(request.offset, request.offset + request.limit)
    .map((id) => renderDocument(index, id, request.fields, request.retrieveVectors));
  return {
    status: 200,
    json: `{"results":[${results.join(",")}],"offset":${request.offset},"limit":${request.limit},"total":${ids.length}}`,
  };
}

const LIST_NAMES = ["offset", "limit", "fields", "retrieveVectors", "ids", "filter", "sort", "useNetwork"];

function listByQuery(context: RequestContext): Reply {
  const index = existingIndex(context);
  const { query } = context;
  refuseUnknownParameters(query, LIST_NAMES);
  const list = (name: string) => {
    const text = query.get(name);
    return text === null || text === "*" ? undefined : text.split(",").map((item) => item.trim());
  };
  return listDocuments(index, {
    offset: integerParameter(query, "offset", 0, "invalid_document_offset"),
    limit: integerParameter(query, "limit", 20, "invalid_document_limit"),
    fields: list("fields"),
    retrieveVectors: booleanParameter(query, "retrieveVectors", "invalid_document_retrieve_vectors") ?? false,
    ids: list("ids"),
    filter: query.get("filter"),
    sort: list("sort"),
  });
}

function fetchDocuments(context: RequestContext): Reply {
  const index = existingIndex(context);
  const body = objectBody(context);
  check.refuseUnknown(body, LIST_NAMES, { path: "", code: "bad_request" });
  const at = (name: string, code: string) => ({ path: `.${name}`, code });
  const strings = (name: string, code: string) => {
    const value = body[name];
    if (value === undefined || value === null) return undefined;
    const items = check.asStrings(value, at(name, code));
    return items.includes("*") ? undefined : items;
  };
  const ids = body.ids;
  return listDocuments(index, {
    offset: check.asPositiveInteger(body.offset ?? 0, at("offset", "invalid_document_offset")),
    limit: check.asPositiveInteger(body.limit ?? 20, at("limit", "invalid_document_limit")),
    fields: strings("fields", "invalid_document_fields"),
    retrieveVectors: check.asBoolean(
      body.retrieveVectors ?? false,
      at("retrieveVectors", "invalid_document_retrieve_vectors"),
    ),
    ids:
      ids === undefined || ids === null
        ? undefined
        : check.asArray(ids, at("ids", "invalid_document_ids")).map((id, i) => documentId(id, `.ids[${i}]`)),
    filter: body.filter ?? null,
    sort: strings("sort", "invalid_document_sort"),
  });
}

function documentId(value: JsonValue, path: string): string {
  if (typeof value === "number" && Number.isInteger(value)) return String(value);
  return check.asString(value, { path, code: "invalid_document_ids" });
}

function getDocument(context: RequestContext): Reply {
  const index = existingIndex(context);
  const { query } = context;
  refuseUnknownParameters(query, ["fields", "retrieveVectors"]);
  const key = context.params.document ?? "";
  const id = index.idOf(key);
  if (id === undefined) throw new ApiError("document_not_found", `Document \`${key}\` not found.`);
  const fields = query.get("fields");
  const vectors = booleanParameter(query, "retrieveVectors", "invalid_document_retrieve_vectors") ?? false;
  return {
    status: 200,
    json: renderDocument(
      index,
      id,
      fields === null || fields === "*" ? undefined : fields.split(","),
      vectors,
    ),
  };
}

function metadata(context: RequestContext): string | null {
  return context.query.get("customMetadata");
}

function deleteBatch(context: RequestContext): Reply {
  const uid = indexUid(context);
  const items = check.asArray(jsonBody(context), { path: "", code: "bad_request" });
  const ids = items.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
  return enqueue(context, uid, { kind: "deleteDocuments", ids }, metadata(context));
}

function deleteByFilter(context: RequestContext): Reply {
  const uid = indexUid(context);
  const body: JsonObject = objectBody(context);
  check.refuseUnknown(body, ["filter"], { path: "", code: "bad_request" });
  const { filter } = body;
  if (filter === undefined) throw new ApiError("missing_document_filter", "Missing field `filter`");
  if (parseFilterValue(filter, { code: "invalid_document_filter", prefix: "" }) === undefined) {
    throw new ApiError("invalid_document_filter", "Sending an empty filter is forbidden.");
  }
  return enqueue(context, uid, { kind: "deleteByFilter", filter }, metadata(context));
}

const DOCUMENTS = "/indexes/:uid/documents";

/** Documents of an index. */
export const DOCUMENT_ROUTES: readonly Route[] = [
  { method: "GET", path: DOCUMENTS, action: "documents.get", handle: listByQuery },
  {
    method: "POST",
    path: DOCUMENTS,
    action: "documents.add",
    handle: (context) => addDocuments(context, "replace"),
  },
  {
    method: "PUT",
    path: DOCUMENTS,
    action: "documents.add",
    handle: (context) => addDocuments(context, "update"),
  },
  {
    method: "DELETE",
    path: DOCUMENTS,
    action: "documents.delete",
    handle: (context) => enqueue(context, indexUid(context), { kind: "clearDocuments" }, metadata(context)),
  },
  { method: "POST", path: `${DOCUMENTS}/fetch`, action: "documents.get", handle: fetchDocuments },
  { method: "POST", path: `${DOCUMENTS}/delete-batch`, action: "documents.delete", handle: deleteBatch },
  { method: "POST", path: `${DOCUMENTS}/delete`, action: "documents.delete", handle: deleteByFilter },
  { method: "GET", path: `${DOCUMENTS}/:document`, action: "documents.get", handle: getDocument },
  {
    method: "DELETE",
    path: `${DOCUMENTS}/:document`,
    action: "documents.delete",
    handle: (context) =>
      enqueue(
        context,
        indexUid(context),
        { kind: "deleteDocuments", ids: [context.params.document ?? ""] },
        metadata(context),
      ),
  },
];
