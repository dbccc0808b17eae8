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
import {
  type ControlCallOptions,
  type ControlRefusalCode,
  ControlRefusedError,
  type ControlTransport,
  ControlUnavailableError,
  type TopologyStream,
} from "./control-transport.js";

const DEFAULT_TIMEOUT_MS = 5_000;

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
 * A grpc-js channel for each control address, with keepalive. Calls go to the address that answered last; one that
 * does not answer, or that is not the leader, is passed over for the next. A call is tried once at each address, within its own
 * timeout. Methods reject as {@link ControlTransport} says.
 */
export function createGrpcControlTransport(options: GrpcControlTransportOptions): ControlTransport {
  if (options.addresses.length === 0) throw new Error("no control address is given");
  const metadata = new Metadata();
  if (options.adminKey !== undefined) metadata.set("authorization", `Bearer ${options.adminKey}`);
  const all = options.addresses.map((address) => connect(address, metadata, options));
  let preferred = 0;

  async function unary<T>(
    call: (services: Services, options: { timeoutMs: number; signal?: AbortSignal }) => Promise<T>,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: ControlCallOptions = {},
  ): Promise<T> {
    const callOptions = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
    let last: unknown;
    for (let attempt = 0; attempt < all.length; attempt++) {
      const position = (preferred + attempt) % all.length;
      const services = all[position];
      if (services === undefined) break;
      try {
        const answer = await call(services, callOptions);
        preferred = position;
        return answer;
      } catch (error) {
        last = error;
        // Elsewhere is tried only where this address is certainly not the one to answer, so that
        // the caller's timeout is not spent twice.
        if (signal?.aborted || !(error instanceof GrpcError) || error.code !== status.UNAVAILABLE) break;
      }
    }
    throw translate(last);
  }

  return {
    subscribe(signal) {
      const position = preferred;
      const services = all[position];
      if (services === undefined) throw new Error("no control address is given");
      return openStream(services.topology.subscribe({ signal }), () => {
        if (preferred === position) preferred = (position + 1) % all.length;
      });
    },
    allocateTaskUids: (request, call) => unary((s, o) => s.tasks.allocateTaskUids(request, o), call),
    registerTasks: (request, call) => unary((s, o) => s.tasks.registerTasks(request, o), call),
    getTask: (request, call) => unary((s, o) => s.tasks.getTask(request, o), call),
    listTasks: (request, call) => unary((s, o) => s.tasks.listTasks(request, o), call),
    countTasks: (request, call) => unary((s, o) => s.tasks.countTasks(request, o), call),
    compactTaskStore: (request, call) => unary((s, o) => s.tasks.compactTaskStore(request, o), call),
    deleteTasks: (request, call) => unary((s, o) => s.tasks.deleteTasks(request, o), call),
    cancelTasks: (request, call) => unary((s, o) => s.tasks.cancelTasks(request, o), call),
    ensureIndex: (request, call) => unary((s, o) => s.indexes.ensureIndex(request, o), call),
    createIndex: (request, call) => unary((s, o) => s.indexes.createIndex(request, o), call),
    removeIndex: (request, call) => unary((s, o) => s.indexes.removeIndex(request, o), call),
    swapIndexes: (request, call) => unary((s, o) => s.indexes.swapIndexes(request, o), call),
    renameIndex: (request, call) => unary((s, o) => s.indexes.renameIndex(request, o), call),
    compactIndex: (request, call) => unary((s, o) => s.indexes.compactIndex(request, o), call),
    commitGeneration: (request, call) => unary((s, o) => s.indexes.commitGeneration(request, o), call),
    advanceCopy: (request, call) => unary((s, o) => s.copies.advanceCopy(request, o), call),
    reportCopy: (request, call) => unary((s, o) => s.copies.reportCopy(request, o), call),
    createKey: (request, call) => unary((s, o) => s.keys.createKey(request, o), call),
    updateKey: (request, call) => unary((s, o) => s.keys.updateKey(request, o), call),
    createDump: (request, call) => unary((s, o) => s.backups.createDump(request, o), call),
    createSnapshot: (request, call) => unary((s, o) => s.backups.createSnapshot(request, o), call),
    export: (request, call) => unary((s, o) => s.exports.export(request, o), call),
    setFeatures: (request, call) => unary((s, o) => s.features.setFeatures(request, o), call),
    setResource: (request, call) => unary((s, o) => s.resources.setResource(request, o), call),
    deleteKey: (request, call) => unary((s, o) => s.keys.deleteKey(request, o), call),
    close() {
      for (const { client } of all) client.close();
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
  onUnavailable: () => void,
): TopologyStream {
  async function* messages(): AsyncGenerator<SubscribeResponse> {
    try {
      yield* duplex.messages;
    } catch (error) {
      const translated = translate(error);
      if (translated instanceof ControlUnavailableError) onUnavailable();
      throw translated;
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
