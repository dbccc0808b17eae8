import { Client, type ClientOptions, credentials, Metadata, status } from "@grpc/grpc-js";
import {
  createGrpcServiceClient,
  type GrpcDuplex,
  GrpcError,
  type GrpcServiceClient,
} from "../client/grpc-adapter.js";
import { BackupService } from "../gen/miroir/v1/backups_pb.js";
import { CopyService } from "../gen/miroir/v1/copies_pb.js";
import { ExportService } from "../gen/miroir/v1/exports_pb.js";
import { FeatureService } from "../gen/miroir/v1/features_pb.js";
import { IndexService } from "../gen/miroir/v1/indexes_pb.js";
import { KeyService } from "../gen/miroir/v1/keys_pb.js";
import { ResourceService } from "../gen/miroir/v1/resources_pb.js";
import { TaskService } from "../gen/miroir/v1/tasks_pb.js";
import {
  type SubscribeRequestSchema,
  type SubscribeResponse,
  type SubscribeResponseSchema,
  TopologyService,
} from "../gen/miroir/v1/topology_pb.js";
import type { World } from "../runtime/world.js";
import { type AttemptOptions, type CallKind, ControlFailOver } from "./control-fail-over.js";
import {
  type ControlCallOptions,
  type ControlRefusalCode,
  ControlRefusedError,
  type ControlTransport,
  ControlUnavailableError,
  type TopologyStream,
} from "./control-transport.js";

/** Trust and identity for TLS, as PEM. */
export interface ControlTls {
  /** Authorities to trust; the system's unless given. */
  readonly ca?: Buffer;
  /** The proxy's own certificate and key, where the control plane asks for one. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** The name to expect in the control plane's certificate; the address's host unless given. */
  readonly serverName?: string;
}

/** What {@link createGrpcControlTransport} connects to. */
export interface GrpcControlTransportOptions {
  /** `host:port` of every control process. At least one. */
  readonly addresses: readonly string[];
  readonly world: World;
  /** Sent with every call; none unless given. */
  readonly adminKey?: string;
  /** Plain text unless given. */
  readonly tls?: ControlTls;
  /** Bytes of the largest message to receive, a snapshot of the topology in particular; 64 MiB unless given. */
  readonly maxMessageBytes?: number;
}

interface Services {
  readonly client: Client;
  readonly topology: GrpcServiceClient<typeof TopologyService>;
  readonly tasks: GrpcServiceClient<typeof TaskService>;
  readonly indexes: GrpcServiceClient<typeof IndexService>;
  readonly keys: GrpcServiceClient<typeof KeyService>;
  readonly features: GrpcServiceClient<typeof FeatureService>;
  readonly backups: GrpcServiceClient<typeof BackupService>;
  readonly exports: GrpcServiceClient<typeof ExportService>;
  readonly resources: GrpcServiceClient<typeof ResourceService>;
  readonly copies: GrpcServiceClient<typeof CopyService>;
}

/**
 * A grpc-js channel for each control address, with keepalive; {@link ControlFailOver} says which of them is asked. Methods reject as
 * {@link ControlTransport} says.
 */
export function createGrpcControlTransport(options: GrpcControlTransportOptions): ControlTransport {
  const metadata = new Metadata();
  if (options.adminKey !== undefined) metadata.set("authorization", `Bearer ${options.adminKey}`);
  const targets = options.addresses.map((address) => ({
    address,
    target: connect(address, metadata, options),
  }));
  const failOver = new ControlFailOver({ targets, world: options.world });

  async function unary<T>(
    kind: CallKind,
    call: (services: Services, options: AttemptOptions) => Promise<T>,
    callOptions?: ControlCallOptions,
  ): Promise<T> {
    try {
      return await failOver.call(kind, call, callOptions);
    } catch (error) {
      throw translate(error);
    }
  }

  return {
    subscribe(signal) {
      const { address, target } = failOver.leading();
      return openStream(target.topology.subscribe({ signal }), {
        heard: () => failOver.heard(),
        over: (error) => failOver.failedAt(address, error),
      });
    },
    allocateTaskUids: (request, call) =>
      unary("repeatable", (s, o) => s.tasks.allocateTaskUids(request, o), call),
    registerTasks: (request, call) => unary("repeatable", (s, o) => s.tasks.registerTasks(request, o), call),
    getTask: (request, call) => unary("read", (s, o) => s.tasks.getTask(request, o), call),
    listTasks: (request, call) => unary("read", (s, o) => s.tasks.listTasks(request, o), call),
    countTasks: (request, call) => unary("read", (s, o) => s.tasks.countTasks(request, o), call),
    compactTaskStore: (request, call) => unary("once", (s, o) => s.tasks.compactTaskStore(request, o), call),
    deleteTasks: (request, call) => unary("once", (s, o) => s.tasks.deleteTasks(request, o), call),
    cancelTasks: (request, call) => unary("once", (s, o) => s.tasks.cancelTasks(request, o), call),
    ensureIndex: (request, call) => unary("repeatable", (s, o) => s.indexes.ensureIndex(request, o), call),
    createIndex: (request, call) => unary("once", (s, o) => s.indexes.createIndex(request, o), call),
    removeIndex: (request, call) => unary("once", (s, o) => s.indexes.removeIndex(request, o), call),
    swapIndexes: (request, call) => unary("once", (s, o) => s.indexes.swapIndexes(request, o), call),
    renameIndex: (request, call) => unary("once", (s, o) => s.indexes.renameIndex(request, o), call),
    compactIndex: (request, call) => unary("once", (s, o) => s.indexes.compactIndex(request, o), call),
    commitGeneration: (request, call) =>
      unary("once", (s, o) => s.indexes.commitGeneration(request, o), call),
    advanceCopy: (request, call) => unary("once", (s, o) => s.copies.advanceCopy(request, o), call),
    reportCopy: (request, call) => unary("once", (s, o) => s.copies.reportCopy(request, o), call),
    createKey: (request, call) => unary("once", (s, o) => s.keys.createKey(request, o), call),
    updateKey: (request, call) => unary("once", (s, o) => s.keys.updateKey(request, o), call),
    createDump: (request, call) => unary("once", (s, o) => s.backups.createDump(request, o), call),
    createSnapshot: (request, call) => unary("once", (s, o) => s.backups.createSnapshot(request, o), call),
    export: (request, call) => unary("once", (s, o) => s.exports.export(request, o), call),
    setFeatures: (request, call) => unary("once", (s, o) => s.features.setFeatures(request, o), call),
    setResource: (request, call) => unary("once", (s, o) => s.resources.setResource(request, o), call),
    deleteKey: (request, call) => unary("once", (s, o) => s.keys.deleteKey(request, o), call),
    close() {
      for (const { target } of targets) target.client.close();
    },
  };
}

