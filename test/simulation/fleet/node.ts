import { createHash } from "node:crypto";
import type { NodeRequest, NodeResponse } from "../../../src/meilisearch/transport.js";
import { parseShardCode } from "../../../src/placement/injected-fields.js";
import { DEFAULT_CLIENT_SETTINGS } from "../../../src/settings/canonical-settings.js";
import type { VirtualWorld } from "../virtual-world.js";
import {
  type FetchQuery,
  type Fields,
  type FilterValue,
  fetchDocuments,
  filterTest,
  NodeFault,
  type PhysicalIndex,
} from "./node-documents.js";
import {
  copyDatabase,
  type Database,
  emptyDatabase,
  isFinal,
  NodeQueue,
  type QueuedTask,
  type QueueTuning,
  type Work,
} from "./node-queue.js";

/** What a node comes back with. */
export type Disk = "kept" | "old" | "empty" | "payloads-lost";

/** Ways in which a node is no help, as planted faults. */
export interface NodeFaults {
  /** All generations of an index have one name, and renames do nothing. */
  readonly sameNames?: boolean;
  /** Bodies that a power cut took are reported as indexed. */
  readonly hiddenLosses?: boolean;
}

/**
 * A Meilisearch server as Miroir meets it: keys, indexes, documents and the task log, over the requests that Miroir makes.
 * What it does in crashes and batches is what was measured on real ones.
 */
export class SimulatedMeilisearch {
  readonly queue: NodeQueue;
  private database = emptyDatabase();
  private backup: Database | undefined;
  /** By the one name of an index: the name that it was to get last. */
  private readonly lastNames = new Map<string, string>();

  constructor(
    readonly id: string,
    readonly masterKey: string,
    world: VirtualWorld,
    tuning: QueueTuning,
    private readonly faults: NodeFaults = {},
  ) {
    this.queue = new NodeQueue(this.database, world, tuning);
  }

  get up(): boolean {
    return this.queue.up;
  }

  get indexes(): ReadonlyMap<string, PhysicalIndex> {
    return this.database.indexes;
  }

  get tasks(): readonly QueuedTask[] {
    return this.database.tasks;
  }

  /** Keeps the present state of the disk for {@link start}. */
  keepCopy(): void {
    this.backup = copyDatabase(this.database);
  }

  kill(): void {
    this.queue.kill();
  }

  start(disk: Disk = "kept"): void {
    if (disk === "empty") this.database = emptyDatabase();
    if (disk === "old") this.database = copyDatabase(this.backup ?? this.database);
    if (disk === "payloads-lost") this.losePayloads();
    this.queue.start(this.database);
  }

  /** Executes a request whose body has arrived whole; `key` is what its sender has shown. */
  execute(request: NodeRequest, body: string, key: string): NodeResponse {
    try {
      return this.faults.sameNames === true
        ? this.answerUnderOneName(request, body, key)
        : this.answer(request, body, key);
    } catch (error) {
      if (error instanceof NodeFault) return refusal(400, error.code, error.message);
      throw error;
    }
  }

  /** The documents of a shard under a physical name, by id, without the injected fields; undefined without the index. */
  shardContents(name: string, shard: number): Map<string, string> | undefined {
    const index = this.database.indexes.get(this.faults.sameNames === true ? oneName(name) : name);
    if (index === undefined) return undefined;
    const contents = new Map<string, string>();
    for (const [id, fields] of index.documents) {
      if (parseShardCode(String(fields._miroir_shard)) !== shard) continue;
      // In what order the fields came says nothing.
      contents.set(id, JSON.stringify(Object.entries(clientFields(fields)).sort()));
    }
    return contents;
  }

  /** A power cut has taken the bodies of tasks that had not been run: they add nothing, and succeed. */
  private losePayloads(): void {
    for (const [at, task] of this.database.tasks.entries()) {
      if (isFinal(task) || task.type !== "documentAdditionOrUpdate") continue;
      const details = { receivedDocuments: 0, indexedDocuments: 0 };
      const told = (index: PhysicalIndex | undefined) =>
        this.faults.hiddenLosses ? task.work.run(index).details : undefined;
      const work: Work = { kind: "documents", run: (index) => ({ index, details: told(index) ?? details }) };
      this.database.tasks[at] = { ...task, work };
    }
  }

