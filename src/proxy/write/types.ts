import type { Readable } from "node:stream";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExportRequestSchema } from "../../gen/miroir/v1/exports_pb.js";
import type { ListTasksRequestSchema } from "../../gen/miroir/v1/tasks_pb.js";

/** What a document write does. */
export type DocumentWriteKind =
  | "replace"
  | "update"
  | "delete-batch"
  | "delete-by-filter"
  | "delete-all"
  | "delete-one"
  | "edit";

/** A client's document write. Query parameters have been read; everything else is checked here. */
export interface DocumentWriteRequest {
  readonly kind: DocumentWriteKind;
  readonly indexUid: string;
  /** The `primaryKey` parameter of an addition. */
  readonly primaryKey?: string | undefined;
  /** The header's value; absent where the client sent none. */
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  /** One ASCII character; absent for a comma, and required to be absent for other formats than CSV. */
  readonly csvDelimiter?: string | undefined;
  readonly skipCreation?: boolean | undefined;
  /** The client's own text, which its task shows. */
  readonly customMetadata?: string | undefined;
  /** Not read by `delete-all` and `delete-one`. */
  readonly body: Readable;
  /** The id of a `delete-one`, decoded. */
  readonly documentId?: string | undefined;
  /** Whether an addition makes an index that is not there; true unless given. Where it may not, its task fails. */
  readonly mayCreateIndex?: boolean | undefined;
}

/** What a client gets for a write that was accepted. */
export interface WriteAnswer {
  readonly taskUid: number;
  /** Null for tasks without one. */
  readonly indexUid: string | null;
  readonly status: "enqueued";
  /** As Meilisearch prints it, such as `documentAdditionOrUpdate`. */
  readonly type: string;
  /** RFC 3339. */
  readonly enqueuedAt: string;
}

/** An accepted write. */
export interface WriteResult {
  /** 200 for deleting and canceling tasks, as in Meilisearch. */
  readonly status: 200 | 202;
  readonly body: WriteAnswer;
  /** Touched shards of which not every replica is in sync; absent where all are (invariant 4). */
  readonly degradedShards?: readonly number[];
}

/** An exchange of the names of two indexes; as a rename, the left index gets the right name, which must be free. */
export interface IndexSwap {
  readonly indexes: readonly [left: string, right: string];
  readonly rename: boolean;
}

/** A client's request to delete or to cancel tasks. */
export interface TaskRemovalWrite {
  readonly kind: "delete" | "cancel";
  /** Which tasks; undefined for none. */
  readonly matching: MessageInitShape<typeof ListTasksRequestSchema> | undefined;
  /** The query as it was sent, with its question mark. */
  readonly originalFilter: string;
}

/** Which indexes are copied to which other Meilisearch; members as in the API. */
export type ExportRequest = Pick<
  MessageInitShape<typeof ExportRequestSchema>,
  "url" | "apiKey" | "payloadSize" | "indexes"
>;

/** How the whole fleet is backed up. */
export type BackupKind = "dump" | "snapshot";

/** Where a settings change came in: the whole object, or the sub-route of one member such as `stop-words`. */
export type SettingsRoute = "all" | string;

/** How a settings change came in. */
export type SettingsMethod = "PATCH" | "PUT" | "DELETE";

/** A client's settings change. */
export interface SettingsWrite {
  readonly indexUid: string;
  readonly route: SettingsRoute;
  readonly method: SettingsMethod;
  /** What a `PATCH` or `PUT` brings. */
  readonly body?: unknown;
  /** As for documents. */
  readonly mayCreateIndex?: boolean | undefined;
}

/** What `stats` tells. */
export interface WriteStats {
  /** Lanes that have anything to do, or are blocked. */
  readonly lanes: number;
  /** Writes waiting for their turn or under way. */
  readonly queued: number;
  /** Indexes that take no writes because the outcome of one is not known yet. */
  readonly blockedIndexes: readonly string[];
  /** Accepted tasks that the control plane does not know yet. */
  readonly pendingRegistrations: number;
  /** Bytes of request bodies in temporary files. */
  readonly spooledBytes: number;
}

/** The subset of pino's logger that the write path uses. */
export interface WriteLogger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Limits and times of the write path. Times in milliseconds, sizes in bytes. */
export interface WriteConfig {
  /** Largest request body, as it came and decoded. */
  readonly maxBodyBytes: number;
  /** Largest single document, which is held in memory whole. */
  readonly maxDocumentBytes: number;
  /**
   * Largest body sent to one node at once: what a node gets beyond it follows in further requests. A single shard's documents may not
   * take more. Nodes refuse more than 100,000,000 unless told otherwise.
   */
  readonly maxNodeBodyBytes: number;
  /** Bytes of a request's documents kept in memory before they go to a temporary file. */
  readonly spoolMemoryBytes: number;
  /** Bytes of all temporary files together; 503 beyond. */
  readonly maxSpoolBytes: number;
  readonly spoolDirectory: string;
  /** Bodies read at once; 503 beyond. */
  readonly maxConcurrentBodies: number;
  /** Writes waiting in one index's lane; 503 beyond. */
  readonly maxLaneQueue: number;
  /**
   * How long a node may take to accept a request, beside a second for each megabyte of its body. A replica that takes
   * longer is left behind, so this is also how long a silent node holds up an index's writes.
   */
  readonly nodeTimeoutMs: number;
  /** Pauses between attempts at a node that certainly did not execute a request. */
  readonly nodeRetryDelaysMs: readonly number[];
  /** How long a client is kept waiting while the outcome of its write is being settled. */
  readonly settleHoldMs: number;
  /** Pause between attempts to settle. */
  readonly settleRetryMs: number;
  /** How long a delete by filter waits for settings changes in front of it. */
  readonly settingsWaitMs: number;
  /** How long a new epoch is waited for. */
  readonly topologyWaitMs: number;
  /** How long one call to the control plane may take. */
  readonly controlTimeoutMs: number;
  /** Accepted tasks kept for a control plane that is away; 503 beyond. */
  readonly maxPendingRegistrations: number;
  /** Task uids reserved at once by a proxy that writes little; more where it writes much. */
  readonly taskUidBlock: number;
  /** Age at which reserved uids are dropped while the control plane answers. */
  readonly taskUidTtlMs: number;
  /** Entries of a node's task log compared at a take-over. */
  readonly takeOverTail: number;
}

/** The configuration of a write path of which nothing was said. */
export function defaultWriteConfig(spoolDirectory: string): WriteConfig {
  return {
    maxBodyBytes: 100_000_000,
    maxDocumentBytes: 32 * 1024 * 1024,
    maxNodeBodyBytes: 100_000_000,
    spoolMemoryBytes: 1024 * 1024,
    maxSpoolBytes: 2 * 1024 * 1024 * 1024,
    spoolDirectory,
    maxConcurrentBodies: 64,
    maxLaneQueue: 1_000,
    nodeTimeoutMs: 10_000,
    nodeRetryDelaysMs: [50, 200, 500],
    settleHoldMs: 10_000,
    settleRetryMs: 500,
    settingsWaitMs: 30_000,
    topologyWaitMs: 10_000,
    controlTimeoutMs: 5_000,
    maxPendingRegistrations: 10_000,
    taskUidBlock: 16,
    taskUidTtlMs: 10_000,
    takeOverTail: 200,
  };
}
