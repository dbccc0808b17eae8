import type { Readable } from "node:stream";
import type { NodeRequest, NodeResponse } from "../../src/meilisearch/transport.js";
import { parseShardCode } from "../../src/placement/injected-fields.js";
import type { VirtualWorld } from "./virtual-world.js";

interface Document {
  readonly fields: Record<string, unknown>;
}

interface PhysicalIndex {
  readonly createdAt: string;
  readonly documents: Map<string, Document>;
  settings: Record<string, unknown>;
}

interface NodeTask {
  readonly uid: number;
  indexUid: string | null;
  status: "enqueued" | "processing" | "succeeded" | "failed";
  readonly type: string;
  readonly customMetadata: string | null;
  error: { code: string; message: string } | null;
  readonly run: (index: PhysicalIndex | undefined) => void;
  readonly mayCreate: boolean;
}

/** Fails a task. */
class TaskError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * What the write path sees of a Meilisearch node: a queue of tasks run one after another in the order of their uids, physical
 * indexes that can be renamed, and a key that may create indexes beside one that may not. Survives crashes as a node does: what was
 * accepted stays.
 */
export class SimulatedNode {
  readonly indexes = new Map<string, PhysicalIndex>();
  readonly tasks: NodeTask[] = [];
  private busy = false;
  /** All tasks in front of it have been run. */
  private done = 0;
  private created = 0;
  /** The process is there; a node that is down executes nothing and keeps its queue. */
  up = true;

  constructor(
    readonly id: string,
    private readonly world: VirtualWorld,
    private readonly maxTaskMs: number,
  ) {}

  /** Makes an index at once, as the control plane does when it creates one. */
  createIndex(name: string): void {
    this.indexes.set(name, this.newIndex());
  }

  /** Whether every task has been run. */
  idle(): boolean {
    return this.done === this.tasks.length;
  }

  restart(): void {
    this.up = true;
    this.work();
  }

  /** Executes a request whose body has arrived whole. */
  async execute(request: NodeRequest, mayCreate: boolean): Promise<NodeResponse> {
    const url = new URL(request.path, "http://node");
    const parts = url.pathname.split("/").slice(1).map(decodeURIComponent);
    const body = await bodyText(request);
    if (parts[0] === "health") return json(200, { status: "available" });
    if (parts[0] === "swap-indexes") return this.rename(body);
    if (parts[0] === "tasks") return this.readTasks(parts[1], url.searchParams);
    if (parts[0] !== "indexes") return refusal(404, "not_found", `no route ${request.path}`);
    const name = parts[1];
    if (name === undefined) {
      if (request.method === "POST") return this.createByTask(JSON.parse(body) as { uid: string });
      return this.listIndexes(url.searchParams);
    }
    if (parts[2] === "documents")
      return this.documents(request, name, parts[3], url.searchParams, body, mayCreate);
    if (parts[2] === "settings" && request.method === "GET") {
      const index = this.indexes.get(name);
      return index === undefined ? notFound(name) : json(200, index.settings);
    }
    if (parts[2] === "settings") {
      const patch = JSON.parse(body) as Record<string, unknown>;
      return this.enqueue("settingsUpdate", name, null, mayCreate, (index) => {
        if (index !== undefined) index.settings = { ...index.settings, ...patch };
      });
    }
    if (request.method === "DELETE") {
      return this.enqueue("indexDeletion", name, null, false, () => {
        this.indexes.delete(name);
      });
    }
    return refusal(404, "not_found", `no route ${request.method} ${request.path}`);
  }