  /** {@link answer} where names say nothing of generations; which one was asked for last is only told. */
  private answerUnderOneName(request: NodeRequest, body: string, key: string): NodeResponse {
    if (request.path.startsWith("/swap-indexes")) {
      const [, to = ""] = (JSON.parse(body) as [{ indexes: [string, string] }])[0].indexes;
      const run = () => {
        this.lastNames.set(oneName(to), to);
        return {};
      };
      return this.enqueue("indexSwap", null, null, false, { kind: "alone", run });
    }
    const answer = this.answer({ ...request, path: oneName(request.path) }, oneName(body), key);
    if (!/^\/indexes\?/.test(request.path)) return answer;
    const text = answer.body.toString().replace(PHYSICAL_NAMES, (name) => this.lastNames.get(name) ?? name);
    return { ...answer, body: Buffer.from(text) };
  }

  private answer(request: NodeRequest, body: string, key: string): NodeResponse {
    const { method, path } = request;
    const mark = path.indexOf("?");
    const route = (mark < 0 ? path : path.slice(0, mark)).slice(1).split("/").map(decodeURIComponent);
    const query = new URLSearchParams(mark < 0 ? "" : path.slice(mark + 1));
    const [root = "", name = "", section = "", action = ""] = route;
    const may = this.actions(key);
    if (root === "health") return json(200, { status: "available" });
    if (may === undefined) return refusal(403, "invalid_api_key", "The provided API key is invalid.");
    const mayCreate = may.includes("*");
    const text = () => (body === "" ? {} : (JSON.parse(body) as Record<string, unknown>));
    switch (root) {
      case "version":
        return json(200, { pkgVersion: "1.50.0", commitSha: "", commitDate: "" });
      case "keys":
        return this.key(method, name, text());
      case "experimental-features":
        return json(200, {});
      case "tasks":
        return method === "DELETE" ? this.prune(query) : this.readTasks(name, query);
      case "swap-indexes":
        return this.rename(body);
      case "indexes":
        break;
      default:
        return refusal(404, "not_found", `no route ${method} ${path}`);
    }
    if (name !== "" && !/^[\w-]+$/.test(name))
      return refusal(400, "invalid_index_uid", "not a uid of an index");
    if (name === "") return method === "POST" ? this.create(text()) : this.listIndexes(query);
    if (section === "settings") return this.settings(method, name, text(), mayCreate);
    if (section === "documents") return this.documents(request, name, action, query, body, mayCreate);
    const index = this.database.indexes.get(name);
    if (method === "DELETE")
      return this.enqueue("indexDeletion", name, null, false, { kind: "alone", run: () => ({}) });
    if (index === undefined) return indexNotFound(name);
    if (section === "stats") return json(200, { numberOfDocuments: index.documents.size, isIndexing: false });
    if (section === "")
      return json(200, { uid: name, createdAt: index.createdAt, primaryKey: index.primaryKey });
    return refusal(404, "not_found", `no route ${method} ${path}`);
  }

  /** What a key may do; undefined for an unknown one. */
  private actions(key: string): readonly string[] | undefined {
    if (key === this.masterKey) return ["*"];
    for (const known of this.database.keys.values()) if (known.key === key) return known.actions as string[];
    return undefined;
  }

  private key(method: string, uid: string, sent: Readonly<Record<string, unknown>>): NodeResponse {
    const { keys } = this.database;
    if (method === "GET" && uid === "") return json(200, { results: [...keys.values()] });
    const id = uid === "" ? String(sent.uid) : uid;
    if (method === "POST" && keys.has(id)) return refusal(409, "api_key_already_exists", "it exists");
    if (method === "GET" && !keys.has(id)) return refusal(404, "api_key_not_found", "no such key");
    if (method !== "GET") {
      const key = createHash("sha1").update(`${this.masterKey}/${id}`).digest("hex");
      keys.set(id, { ...keys.get(id), ...sent, uid: id, key });
    }
    return json(200, keys.get(id));
  }

  private create(sent: Readonly<Record<string, unknown>>): NodeResponse {
    const name = String(sent.uid);
    const primaryKey = typeof sent.primaryKey === "string" ? sent.primaryKey : null;
    return this.enqueue("indexCreation", name, null, true, {
      kind: "alone",
      run: (index) => {
        if (this.database.indexes.has(name))
          throw new NodeFault("index_already_exists", `Index \`${name}\` already exists.`);
        return { index: index && { ...index, primaryKey }, details: { primaryKey } };
      },
    });
  }

  private settings(
    method: string,
    name: string,
    patch: Readonly<Record<string, unknown>>,
    mayCreate: boolean,
  ): NodeResponse {
    if (method === "GET") {
      const index = this.database.indexes.get(name);
      return index === undefined
        ? indexNotFound(name)
        : json(200, { ...DEFAULT_CLIENT_SETTINGS, ...index.settings });
    }
    return this.enqueue("settingsUpdate", name, null, mayCreate, {
      kind: "alone",
      run: (index) => ({
        index: index && { ...index, settings: patched(index.settings, patch) },
        details: patch,
      }),
    });
  }

