import { createHash } from "node:crypto";
import type { NodeTaskRecord } from "../../../src/meilisearch/node-client.js";
import {
  type NodeAddress,
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "../../../src/meilisearch/transport.js";

type Status = NodeTaskRecord["status"];

/** What a suite says about a task that finishes. */
export interface Finish {
  readonly status?: "succeeded" | "failed" | "canceled";
  readonly details?: Record<string, unknown>;
  readonly error?: NodeTaskRecord["error"];
}

/** One node's task log and keys, moved by the suite's hand. Control work (index creation, settings) succeeds at once. */
export class SimulatedNode {
  readonly tasks = new Map<number, NodeTaskRecord>();
  /** Settings by physical index; what a settings change sends is merged in. */
  readonly settings = new Map<string, Record<string, unknown>>();
  /** What every list of documents gives, whatever the filter. */
  documents: readonly { readonly id: string; readonly _miroir_seq: string }[] = [];
  /** Answers nothing while true. */
  down = false;
  requests = 0;
  #next = 0;
  #keys = new Map<string, Record<string, unknown>>();

  /** A task that waits. */
  enqueue(indexUid: string, type = "documentAdditionOrUpdate", customMetadata?: string): number {
    const uid = this.#next++;
    this.tasks.set(uid, {
      uid,
      batchUid: null,
      indexUid,
      status: "enqueued",
      type,
      canceledBy: null,
      error: null,
      duration: null,
      enqueuedAt: stamp(),
      startedAt: null,
      finishedAt: null,
      ...(customMetadata === undefined ? {} : { customMetadata }),
    });
    return uid;
  }

  start(...uids: number[]): void {
    const startedAt = stamp();
    for (const uid of uids) this.#set(uid, { status: "processing", startedAt });
  }

  /** Finishes tasks as one batch. */
  finish(uids: readonly number[], { status = "succeeded", details, error = null }: Finish = {}): void {
    const finishedAt = stamp();
    for (const uid of uids) {
      const startedAt = this.tasks.get(uid)?.startedAt ?? finishedAt;
      this.#set(uid, { status, startedAt, finishedAt, error, ...(details === undefined ? {} : { details }) });
    }
  }

  /** Another, empty database under the same address. */
  replace(): void {
    this.tasks.clear();
    this.#keys = new Map();
    this.#next = 0;
  }

  handle({ method, path, body }: NodeRequest): NodeResponse {
    this.requests += 1;
    const [route = "", query = ""] = path.split("?");
    const sent = typeof body === "string" ? (JSON.parse(body) as Record<string, unknown>) : {};
    if (route === "/health") return answer(200, { status: "available" });
    if (route === "/version") return answer(200, { pkgVersion: "1.50.0", commitSha: "", commitDate: "" });
    if (route === "/tasks" && method === "GET") return answer(200, this.#list(new URLSearchParams(query)));
    if (route === "/tasks" && method === "DELETE") return answer(202, { taskUid: this.#prune(query) });
    if (route.endsWith("/documents/fetch")) return answer(200, this.#documents(sent));
    if (route.startsWith("/keys")) return this.#key(method, route.slice(6), sent);
    const index = /^\/indexes(?:\/([^/]+))?(\/settings)?$/.exec(route);
    if (index === null)
      return answer(404, { message: `no ${method} ${route}`, code: "not_found", type: "invalid_request" });
    return this.#index(method, index[1] ?? String(sent.uid), index[2] !== undefined, sent);
  }

  #documents({ ids, offset, limit }: Record<string, unknown>): unknown {
    const asked = Array.isArray(ids) ? this.documents.filter(({ id }) => ids.includes(id)) : this.documents;
    const from = Number(offset ?? 0);
    return { results: asked.slice(from, from + Number(limit ?? 20)), total: asked.length };
  }

  #index(method: string, uid: string, isSettings: boolean, sent: Record<string, unknown>): NodeResponse {
    if (isSettings && method === "GET") return answer(200, this.settings.get(uid) ?? {});
    const type = isSettings ? "settingsUpdate" : method === "DELETE" ? "indexDeletion" : "indexCreation";
    if (isSettings) this.settings.set(uid, { ...this.settings.get(uid), ...sent });
    const taskUid = this.enqueue(uid, type);
    this.finish([taskUid], { details: isSettings ? sent : {} });
    return answer(202, { taskUid });
  }

  #key(method: string, uid: string, sent: Record<string, unknown>): NodeResponse {
    if (method === "GET" && uid === "") return answer(200, { results: [...this.#keys.values()] });
    const id = uid === "" ? String(sent.uid) : uid;
    const key = createHash("sha256").update(id).digest("hex");
    if (method !== "GET") this.#keys.set(id, { ...this.#keys.get(id), ...sent, uid: id, key });
    return answer(200, this.#keys.get(id));
  }

  #prune(query: string): number {
    const before = new URLSearchParams(query).get("beforeEnqueuedAt") ?? "";
    for (const task of [...this.tasks.values()]) {
      if (task.finishedAt !== null && task.enqueuedAt < before) this.tasks.delete(task.uid);
    }
    const uid = this.enqueue("", "taskDeletion");
    this.#set(uid, { indexUid: null });
    this.finish([uid]);
    return uid;
  }

  #list(query: URLSearchParams): unknown {
    const listed = (name: string): string[] | undefined => query.get(name)?.split(",");
    const reverse = query.get("reverse") === "true";
    const from = query.get("from");
    const limit = Number(query.get("limit") ?? 20);
    const matching = [...this.tasks.values()].filter(
      (task) =>
        (listed("statuses")?.includes(task.status) ?? true) &&
        (listed("types")?.includes(task.type) ?? true) &&
        (listed("indexUids")?.includes(task.indexUid ?? "") ?? true) &&
        (listed("uids")?.includes(String(task.uid)) ?? true) &&
        isAfter(task.finishedAt, query.get("afterFinishedAt")) &&
        isAfter(task.startedAt, query.get("afterStartedAt")),
    );
    if (!reverse) matching.reverse();
    const rest =
      from === null
        ? matching
        : matching.filter(({ uid }) => (reverse ? uid >= Number(from) : uid <= Number(from)));
    const results = rest.slice(0, limit);
    return {
      results,
      total: matching.length,
      limit,
      from: results[0]?.uid ?? null,
      next: rest[limit]?.uid ?? null,
    };
  }

  #set(uid: number, change: Partial<NodeTaskRecord> & { status?: Status }): void {
    const task = this.tasks.get(uid);
    if (task === undefined) throw new Error(`no task ${uid}`);
    this.tasks.set(uid, { ...task, ...change });
  }
}

/** Simulated nodes under `http://node-<n>.test`. */
export class SimulatedNodes implements NodeTransport {
  readonly nodes: readonly SimulatedNode[];

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, () => new SimulatedNode());
  }

  get configured(): { url: string; key: string }[] {
    return this.nodes.map((_, at) => ({ url: `http://node-${at}.test`, key: "k" }));
  }

  async request(address: NodeAddress, request: NodeRequest): Promise<NodeResponse> {
    const node = this.nodes[Number(/node-(\d+)/.exec(address.url)?.[1])];
    await Promise.resolve();
    if (node === undefined || node.down) {
      throw new NodeUnavailableError(address.id, "not-sent", "connect ECONNREFUSED");
    }
    return node.handle(request);
  }

  async close(): Promise<void> {}
}

function answer(status: number, body: unknown): NodeResponse {
  return { status, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
}

function isAfter(value: string | null, bound: string | null): boolean {
  return bound === null || (value !== null && value > bound);
}

let ticks = 0;

/** Now, with nine decimals, later than any before. */
function stamp(): string {
  ticks = (ticks + 1) % 1_000_000;
  return new Date().toISOString().replace("Z", `${String(ticks).padStart(6, "0")}Z`);
}