  private documents(
    request: NodeRequest,
    name: string,
    action: string | undefined,
    query: URLSearchParams,
    body: string,
    mayCreate: boolean,
  ): NodeResponse {
    const metadata = query.get("customMetadata");
    if (action === "fetch") return this.fetch(name, body);
    if (request.method === "DELETE") {
      return this.enqueue("documentDeletion", name, metadata, false, (index) => index?.documents.clear());
    }
    if (action === "delete") {
      const { filter } = JSON.parse(body) as { filter: string };
      const codes = [...filter.matchAll(/"([^"]+)"/g)].map(([, code]) => code);
      const inverted = filter.includes("NOT IN");
      return this.enqueue("documentDeletion", name, metadata, false, (index) => {
        for (const [id, { fields }] of index?.documents ?? []) {
          const named = codes.includes(String(fields._miroir_shard));
          if (named !== inverted) index?.documents.delete(id);
        }
      });
    }
    if (action === "delete-batch") {
      const ids = JSON.parse(body) as string[];
      return this.enqueue("documentDeletion", name, metadata, false, (index) => {
        for (const id of ids) index?.documents.delete(id);
      });
    }
    const documents = body
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const key = query.get("primaryKey") ?? "id";
    const partial = request.method === "PUT";
    const onlyKnown = query.get("skipCreation") === "true";
    return this.enqueue("documentAdditionOrUpdate", name, metadata, mayCreate, (index) => {
      for (const fields of documents) {
        const id = String(fields[key]);
        if (onlyKnown && index?.documents.has(id) !== true) continue;
        const former = partial ? index?.documents.get(id)?.fields : undefined;
        index?.documents.set(id, { fields: { ...former, ...fields } });
      }
    });
  }

  private fetch(name: string, body: string): NodeResponse {
    const index = this.indexes.get(name);
    if (index === undefined) return notFound(name);
    const { filter, ids, fields, limit } = JSON.parse(body) as {
      filter?: string[];
      ids?: string[];
      fields?: string[];
      limit: number;
    };
    const codes = [...(filter?.[0] ?? "").matchAll(/"([^"]+)"/g)].map(([, code]) => code);
    const matching = [...index.documents]
      .filter(([id]) => ids === undefined || ids.includes(id))
      .map(([, document]) => document.fields)
      .filter(({ _miroir_shard: code }) => codes.length === 0 || codes.includes(String(code)));
    const results = matching
      .slice(0, limit)
      .map((document) =>
        fields === undefined
          ? document
          : Object.fromEntries(Object.entries(document).filter(([name]) => fields.includes(name))),
      );
    return json(200, { results, total: matching.length });
  }

  private createByTask({ uid }: { readonly uid: string }): NodeResponse {
    return this.enqueue("indexCreation", uid, null, true, () => undefined);
  }

  private rename(body: string): NodeResponse {
    const [swap] = JSON.parse(body) as [{ indexes: [string, string] }];
    const [from, to] = swap.indexes;
    return this.enqueue("indexSwap", null, null, false, () => {
      const index = this.indexes.get(from);
      if (index === undefined) throw new TaskError("index_not_found", `Index \`${from}\` not found.`);
      if (this.indexes.has(to))
        throw new TaskError("index_already_exists", `Cannot rename \`${from}\` to \`${to}\``);
      this.indexes.delete(from);
      this.indexes.set(to, index);
      for (const task of this.tasks)
        if (task.indexUid === from && task.status !== "enqueued") task.indexUid = to;
    });
  }

  private readTasks(uid: string | undefined, query: URLSearchParams): NodeResponse {
    if (uid !== undefined) {
      const task = this.tasks[Number(uid)];
      return task === undefined ? refusal(404, "task_not_found", "no such task") : json(200, printTask(task));
    }
    const names = query.get("indexUids")?.split(",");
    const from = Number(query.get("from") ?? this.tasks.length);
    const limit = Number(query.get("limit") ?? 20);
    const uids = query.get("uids")?.split(",");
    const statuses = query.get("statuses")?.split(",");
    const matching = this.tasks.filter(
      (task) =>
        task.uid <= from &&
        (uids === undefined || uids.includes(String(task.uid))) &&
        (statuses === undefined || statuses.includes(task.status)) &&
        (names === undefined || (task.indexUid !== null && names.includes(task.indexUid))),
    );
    const results = matching.reverse().slice(0, limit).map(printTask);
    return json(200, { results, total: matching.length, limit, from: results[0]?.uid ?? null, next: null });
  }