  private documents(
    request: NodeRequest,
    name: string,
    action: string,
    query: URLSearchParams,
    body: string,
    mayCreate: boolean,
  ): NodeResponse {
    const metadata = query.get("customMetadata");
    const { method } = request;
    if (action === "fetch" || method === "GET") {
      const index = this.database.indexes.get(name);
      if (index === undefined) return indexNotFound(name);
      if (action === "fetch") return json(200, fetchDocuments(index, JSON.parse(body) as FetchQuery));
      const document = index.documents.get(action);
      return document === undefined
        ? refusal(404, "document_not_found", `Document \`${action}\` not found.`)
        : json(200, document);
    }
    if (action === "" && method !== "DELETE") return this.add(method, name, query, body, mayCreate);
    const remove = (
      run: (index: PhysicalIndex) => { gone: readonly string[]; details: object },
    ): NodeResponse =>
      this.enqueue("documentDeletion", name, metadata, false, {
        kind: "documents",
        run: (index) => {
          if (index === undefined) return {};
          const { gone, details } = run(index);
          const documents = new Map(index.documents);
          const deletedDocuments = gone.filter((id) => documents.delete(id)).length;
          return { index: { ...index, documents }, details: { ...details, deletedDocuments } };
        },
      });
    if (action === "edit") return this.edit(name, metadata, body);
    if (action === "delete-batch") {
      const ids = (JSON.parse(body) as (string | number)[]).map(String);
      return remove(() => ({ gone: ids, details: { providedIds: ids.length, originalFilter: null } }));
    }
    if (action === "delete") {
      const { filter } = JSON.parse(body) as { readonly filter: FilterValue };
      return remove((index) => {
        const test = filterTest(filter, index);
        const gone = [...index.documents].filter(([, document]) => test(document)).map(([id]) => id);
        return { gone, details: { providedIds: 0, originalFilter: JSON.stringify(filter) } };
      });
    }
    return remove((index) => ({ gone: [...index.documents.keys()], details: {} }));
  }

  private add(
    method: string,
    name: string,
    query: URLSearchParams,
    body: string,
    mayCreate: boolean,
  ): NodeResponse {
    const sent = parseDocuments(body);
    const key = query.get("primaryKey") ?? "id";
    const isPartial = method === "PUT";
    return this.enqueue("documentAdditionOrUpdate", name, query.get("customMetadata"), mayCreate, {
      kind: "documents",
      run: (index) => {
        if (index === undefined) return {};
        const documents = new Map(index.documents);
        for (const fields of sent) {
          const id = String(fields[key]);
          documents.set(id, isPartial ? { ...documents.get(id), ...fields } : fields);
        }
        const details = { receivedDocuments: sent.length, indexedDocuments: sent.length };
        return { index: { ...index, documents, primaryKey: index.primaryKey ?? key }, details };
      },
    });
  }

  /** Whatever the function says, it counts: each document that matches has one more edit than before. */
  private edit(name: string, metadata: string | null, body: string): NodeResponse {
    const { filter, context } = JSON.parse(body) as { filter: FilterValue; context?: unknown };
    if (typeof context === "number")
      return refusal(400, "invalid_document_edition_context", "the context is no object");
    return this.enqueue("documentEdition", name, metadata, false, {
      kind: "alone",
      run: (index) => {
        if (index === undefined) return {};
        const test = filterTest(filter, index);
        const documents = new Map(
          [...index.documents].map(([id, fields]) => [
            id,
            test(fields) ? { ...fields, edits: Number(fields.edits ?? 0) + 1 } : fields,
          ]),
        );
        const editedDocuments = [...index.documents.values()].filter(test).length;
        return { index: { ...index, documents }, details: { editedDocuments, deletedDocuments: 0 } };
      },
    });
  }

  private rename(body: string): NodeResponse {
    const [swap] = JSON.parse(body) as [{ indexes: [string, string] }];
    const [from, to] = swap.indexes;
    return this.enqueue("indexSwap", null, null, false, {
      kind: "alone",
      run: () => {
        const { indexes, tasks } = this.database;
        const index = indexes.get(from);
        if (index === undefined) throw new NodeFault("index_not_found", `Index \`${from}\` not found.`);
        if (indexes.has(to)) throw new NodeFault("index_already_exists", `Index \`${to}\` already exists.`);
        indexes.delete(from);
        indexes.set(to, index);
        for (const task of tasks) if (task.indexUid === from && isFinal(task)) task.indexUid = to;
        return { details: { swaps: [{ indexes: [from, to], rename: true }] } };
      },
    });
  }

