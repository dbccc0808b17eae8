import type { Catalog } from "./catalog.js";
import { type Document, documentKey, geoPoint, inferPrimaryKey, parseDocument } from "./documents.js";
import { ApiError, type ErrorBody, indexNotFound } from "./errors.js";
import type { JsonObject } from "./exact-json.js";
import { checkFilter, filterIds, parseFilterValue } from "./filter/evaluate.js";
import type { DocumentChange, IndexState } from "./index-state.js";
import { checkVectors, checkVectorsPresent } from "./search/vectors.js";
import type { Task, TaskContent } from "./tasks.js";

/** How a task ended: its details, and the error if it failed. */
export interface Outcome {
  readonly details: JsonObject;
  readonly error: ErrorBody | null;
}

type Content<K extends TaskContent["kind"]> = Extract<TaskContent, { kind: K }>;

/** A failure that all tasks of a batch share. */
class BatchFailure extends Error {
  override readonly name = "BatchFailure";
  readonly body: ErrorBody;

  constructor(error: ApiError, index: string) {
    super(error.message, { cause: error });
    this.body = { ...error.body, message: `Index \`${index}\`: ${error.message}` };
  }
}

/**
 * Processes the tasks of one batch, which share an index and may be processed together.
 *
 * @returns the outcome of each task, in order. Changes are all made, or none where the whole batch failed.
 */
export function runBatch(catalog: Catalog, tasks: readonly Task[]): Outcome[] {
  try {
    const kinds = new Set(tasks.map((task) => task.content?.kind));
    if (kinds.has("clearDocuments")) return runClear(catalog, tasks);
    if (kinds.has("addDocuments") || kinds.has("deleteDocuments") || kinds.has("deleteByFilter")) {
      return runDocuments(catalog, tasks);
    }
    return tasks.map((task) => attempt(task, () => runSingle(catalog, task)));
  } catch (error) {
    if (!(error instanceof BatchFailure)) throw error;
    return tasks.map((task) => ({ details: task.details, error: error.body }));
  }
}

function attempt(task: Task, run: () => JsonObject): Outcome {
  try {
    return { details: run(), error: null };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { details: task.details, error: error.body };
  }
}

function runClear(catalog: Catalog, tasks: readonly Task[]): Outcome[] {
  const uid = tasks[0]?.indexUid ?? "";
  const index = catalog.find(uid);
  if (index === undefined)
    return tasks.map((task) => ({ details: task.details, error: indexNotFound(uid).body }));
  let deleted = index.documentCount;
  index.clear();
  return tasks.map((task) => {
    const details: JsonObject = { ...task.details };
    if ("indexedDocuments" in details) details.indexedDocuments = 0;
    if ("deletedDocuments" in details) {
      details.deletedDocuments = deleted;
      deleted = 0;
    }
    return { details, error: null };
  });
}

function runDocuments(catalog: Catalog, tasks: readonly Task[]): Outcome[] {
  const uid = tasks[0]?.indexUid ?? "";
  let index = catalog.find(uid);
  if (index === undefined) {
    const creates = tasks.some((task) => task.content?.kind === "addDocuments" && task.content.allowCreation);
    if (!creates) return tasks.map((task) => ({ details: task.details, error: indexNotFound(uid).body }));
    index = catalog.create(uid, null);
  }
  const target = index;
  const changes = new Map<string, DocumentChange>();
  const outcomes = tasks.map((task) => attempt(task, () => stageTask(target, task, changes)));
  try {
    const written = [...changes].flatMap(([key, document]) =>
      document === undefined ? [] : [[key, document] as const],
    );
    for (const [key, document] of written) checkDocument(target, key, document);
    checkVectorsPresent(written, target.settings.embedders);
  } catch (error) {
    if (error instanceof ApiError) throw new BatchFailure(error, uid);
    throw error;
  }
  if (changes.size > 0) target.change(changes);
  return outcomes;
}

function checkDocument(index: IndexState, key: string, document: Document): void {
  if (index.usesGeo) geoPoint(document, key);
  checkVectors(document, key, index.settings.embedders);
}

function stageTask(index: IndexState, task: Task, changes: Map<string, DocumentChange>): JsonObject {
  const { content } = task;
  if (content?.kind === "addDocuments") return stageAddition(index, task, content, changes);
  const keys = content?.kind === "deleteDocuments" ? content.ids : keysByFilter(index, content, changes);
  let deleted = 0;
  for (const key of keys) {
    if (!(changes.has(key) ? changes.get(key) !== undefined : index.idOf(key) !== undefined)) continue;
    changes.set(key, undefined);
    deleted++;
  }
  return { ...task.details, deletedDocuments: deleted };
}

function keysByFilter(
  index: IndexState,
  content: TaskContent | null,
  changes: Map<string, DocumentChange>,
): string[] {
  if (content?.kind !== "deleteByFilter") return [];
  // A filter sees what the tasks before it in the batch have done.
  if (changes.size > 0) {
    index.change(changes);
    changes.clear();
  }
  const context = { code: "invalid_document_filter", prefix: "" } as const;
  try {
    const filter = parseFilterValue(content.filter, context);
    if (filter === undefined) return [];
    const source = typeof content.filter === "string" ? content.filter : undefined;
    checkFilter(index, filter, context, source);
    return filterIds(index, filter, index.ids).map((id) => index.keyOf(id));
  } catch (error) {
    if (error instanceof ApiError) throw new BatchFailure(error, index.uid);
    throw error;
  }
}

