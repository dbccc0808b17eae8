import { documentQueryOf, documentQueryOfQuery } from "../read/document-query.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** The routes that read documents. */
export function registerDocumentsRead(routes: RouteTable, { documents, config }: RouteServices): void {
  routes.on("GET", "/indexes/:indexUid/documents", "documents.get", async (request) => {
    const original = {
      method: "GET",
      path: `/documents${request.query === "" ? "" : `?${request.query}`}`,
    } as const;
    const query = documentQueryOfQuery(request.query);
    const answer = await documents.list(parameter(request, "indexUid"), query, original, request.signal);
    return { status: 200, ...answer };
  });

  routes.on("POST", "/indexes/:indexUid/documents/fetch", "documents.get", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    parseJsonBody(body);
    const original = { method: "POST", path: "/documents/fetch", body } as const;
    const query = documentQueryOf(body);
    const answer = await documents.list(parameter(request, "indexUid"), query, original, request.signal);
    return { status: 200, ...answer };
  });

  routes.on("GET", "/indexes/:indexUid/documents/:documentId", "documents.get", async (request) => {
    const uid = parameter(request, "indexUid");
    const id = parameter(request, "documentId");
    return { status: 200, ...(await documents.get(uid, id, request.query, request.signal)) };
  });
}
