import { ApiError } from "../errors.js";
import type { IndexSettings } from "../settings.js";
import { reset, resetAll, SETTING_ROUTES, validateSettings } from "../settings-validation.js";
import * as check from "../validate.js";
import {
  assertIndexAllowed,
  enqueue,
  existingIndex,
  indexUid,
  integerParameter,
  jsonBody,
  objectBody,
  type RequestContext,
  type Route,
  refuseUnknownParameters,
  reply,
} from "./context.js";
import { indexStats } from "./system-routes.js";

const BAD = { path: "", code: "bad_request" };

function optionalKey(
  object: Record<string, unknown>,
  name: "primaryKey" | "uid",
  code: string,
): string | null {
  const value = object[name];
  return value === undefined || value === null
    ? null
    : check.asString(value as string, { path: `.${name}`, code });
}

function validUid(uid: string): string {
  if (check.isIndexUid(uid)) return uid;
  throw check.invalidValue(check.indexUidMessage(uid), { path: ".uid", code: "invalid_index_uid" });
}

function createIndex(context: RequestContext) {
  const object = objectBody(context);
  check.refuseUnknown(object, ["uid", "primaryKey"], BAD);
  if (object.uid === undefined || object.uid === null)
    throw new ApiError("missing_index_uid", "Missing field `uid`");
  const uid = validUid(check.asString(object.uid, { path: ".uid", code: "invalid_index_uid" }));
  const primaryKey = optionalKey(object, "primaryKey", "invalid_index_primary_key");
  assertIndexAllowed(context, uid);
  return enqueue(context, uid, { kind: "createIndex", primaryKey });
}

function updateIndex(context: RequestContext) {
  const uid = indexUid(context);
  const object = objectBody(context);
  check.refuseUnknown(object, ["primaryKey", "uid"], BAD);
  const newUid = optionalKey(object, "uid", "invalid_index_uid");
  return enqueue(context, uid, {
    kind: "updateIndex",
    primaryKey: optionalKey(object, "primaryKey", "invalid_index_primary_key"),
    newUid: newUid === null ? null : validUid(newUid),
  });
}

function mayCreate(context: RequestContext, uid: string): boolean {
  return context.access.allows("indexes.create", uid);
}

const INDEX = "/indexes/:uid";

const SETTING_SUB_ROUTES: readonly Route[] = SETTING_ROUTES.flatMap(
  ({ name, route, method, code, validate }) => {
    const path = `${INDEX}/settings/${route}`;
    return [
      {
        method: "GET",
        path,
        action: "settings.get",
        handle: (context) =>
          reply((existingIndex(context).settings[name as keyof IndexSettings] ?? []) as never),
      },
      {
        method,
        path,
        action: "settings.update",
        handle: (context) => {
          const uid = indexUid(context);
          const value = jsonBody(context);
          const patch = { [name]: value === null ? reset(name) : validate(value, { path: "", code }) };
          return enqueue(context, uid, {
            kind: "updateSettings",
            patch,
            allowCreation: mayCreate(context, uid),
          });
        },
      },
      {
        method: "DELETE",
        path,
        action: "settings.update",
        handle: (context) => {
          const uid = indexUid(context);
          return enqueue(context, uid, {
            kind: "updateSettings",
            patch: { [name]: reset(name) },
            allowCreation: false,
          });
        },
      },
    ] satisfies Route[];
  },
);

/** Indexes and their settings. */
export const INDEX_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/indexes",
    action: "indexes.get",
    handle: ({ node, query, access }) => {
      refuseUnknownParameters(query, ["offset", "limit"]);
      const offset = integerParameter(query, "offset", 0, "invalid_index_offset");
      const limit = integerParameter(query, "limit", 20, "invalid_index_limit");
      const all = node.catalog.all().filter((index) => access.allows("indexes.get", index.uid));
      const results = all.slice(offset, offset + limit).map((index) => index.view);
      return reply({ results, offset, limit, total: all.length });
    },
  },
  { method: "POST", path: "/indexes", action: "indexes.create", handle: createIndex },
  {
    method: "GET",
    path: INDEX,
    action: "indexes.get",
    handle: (context) => reply(existingIndex(context).view),
  },
  { method: "PATCH", path: INDEX, action: "indexes.update", handle: updateIndex },
  {
    method: "DELETE",
    path: INDEX,
    action: "indexes.delete",
    handle: (context) => enqueue(context, indexUid(context), { kind: "deleteIndex" }),
  },
  {
    method: "GET",
    path: `${INDEX}/stats`,
    action: "stats.get",
    handle: (context) => {
      const index = existingIndex(context);
      return reply(indexStats(index, context.node.queue.isProcessing(index.uid)));
    },
  },
  {
    method: "GET",
    path: `${INDEX}/settings`,
    action: "settings.get",
    handle: (context) => ({ status: 200, json: JSON.stringify(existingIndex(context).settings) }),
  },
  {
    method: "PATCH",
    path: `${INDEX}/settings`,
    action: "settings.update",
    handle: (context) => {
      const uid = indexUid(context);
      const patch = validateSettings(jsonBody(context));
      return enqueue(context, uid, { kind: "updateSettings", patch, allowCreation: mayCreate(context, uid) });
    },
  },
  {
    method: "DELETE",
    path: `${INDEX}/settings`,
    action: "settings.update",
    handle: (context) =>
      enqueue(context, indexUid(context), {
        kind: "updateSettings",
        patch: resetAll(),
        allowCreation: false,
      }),
  },
  ...SETTING_SUB_ROUTES,
];