  private readTasks(uid: string, query: URLSearchParams): NodeResponse {
    if (uid !== "") {
      const task = this.database.tasks.find((known) => known.uid === Number(uid));
      return task === undefined ? refusal(404, "task_not_found", "no such task") : json(200, printed(task));
    }
    const test = taskTest(query);
    const isReversed = query.get("reverse") === "true";
    const from = query.has("from") ? Number(query.get("from")) : undefined;
    const limit = Number(query.get("limit") ?? 20);
    const matching = this.database.tasks.filter(test);
    const ordered = isReversed ? matching : matching.reverse();
    const rest =
      from === undefined
        ? ordered
        : ordered.filter((task) => (isReversed ? task.uid >= from : task.uid <= from));
    const results = rest.slice(0, limit).map(printed);
    const next = rest[limit]?.uid ?? null;
    return json(200, { results, total: matching.length, limit, from: results[0]?.uid ?? null, next });
  }

  private prune(query: URLSearchParams): NodeResponse {
    const test = taskTest(query);
    return this.enqueue("taskDeletion", null, null, false, {
      kind: "alone",
      run: () => {
        const { tasks } = this.database;
        const kept = tasks.filter((task) => !isFinal(task) || !test(task));
        tasks.splice(0, tasks.length, ...kept);
        return {};
      },
    });
  }

  private listIndexes(query: URLSearchParams): NodeResponse {
    const offset = Number(query.get("offset") ?? 0);
    const limit = Number(query.get("limit") ?? 20);
    const all = [...this.database.indexes].map(([uid, { createdAt, primaryKey }]) => ({
      uid,
      createdAt,
      primaryKey,
    }));
    return json(200, { results: all.slice(offset, offset + limit), offset, limit, total: all.length });
  }

  private enqueue(
    type: string,
    indexUid: string | null,
    customMetadata: string | null,
    mayCreate: boolean,
    work: Work,
  ): NodeResponse {
    const { uid, enqueuedAt } = this.queue.add({ indexUid, type, customMetadata, mayCreate, work });
    return json(202, { taskUid: uid, indexUid, status: "enqueued", type, enqueuedAt });
  }
}

/** A document as clients see it. */
export function clientFields(fields: Fields): Fields {
  const { _miroir_shard, _miroir_seq, ...rest } = fields;
  return rest;
}

const PHYSICAL_NAMES = /\bm[a-z2-7]{8}_\d+\b/g;

/** A text in which every physical name bears the first generation. */
function oneName(text: string): string {
  return text.replace(PHYSICAL_NAMES, (name) => name.replace(/_\d+$/, "_1"));
}

/** What is set to null goes back to its default. */
function patched(
  settings: PhysicalIndex["settings"],
  patch: PhysicalIndex["settings"],
): PhysicalIndex["settings"] {
  return Object.fromEntries(Object.entries({ ...settings, ...patch }).filter(([, value]) => value !== null));
}

function parseDocuments(body: string): readonly Fields[] {
  if (body.startsWith("[")) return JSON.parse(body) as Fields[];
  return body
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Fields);
}

function taskTest(query: URLSearchParams): (task: QueuedTask) => boolean {
  const tests: ((task: QueuedTask) => boolean)[] = [];
  const listed = (name: string, value: (task: QueuedTask) => string | null): void => {
    const wanted = query.get(name)?.split(",");
    if (wanted !== undefined) tests.push((task) => wanted.includes(value(task) ?? ""));
  };
  const after = (name: string, value: (task: QueuedTask) => string | null): void => {
    const limit = query.get(name);
    if (limit !== null) tests.push((task) => (value(task) ?? "") > limit);
  };
  listed("statuses", ({ status }) => status);
  listed("types", ({ type }) => type);
  listed("indexUids", ({ indexUid }) => indexUid);
  listed("uids", ({ uid }) => String(uid));
  after("afterFinishedAt", ({ finishedAt }) => finishedAt);
  after("afterStartedAt", ({ startedAt }) => startedAt);
  const before = query.get("beforeEnqueuedAt");
  if (before !== null) tests.push(({ enqueuedAt }) => enqueuedAt < before);
  return (task) => tests.every((test) => test(task));
}

function printed({ work, mayCreate, ...task }: QueuedTask) {
  return { ...task, batchUid: null, canceledBy: null, duration: null };
}

function indexNotFound(name: string): NodeResponse {
  return refusal(404, "index_not_found", `Index \`${name}\` not found.`);
}

function json(status: number, body: unknown): NodeResponse {
  return { status, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
}

/** A refusal in Meilisearch's shape. */
export function refusal(status: number, code: string, message: string): NodeResponse {
  return json(status, { message, code, type: status >= 500 ? "internal" : "invalid_request", link: "" });
}
