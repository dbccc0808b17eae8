import { printDocument } from "../documents.js";
import { ApiError } from "../errors.js";
import type { JsonObject } from "../exact-json.js";
import { readFaults } from "../faults.js";
import type { IndexState } from "../index-state.js";
import { vectorsOf } from "../search/vectors.js";
import type { IndexSwap } from "../tasks.js";
import * as check from "../validate.js";
import { EMBEDDED_VERSION } from "../version.js";
import {
  assertIndexAllowed,
  enqueue,
  integerParameter,
  jsonBody,
  type RequestContext,
  type Route,
  reply,
} from "./context.js";

/** The statistics of one index. */
export function indexStats(index: IndexState, isIndexing: boolean): JsonObject {
  let size = 0;
  let embeddings = 0;
  let embedded = 0;
  const distribution: Record<string, number> = {};
  const embedders = Object.keys(index.settings.embedders);
  for (const id of index.ids) {
    const document = index.document(id);
    if (document === undefined) continue;
    size += Buffer.byteLength(printDocument(document));
    for (const name of document.keys())
      if (name !== "_vectors") distribution[name] = (distribution[name] ?? 0) + 1;
    const count = embedders.reduce((sum, embedder) => sum + vectorsOf(document, embedder).length, 0);
    embeddings += count;
    if (count > 0) embedded++;
  }
  return {
    numberOfDocuments: index.documentCount,
    rawDocumentDbSize: size,
    avgDocumentSize: index.documentCount === 0 ? 0 : Math.floor(size / index.documentCount),
    isIndexing,
    numberOfEmbeddings: embeddings,
    numberOfEmbeddedDocuments: embedded,
    fieldDistribution: Object.fromEntries(Object.entries(distribution).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function stats({ node, access }: RequestContext) {
  const indexes = node.catalog.all().filter((index) => access.allows("stats.get", index.uid));
  const updates = indexes.map((index) => index.updatedAt).sort();
  const entries = indexes.map(
    (index) => [index.uid, indexStats(index, node.queue.isProcessing(index.uid))] as const,
  );
  const used = entries.reduce((sum, [, value]) => sum + Number(value.rawDocumentDbSize), 0);
  return reply({
    databaseSize: used + 65_536,
    usedDatabaseSize: used + 4_096,
    lastUpdate: updates.at(-1) ?? null,
    indexes: Object.fromEntries(entries),
  });
}

function readSwaps(context: RequestContext): IndexSwap[] {
  const items = check.asArray(jsonBody(context), { path: "", code: "bad_request" });
  const seen = new Set<string>();
  return items.map((item, i) => {
    const place = { path: `[${i}]`, code: "bad_request" };
    const object = check.asObject(item, place);
    check.refuseUnknown(object, ["indexes", "rename"], place);
    if (object.indexes === undefined) {
      throw new ApiError("missing_swap_indexes", `Missing field \`indexes\` inside \`[${i}]\``);
    }
    const names = check.asStrings(object.indexes, { path: `[${i}].indexes`, code: "invalid_swap_indexes" });
    const rename = check.asBoolean(object.rename ?? false, {
      path: `[${i}].rename`,
      code: "invalid_swap_rename",
    });
    for (const [j, uid] of names.entries()) {
      if (!check.isIndexUid(uid)) {
        throw check.invalidValue(check.indexUidMessage(uid), {
          path: `[${i}].indexes[${j}]`,
          code: "invalid_swap_indexes",
        });
      }
    }
    const [one, two] = names;
    if (one === undefined || two === undefined || names.length !== 2) {
      throw new ApiError(
        "invalid_swap_indexes",
        `Two indexes must be given for each swap. The list \`${JSON.stringify(names).replaceAll(",", ", ")}\` contains ${names.length} indexes.`,
      );
    }
    for (const uid of [one, two]) {
      assertIndexAllowed(context, uid);
      if (seen.has(uid)) {
        throw new ApiError(
          "invalid_swap_duplicate_index_found",
          `Indexes must be declared only once during a swap. \`${uid}\` was specified several times.`,
        );
      }
      seen.add(uid);
    }
    return { indexes: [one, two], rename };
  });
}

const EXPERIMENTAL_FEATURES = [
  "metrics",
  "logsRoute",
  "editDocumentsByFunction",
  "containsFilter",
  "dynamicSearchRules",
  "network",
  "getTaskDocumentsRoute",
  "taskQueueCompactionRoute",
  "compositeEmbedders",
  "chatCompletions",
  "multimodal",
  "foreignKeys",
  "disableDocumentsFetchQueue",
  "legacySearch",
  "renderRoute",
];

/** Health, version, statistics, keys, swaps. */
export const SYSTEM_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/",
    action: null,
    handle: () => reply({ status: "Miroir's embedded node is running" }),
  },
  { method: "GET", path: "/health", action: null, handle: () => reply({ status: "available" }) },
  { method: "GET", path: "/version", action: "version", handle: () => reply({ ...EMBEDDED_VERSION }) },
  { method: "GET", path: "/stats", action: "stats.get", handle: stats },
  {
    method: "GET",
    path: "/experimental-features",
    action: "experimental.get",
    handle: () =>
      reply(Object.fromEntries(EXPERIMENTAL_FEATURES.map((name) => [name, name === "containsFilter"]))),
  },
  {
    method: "POST",
    path: "/swap-indexes",
    action: "indexes.swap",
    handle: (context) => enqueue(context, null, { kind: "swapIndexes", swaps: readSwaps(context) }),
  },
  {
    method: "GET",
    path: "/keys",
    action: "keys.get",
    handle: ({ node, query }) => {
      const offset = integerParameter(query, "offset", 0, "invalid_api_key_offset");
      const limit = integerParameter(query, "limit", 20, "invalid_api_key_limit");
      const keys = node.keys.list();
      const results = keys.slice(offset, offset + limit).map((key) => node.keys.view(key));
      return reply({ results, offset, limit, total: keys.length });
    },
  },
  {
    method: "POST",
    path: "/keys",
    action: "keys.create",
    handle: (context) => {
      const { keys } = context.node;
      return reply(keys.view(keys.create(jsonBody(context))), 201);
    },
  },
  {
    method: "GET",
    path: "/keys/:key",
    action: "keys.get",
    handle: ({ node, params }) => reply(node.keys.view(node.keys.get(params.key ?? ""))),
  },
  {
    method: "PATCH",
    path: "/keys/:key",
    action: "keys.update",
    handle: (context) => {
      const { keys } = context.node;
      return reply(keys.view(keys.update(context.params.key ?? "", jsonBody(context))));
    },
  },
  {
    method: "DELETE",
    path: "/keys/:key",
    action: "keys.delete",
    handle: ({ node, params }) => {
      node.keys.delete(params.key ?? "");
      return { status: 204 };
    },
  },
];

/** The control of faults, served only where it was asked for. */
export const FAULT_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/_embedded/faults",
    action: null,
    handle: ({ node }) => reply({ faults: node.faults.view }),
  },
  {
    method: "PUT",
    path: "/_embedded/faults",
    action: null,
    handle: (context) => {
      try {
        const { faults, seed } = readFaults(jsonBody(context));
        context.node.faults.set(faults, seed);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        throw new ApiError("bad_request", error.message);
      }
      return reply({ faults: context.node.faults.view });
    },
  },
  {
    method: "DELETE",
    path: "/_embedded/faults",
    action: null,
    handle: ({ node }) => {
      node.faults.set([], 1);
      return { status: 204 };
    },
  },
];
