import { currentIndex, currentView, printIndex, printIndexPage } from "../read/indexes.js";
import { apiError, checkedIndexUid, indexUidFault } from "./api-errors.js";
import { invalidKey } from "./authentication.js";
import { asObject, parseJsonBody, unknownField, wrongType } from "./json-values.js";
import { quotedList, readParameters, unsigned64 } from "./query-parameters.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const PAGE_PARAMETERS = {
  offset: { code: "invalid_index_offset", read: unsigned64 },
  limit: { code: "invalid_index_limit", read: unsigned64 },
} as const;

const DEFAULT_LIMIT = 20;

/** The catalogue of indexes. */
export function registerIndexes(routes: RouteTable, services: RouteServices): void {
  const { topology, writes, config } = services;
  const readBody = async (request: RouteRequest): Promise<unknown> =>
    parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));

  routes.on("GET", "/indexes", "indexes.get", async (request) => {
    const { offset = 0, limit = DEFAULT_LIMIT } = readParameters(request.query, PAGE_PARAMETERS);
    return {
      status: 200,
      body: printIndexPage(currentView(topology), offset, limit, (uid) => request.auth.allows(uid)),
    };
  });

  routes.on("GET", "/indexes/:indexUid", "indexes.get", async (request) => {
    const uid = checkedIndexUid(parameter(request, "indexUid"));
    return { status: 200, body: JSON.stringify(printIndex(currentIndex(topology, uid))) };
  });

  routes.on(
    "POST",
    "/indexes",
    "indexes.create",
    services.writeRouter.handleRead(async (request) => {
      const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
      const creation = readCreation(parseJsonBody(body));
      if (!request.auth.allowsCreating(creation.uid)) throw invalidKey();
      return { indexUid: creation.uid, body, write: () => writes.createIndex(creation, request.signal) };
    }),
  );

  routes.on(
    "PATCH",
    "/indexes/:indexUid",
    "indexes.update",
    services.writeRouter.handle(async (request) => {
      const change = readUpdate(await readBody(request));
      const uid = checkedIndexUid(parameter(request, "indexUid"));
      if (change.newUid !== undefined) checkedIndexUid(change.newUid);
      return writes.updateIndex(uid, change, request.signal);
    }),
  );

  routes.on(
    "DELETE",
    "/indexes/:indexUid",
    "indexes.delete",
    services.writeRouter.handle(async (request) =>
      writes.deleteIndex(checkedIndexUid(parameter(request, "indexUid")), request.signal),
    ),
  );
}

const CREATION_FIELDS = ["uid", "primaryKey"] as const;
const UPDATE_FIELDS = ["primaryKey", "uid"] as const;

function readCreation(body: unknown): { uid: string; primaryKey: string | undefined } {
  let uid: string | undefined;
  let primaryKey: string | undefined;
  for (const [name, value] of Object.entries(asObject(body))) {
    if (name === "uid") {
      if (typeof value !== "string") throw wrongType(".uid", "a string", value, "invalid_index_uid");
      const fault = indexUidFault(value);
      if (fault !== undefined)
        throw apiError(400, "invalid_index_uid", `Invalid value at \`.uid\`: ${fault}`);
      uid = value;
    } else if (name === "primaryKey")
      primaryKey = optionalText(value, ".primaryKey", "invalid_index_primary_key");
    else throw unknownField(name, CREATION_FIELDS);
  }
  if (uid === undefined) throw apiError(400, "missing_index_uid", "Missing field `uid`");
  return { uid, primaryKey };
}

function readUpdate(body: unknown): { primaryKey: string | undefined; newUid: string | undefined } {
  let newUid: string | undefined;
  let primaryKey: string | undefined;
  for (const [name, value] of Object.entries(asObject(body))) {
    if (name === "uid") newUid = optionalText(value, ".uid", "invalid_index_uid");
    else if (name === "primaryKey")
      primaryKey = optionalText(value, ".primaryKey", "invalid_index_primary_key");
    else if (name === "createdAt") throw immutableField(name, "immutable_index_created_at");
    else if (name === "updatedAt") throw immutableField(name, "immutable_index_updated_at");
    else throw unknownField(name, UPDATE_FIELDS);
  }
  return { primaryKey, newUid };
}

function optionalText(value: unknown, path: string, code: string): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "string") throw wrongType(path, "a string", value, code);
  return value;
}

function immutableField(name: string, code: string) {
  return apiError(400, code, `Immutable field \`${name}\`: expected one of ${quotedList(UPDATE_FIELDS)}`);
}