function stageAddition(
  index: IndexState,
  task: Task,
  content: Content<"addDocuments">,
  changes: Map<string, DocumentChange>,
): JsonObject {
  const documents = content.lines === "" ? [] : content.lines.split("\n").map(parseDocument);
  const given = content.primaryKey;
  if (given !== null && index.primaryKey !== null && given !== index.primaryKey) {
    throw new ApiError(
      "index_primary_key_already_exists",
      `Index already has a primary key: \`${index.primaryKey}\`.`,
    );
  }
  if (documents.length === 0) return { ...task.details, indexedDocuments: 0 };
  const primaryKey = index.primaryKey ?? given ?? inferPrimaryKey(documents[0]);
  const keyed = documents.map((document) => [documentKey(document, primaryKey), document] as const);
  if (index.primaryKey === null) index.setPrimaryKey(primaryKey);
  for (const [key, document] of keyed) {
    const id = index.idOf(key);
    const existing = changes.has(key) ? changes.get(key) : id === undefined ? undefined : index.document(id);
    if (existing === undefined && content.skipCreation) continue;
    changes.set(
      key,
      content.method === "replace" || existing === undefined ? document : new Map([...existing, ...document]),
    );
  }
  return { ...task.details, indexedDocuments: new Set(keyed.map(([key]) => key)).size };
}

function runSingle(catalog: Catalog, task: Task): JsonObject {
  const uid = task.indexUid ?? "";
  const { content, details } = task;
  switch (content?.kind) {
    case "createIndex":
      if (catalog.find(uid) !== undefined) throw alreadyExists(uid);
      catalog.create(uid, content.primaryKey);
      return details;
    case "updateIndex":
      return updateIndex(catalog, uid, content, task);
    case "deleteIndex": {
      const deleted = catalog.get(uid).documentCount;
      catalog.delete(uid);
      return { ...details, deletedDocuments: deleted };
    }
    case "updateSettings": {
      if (catalog.find(uid) === undefined && !content.allowCreation) throw indexNotFound(uid);
      const index = catalog.find(uid) ?? catalog.create(uid, null);
      const before = index.settings;
      index.changeSettings(content.patch);
      if (index.usesGeo) {
        for (const id of index.ids) {
          const document = index.document(id);
          try {
            if (document !== undefined) geoPoint(document, index.keyOf(id));
          } catch (error) {
            index.changeSettings(before as unknown as JsonObject);
            if (error instanceof ApiError)
              throw new ApiError(error.code, `Index \`${uid}\`: ${error.message}`);
            throw error;
          }
        }
      }
      return details;
    }
    case "swapIndexes":
      swapIndexes(catalog, content);
      return details;
    default:
      throw new ApiError("internal", `the embedded node cannot process a task of type ${task.type}`);
  }
}

function alreadyExists(uid: string): ApiError {
  return new ApiError("index_already_exists", `Index \`${uid}\` already exists.`);
}

function updateIndex(catalog: Catalog, uid: string, content: Content<"updateIndex">, task: Task): JsonObject {
  const index = catalog.get(uid);
  const { primaryKey, newUid } = content;
  if (newUid !== null) {
    if (catalog.find(newUid) !== undefined) throw alreadyExists(newUid);
    catalog.rename(uid, newUid);
  }
  if (primaryKey !== null) {
    if (index.documentCount > 0 && index.primaryKey !== null && index.primaryKey !== primaryKey) {
      throw new ApiError(
        "index_primary_key_already_exists",
        `Index \`${uid}\`: Index already has a primary key: \`${index.primaryKey}\`.`,
      );
    }
    index.setPrimaryKey(primaryKey);
  }
  return task.details;
}

function swapIndexes(catalog: Catalog, content: Content<"swapIndexes">): void {
  const missing = new Set<string>();
  for (const { indexes, rename } of content.swaps) {
    for (const uid of rename ? indexes.slice(0, 1) : indexes)
      if (catalog.find(uid) === undefined) missing.add(uid);
    const [from, to] = indexes;
    if (rename && missing.size === 0 && catalog.find(to) !== undefined) {
      throw new ApiError(
        "index_already_exists",
        `Cannot rename \`${from}\` to \`${to}\` as the index already exists. Hint: You can remove \`${to}\` first and then do your remove.`,
      );
    }
  }
  const names = [...missing].sort();
  const [only] = names;
  if (only !== undefined && names.length === 1) throw indexNotFound(only);
  if (names.length > 1) {
    throw new ApiError(
      "index_not_found",
      `Indexes ${names.map((name) => `\`${name}\``).join(", ")} not found.`,
    );
  }
  for (const { indexes, rename } of content.swaps) {
    if (rename) catalog.rename(indexes[0], indexes[1]);
    else catalog.swap(indexes[0], indexes[1]);
  }
}
