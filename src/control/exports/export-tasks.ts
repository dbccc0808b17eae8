import type { ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { ExportRequest, ExportService } from "../../gen/miroir/v1/exports_pb.js";
import { errorLink } from "../../meilisearch/errors.js";
import { matchesIndex } from "../../meilisearch/index-pattern.js";
import type { JsonValue } from "../../merge/index.js";
import type { OutboundHttp } from "../../outbound/outbound-http.js";
import type { World } from "../../runtime/world.js";
import { type TaskErrorRow, type TaskStore, type TaskUid, taskUid } from "../../store/task-store.js";
import { type DocumentReader, IndexUnreadableError } from "../documents/document-reader.js";
import { keptSecrets } from "../settings/secret-keeper.js";
import { enqueuedTask } from "../tasks/enqueued-task.js";
import { findInstance } from "../tasks/index-replicas.js";
import { SerialTasks } from "../tasks/serial-tasks.js";
import type { TaskRegistry } from "../tasks/task-registry.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { type ExportedIndex, exportDetails } from "./export-details.js";
import { ExportFilterError, exportIndex } from "./index-export.js";
import { ExportRefusedError, RemoteMeilisearch } from "./remote-meilisearch.js";

/** What {@link ExportTasks} works with. */
export interface ExportTasksOptions {
  readonly store: TaskStore;
  readonly registry: TaskRegistry;
  readonly topology: TopologyManager;
  readonly documents: DocumentReader;
  readonly outbound: OutboundHttp;
  readonly world: World;
  readonly logger: Logger;
  readonly tuning?: ExportTuning | undefined;
}

/** Times of exports. */
export interface ExportTuning {
  /** How long a request is repeated that the remote may take later. Milliseconds; 15 minutes unless given, as in Meilisearch. */
  readonly patienceMs?: number;
}

/** Bytes of documents in one request, where the client does not say. */
const PAYLOAD_BYTES = 20 * 1024 * 1024;
const PAGE = 1_000;

/**
 * Runs the tasks that copy indexes to another Meilisearch, one after the other. Keys of the other one are never stored, so an export ends as
 * failed where the control plane stops, or another process comes to lead; what has arrived by then stays there, and
 * the client repeats the export, which replaces documents by themselves.
 */
export class ExportTasks {
  readonly #options: ExportTasksOptions;
  readonly #line: SerialTasks<ExportRequest>;

  constructor(options: ExportTasksOptions) {
    this.#options = options;
    this.#line = new SerialTasks({
      ...options,
      what: "export",
      run: async (request, { signal }) => exportDetails(request, await this.#export(request, signal)),
      failure: taskError,
    });
  }

  /** What the control plane serves. */
  readonly service: ServiceImpl<typeof ExportService> = {
    export: async (request) => {
      await this.#create(request);
      return {};
    },
  };

  /** Ends the exports that were open when the control plane stopped. */
  async resume(): Promise<void> {
    const { store, registry, world } = this.#options;
    const { tasks } = await store.tasks.list(
      { types: ["export"], statuses: ["enqueued", "processing"] },
      { limit: PAGE },
    );
    const now = world.clock.now();
    await registry.conclude(
      tasks.map((row) => ({
        row,
        verdict: {
          status: "failed",
          error: failure(INTERRUPTED, "internal"),
          detailsJson: row.detailsJson,
          startedAt: row.startedAt ?? now,
          finishedAt: now,
          divergent: [],
        },
      })),
    );
  }

  /** Breaks off what is under way; {@link resume} ends it. */
  stop(): Promise<void> {
    return this.#line.stop();
  }

  /** Ends those of these exports that wait or run. Resolves with how many. */
  cancel(uids: readonly TaskUid[], canceledBy: TaskUid): Promise<number> {
    return this.#line.cancel(uids, canceledBy);
  }

  async #create(request: ExportRequest): Promise<void> {
    const row = enqueuedTask({
      uid: taskUid(Number(request.taskUid)),
      indexUid: null,
      instance: null,
      type: "export",
      detailsJson: exportDetails(request, request.indexes.map(asAsked)),
      enqueuedAt: this.#options.world.clock.now(),
    });
    await this.#line.create(row, request);
  }

  async #export(
    { url, apiKey, payloadSize, indexes }: ExportRequest,
    signal: AbortSignal,
  ): Promise<readonly ExportedIndex[]> {
    const { topology, store, documents, outbound, world, tuning } = this.#options;
    const remote = new RemoteMeilisearch({
      outbound,
      world,
      url,
      apiKey,
      signal,
      patienceMs: tuning?.patienceMs,
    });
    const options = {
      documents,
      remote,
      features: topology.current().experimentalFeatures,
      payloadSize: payloadSize === undefined ? PAYLOAD_BYTES : Number(payloadSize),
      signal,
    };
    const exported: ExportedIndex[] = [];
    for (const { uid, instance } of topology.current().indexes) {
      const asked = indexes.find(({ pattern }) => matchesIndex(pattern, uid));
      const index = findInstance(topology.current(), instance);
      if (asked === undefined || index === undefined) continue;
      const { filterJson, overrideSettings } = asked;
      const filter = filterJson === undefined ? undefined : (JSON.parse(filterJson) as JsonValue);
      const secrets = await keptSecrets(topology.current(), store, instance);
      const matchedDocuments = await exportIndex(options, { index, filter, overrideSettings, secrets });
      exported.push({ name: uid, filterJson, overrideSettings, matchedDocuments });
    }
    return exported;
  }
}

const INTERRUPTED =
  "The control plane stopped, or another one took over, while the export was open. Export again: documents that have arrived are replaced.";

function asAsked({ pattern, filterJson, overrideSettings }: ExportRequest["indexes"][number]): ExportedIndex {
  return { name: pattern, filterJson, overrideSettings };
}

function taskError(error: unknown): TaskErrorRow {
  if (error instanceof ExportFilterError) return failure(error.message, error.code);
  const isKnown = error instanceof ExportRefusedError || error instanceof IndexUnreadableError;
  return failure(isKnown ? error.message : "The export met an internal error; the log has it.", "internal");
}

function failure(message: string, code: string): TaskErrorRow {
  return { message, code, type: code === "internal" ? "internal" : "invalid_request", link: errorLink(code) };
}