  private listIndexes(query: URLSearchParams): NodeResponse {
    const offset = Number(query.get("offset") ?? 0);
    const all = [...this.indexes].map(([uid, index]) => ({
      uid,
      createdAt: index.createdAt,
      primaryKey: null,
    }));
    return json(200, {
      results: all.slice(offset, offset + Number(query.get("limit") ?? 20)),
      total: all.length,
    });
  }

  private enqueue(
    type: string,
    indexUid: string | null,
    customMetadata: string | null,
    mayCreate: boolean,
    run: NodeTask["run"],
  ): NodeResponse {
    const uid = this.tasks.length;
    this.tasks.push({ uid, indexUid, status: "enqueued", type, customMetadata, error: null, run, mayCreate });
    this.work();
    return json(202, {
      taskUid: uid,
      indexUid,
      status: "enqueued",
      type,
      enqueuedAt: "2026-01-01T00:00:00Z",
    });
  }

  private work(): void {
    if (this.busy) return;
    const task = this.tasks[this.done];
    if (task === undefined) return;
    this.busy = true;
    this.world.timers.after(this.world.seeded.below(this.maxTaskMs), () => {
      this.busy = false;
      if (!this.up) return;
      this.runTask(task);
      this.done++;
      this.work();
    });
  }

  private runTask(task: NodeTask): void {
    try {
      let index = task.indexUid === null ? undefined : this.indexes.get(task.indexUid);
      if (task.indexUid !== null && index === undefined) {
        if (!task.mayCreate) throw new TaskError("index_not_found", `Index \`${task.indexUid}\` not found.`);
        index = this.newIndex();
        this.indexes.set(task.indexUid, index);
      }
      task.run(index);
      task.status = "succeeded";
    } catch (error) {
      if (!(error instanceof TaskError)) throw error;
      task.status = "failed";
      task.error = { code: error.code, message: error.message };
    }
  }

  private newIndex(): PhysicalIndex {
    this.created++;
    const order = String(this.created).padStart(6, "0");
    return { createdAt: `2026-01-01T00:00:00.${order}Z`, documents: new Map(), settings: {} };
  }

  /** The documents of a shard under a physical name, by id, without the injected fields; undefined without the index. */
  shardContents(name: string, shard: number): Map<string, string> | undefined {
    const index = this.indexes.get(name);
    if (index === undefined) return undefined;
    const contents = new Map<string, string>();
    for (const [id, { fields }] of index.documents) {
      if (parseShardCode(String(fields._miroir_shard)) !== shard) continue;
      const { _miroir_shard, _miroir_seq, ...rest } = fields;
      contents.set(id, JSON.stringify(rest));
    }
    return contents;
  }
}

function printTask(task: NodeTask) {
  const { uid, indexUid, status, type, customMetadata, error } = task;
  return { uid, indexUid, status, type, customMetadata, error, details: null };
}

function json(status: number, body: unknown): NodeResponse {
  return { status, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
}

function notFound(name: string): NodeResponse {
  return refusal(404, "index_not_found", `Index \`${name}\` not found.`);
}

/** A refusal in Meilisearch's shape. */
export function refusal(status: number, code: string, message: string): NodeResponse {
  return json(status, { message, code, type: status >= 500 ? "internal" : "invalid_request", link: "" });
}

async function bodyText(request: NodeRequest): Promise<string> {
  const { body } = request;
  if (body === undefined) return "";
  if (typeof body !== "function") return body.toString();
  const chunks: Buffer[] = [];
  for await (const chunk of body() as Readable) chunks.push(chunk as Buffer);
  const whole = Buffer.concat(chunks);
  if (request.contentLength !== whole.length) {
    throw new Error(`a body of ${whole.length} bytes was announced as ${request.contentLength}`);
  }
  return whole.toString();
}
