import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type {
  CreateDumpRequestSchema,
  CreateDumpResponse,
  CreateSnapshotRequestSchema,
  CreateSnapshotResponse,
} from "../gen/miroir/v1/backups_pb.js";
import type {
  AdvanceCopyRequestSchema,
  AdvanceCopyResponse,
  ReportCopyRequestSchema,
  ReportCopyResponse,
} from "../gen/miroir/v1/copies_pb.js";
import type { ExportRequestSchema, ExportResponse } from "../gen/miroir/v1/exports_pb.js";
import type { SetFeaturesRequestSchema, SetFeaturesResponse } from "../gen/miroir/v1/features_pb.js";
import type {
  CommitGenerationRequestSchema,
  CommitGenerationResponse,
  CompactIndexRequestSchema,
  CompactIndexResponse,
  CreateIndexRequestSchema,
  CreateIndexResponse,
  EnsureIndexRequestSchema,
  EnsureIndexResponse,
  RemoveIndexRequestSchema,
  RemoveIndexResponse,
  RenameIndexRequestSchema,
  RenameIndexResponse,
  SwapIndexesRequestSchema,
  SwapIndexesResponse,
} from "../gen/miroir/v1/indexes_pb.js";
import type {
  CreateKeyRequestSchema,
  CreateKeyResponse,
  DeleteKeyRequestSchema,
  DeleteKeyResponse,
  UpdateKeyRequestSchema,
  UpdateKeyResponse,
} from "../gen/miroir/v1/keys_pb.js";
import type { SetResourceRequestSchema, SetResourceResponse } from "../gen/miroir/v1/resources_pb.js";
import type {
  AllocateTaskUidsRequestSchema,
  AllocateTaskUidsResponse,
  CancelTasksRequestSchema,
  CancelTasksResponse,
  CompactTaskStoreRequestSchema,
  CompactTaskStoreResponse,
  CountTasksRequestSchema,
  CountTasksResponse,
  DeleteTasksRequestSchema,
  DeleteTasksResponse,
  GetTaskRequestSchema,
  GetTaskResponse,
  ListTasksRequestSchema,
  ListTasksResponse,
  RegisterTasksRequestSchema,
  RegisterTasksResponse,
} from "../gen/miroir/v1/tasks_pb.js";
import type { SubscribeRequestSchema, SubscribeResponse } from "../gen/miroir/v1/topology_pb.js";

/** Options of one call. */
export interface ControlCallOptions {
  /** Milliseconds; 5,000 unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

type Init<T extends DescMessage> = MessageInitShape<T>;

/** One open topology stream. */
export interface TopologyStream {
  send(message: Init<typeof SubscribeRequestSchema>): void;
  /** Ends when either side closes; throws {@link ControlUnavailableError} when the connection breaks. */
  readonly messages: AsyncIterable<SubscribeResponse>;
  close(): void;
}

/**
 * The control plane as proxies call it. Implementations: a grpc-js channel over one or more addresses, and
 * whatever a simulation puts in its place. Methods reject with {@link ControlUnavailableError} when no
 * answer came, and with {@link ControlRefusedError} when the control plane refused.
 */
export interface ControlTransport {
  subscribe(signal: AbortSignal): TopologyStream;
  allocateTaskUids(
    request: Init<typeof AllocateTaskUidsRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<AllocateTaskUidsResponse>;
  registerTasks(
    request: Init<typeof RegisterTasksRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<RegisterTasksResponse>;
  getTask(request: Init<typeof GetTaskRequestSchema>, options?: ControlCallOptions): Promise<GetTaskResponse>;
  listTasks(
    request: Init<typeof ListTasksRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<ListTasksResponse>;
  countTasks(
    request: Init<typeof CountTasksRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CountTasksResponse>;
  compactTaskStore(
    request: Init<typeof CompactTaskStoreRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CompactTaskStoreResponse>;
  deleteTasks(
    request: Init<typeof DeleteTasksRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<DeleteTasksResponse>;
  cancelTasks(
    request: Init<typeof CancelTasksRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CancelTasksResponse>;
  ensureIndex(
    request: Init<typeof EnsureIndexRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<EnsureIndexResponse>;
  createIndex(
    request: Init<typeof CreateIndexRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CreateIndexResponse>;
  removeIndex(
    request: Init<typeof RemoveIndexRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<RemoveIndexResponse>;
  swapIndexes(
    request: Init<typeof SwapIndexesRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<SwapIndexesResponse>;
  renameIndex(
    request: Init<typeof RenameIndexRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<RenameIndexResponse>;
  compactIndex(
    request: Init<typeof CompactIndexRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CompactIndexResponse>;
  commitGeneration(
    request: Init<typeof CommitGenerationRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CommitGenerationResponse>;
  advanceCopy(
    request: Init<typeof AdvanceCopyRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<AdvanceCopyResponse>;
  reportCopy(
    request: Init<typeof ReportCopyRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<ReportCopyResponse>;
  createKey(
    request: Init<typeof CreateKeyRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CreateKeyResponse>;
  updateKey(
    request: Init<typeof UpdateKeyRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<UpdateKeyResponse>;
  deleteKey(
    request: Init<typeof DeleteKeyRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<DeleteKeyResponse>;
  setFeatures(
    request: Init<typeof SetFeaturesRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<SetFeaturesResponse>;
  setResource(
    request: Init<typeof SetResourceRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<SetResourceResponse>;
  createDump(
    request: Init<typeof CreateDumpRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CreateDumpResponse>;
  createSnapshot(
    request: Init<typeof CreateSnapshotRequestSchema>,
    options?: ControlCallOptions,
  ): Promise<CreateSnapshotResponse>;
  export(request: Init<typeof ExportRequestSchema>, options?: ControlCallOptions): Promise<ExportResponse>;
  close(): void;
}

/** The control plane gave no answer; the call may or may not have had its effect. Every method above is safe to call again; that a
 * key was created or deleted already is then refused as such. */
export class ControlUnavailableError extends Error {
  override readonly name = "ControlUnavailableError";
}

/** The codes with which the control plane refuses, in gRPC's names. */
export type ControlRefusalCode =
  | "invalid_argument"
  | "not_found"
  | "already_exists"
  | "failed_precondition"
  | "aborted"
  | "permission_denied"
  | "unauthenticated"
  | "resource_exhausted"
  | "internal";

/** The control plane refused a call. */
export class ControlRefusedError extends Error {
  override readonly name = "ControlRefusedError";
  readonly code: ControlRefusalCode;

  constructor(code: ControlRefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