function connect(address: string, metadata: Metadata, options: GrpcControlTransportOptions): Services {
  const { tls, maxMessageBytes = 64 * 1024 * 1024 } = options;
  const clientOptions: ClientOptions = {
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.enable_retries": 0,
    // A channel of its own for each transport, so that closing one leaves others alone.
    "grpc.use_local_subchannel_pool": 1,
    ...(tls?.serverName === undefined ? {} : { "grpc.ssl_target_name_override": tls.serverName }),
  };
  const client = new Client(
    address,
    tls === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null),
    clientOptions,
  );
  return {
    client,
    topology: createGrpcServiceClient(TopologyService, client, metadata),
    tasks: createGrpcServiceClient(TaskService, client, metadata),
    indexes: createGrpcServiceClient(IndexService, client, metadata),
    copies: createGrpcServiceClient(CopyService, client, metadata),
    keys: createGrpcServiceClient(KeyService, client, metadata),
    features: createGrpcServiceClient(FeatureService, client, metadata),
    backups: createGrpcServiceClient(BackupService, client, metadata),
    exports: createGrpcServiceClient(ExportService, client, metadata),
    resources: createGrpcServiceClient(ResourceService, client, metadata),
  };
}

function openStream(
  duplex: GrpcDuplex<typeof SubscribeRequestSchema, typeof SubscribeResponseSchema>,
  observer: { readonly heard: () => void; readonly over: (error: unknown) => void },
): TopologyStream {
  async function* messages(): AsyncGenerator<SubscribeResponse> {
    try {
      for await (const message of duplex.messages) {
        observer.heard();
        yield message;
      }
      observer.over(undefined);
    } catch (error) {
      observer.over(error);
      throw translate(error);
    }
  }
  return {
    send: (message) => duplex.send(message),
    messages: messages(),
    close: () => duplex.end(),
  };
}

const REFUSALS: ReadonlyMap<status, ControlRefusalCode> = new Map([
  [status.INVALID_ARGUMENT, "invalid_argument"],
  [status.OUT_OF_RANGE, "invalid_argument"],
  [status.NOT_FOUND, "not_found"],
  [status.ALREADY_EXISTS, "already_exists"],
  [status.FAILED_PRECONDITION, "failed_precondition"],
  [status.ABORTED, "aborted"],
  [status.PERMISSION_DENIED, "permission_denied"],
  [status.UNAUTHENTICATED, "unauthenticated"],
  [status.RESOURCE_EXHAUSTED, "resource_exhausted"],
  [status.INTERNAL, "internal"],
  [status.UNIMPLEMENTED, "internal"],
  [status.DATA_LOSS, "internal"],
]);

function translate(error: unknown): Error {
  if (!(error instanceof GrpcError)) {
    return error instanceof Error ? error : new ControlUnavailableError("the call failed", { cause: error });
  }
  // grpc-js reports a stream that the connection's other end reset as INTERNAL: no answer, then.
  const reset = error.code === status.INTERNAL && error.details.startsWith("Received RST_STREAM");
  const code = reset ? undefined : REFUSALS.get(error.code);
  if (code !== undefined) return new ControlRefusedError(code, error.details, { cause: error });
  return new ControlUnavailableError(`the control plane did not answer: ${error.message}`, { cause: error });
}
