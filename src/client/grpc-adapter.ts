import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";

/** Messages that may wait in a stream for a peer that does not read. */
const MAX_UNSENT = 256;

/** Options of one call. */
export interface GrpcCallOptions {
  /** Milliseconds until the call fails with `DEADLINE_EXCEEDED`; no limit unless given. */
  readonly timeoutMs?: number;
  /** Cancels the call when aborted. */
  readonly signal?: AbortSignal;
}

/** An open stream in both directions. */
export interface GrpcDuplex<I extends DescMessage, O extends DescMessage> {
  /** Queues a message. A peer that leaves 256 of them unread has its stream cancelled. */
  send(message: MessageInitShape<I>): void;
  /** Resolves once the peer has taken most of what was sent, or the stream is over: for who sends much. */
  ready(): Promise<void>;
  /** Ends when the peer ends the stream with OK; throws {@link GrpcError} otherwise. Can be iterated once. */
  readonly messages: AsyncIterable<MessageShape<O>>;
  /** Says that no more messages follow; what was sent before still arrives. */
  end(): void;
  /** Drops the stream. */
  cancel(): void;
}

type GrpcMethod<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: GrpcCallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: GrpcCallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodBiDiStreaming<infer I, infer O>
        ? (options?: GrpcCallOptions) => GrpcDuplex<I, O>
        : never;

/** A service's methods over a grpc-js channel, typed by its generated descriptor. */
export type GrpcServiceClient<S extends DescService> = {
  readonly [P in keyof S["method"]]: GrpcMethod<S["method"][P]>;
};

/** A call that ended with another status than OK. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  /** One of gRPC's status codes. */
  readonly code: status;
  /** The peer's own words. */
  readonly details: string;
  readonly #status: Uint8Array | undefined;

  /** `statusDetails`: the `google.rpc.Status` that the peer sent beside code and words; none unless given. */
  constructor(
    method: string,
    code: status,
    details: string,
    options?: ErrorOptions & { readonly statusDetails?: Uint8Array | undefined },
  ) {
    super(`${method}: ${status[code] ?? code}: ${details}`, options);
    this.code = code;
    this.details = details;
    this.#status = options?.statusDetails;
  }

  /** What the peer said of the failure in a message of this type; undefined where it said nothing of the kind. */
  detail<D extends DescMessage>(schema: D): MessageShape<D> | undefined {
    if (this.#status === undefined) return undefined;
    for (const any of fromBinary(StatusSchema, this.#status).details) {
      const found = anyUnpack(any, schema);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/**
 * Calls `service` through `channel`, a grpc-js client, with `metadata` on every call. Requests are given as plain
 * initialisers, answers come as generated messages. The channel stays the caller's to close.
 */
export function createGrpcServiceClient<S extends DescService>(
  service: S,
  channel: Client,
  metadata: Metadata = new Metadata(),
): GrpcServiceClient<S> {
  const methods: Record<string, unknown> = {};
  for (const method of service.methods) {
    switch (method.methodKind) {
      case "unary":
        methods[method.localName] = (request: MessageInitShape<DescMessage>, options?: GrpcCallOptions) =>
          callUnary(channel, metadata, method, request, options);
        break;
      case "server_streaming":
        methods[method.localName] = (request: MessageInitShape<DescMessage>, options?: GrpcCallOptions) =>
          callServerStreaming(channel, metadata, method, request, options);
        break;
      case "bidi_streaming":
        methods[method.localName] = (options?: GrpcCallOptions) =>
          callBiDi(channel, metadata, method, options);
        break;
      case "client_streaming":
        throw new Error(`${method.name}: client streaming is not supported`);
    }
  }
  return methods as GrpcServiceClient<S>;
}

function callUnary(
  channel: Client,
  metadata: Metadata,
  method: DescMethod,
  request: MessageInitShape<DescMessage>,
  options: GrpcCallOptions = {},
): Promise<MessageShape<DescMessage>> {
  return new Promise((resolve, reject) => {
    const call = channel.makeUnaryRequest(
      pathOf(method),
      encoder(method.input),
      decoder(method.output),
      create(method.input, request),
      metadata,
      callOptions(options),
      (error, answer) => {
        stopListening();
        if (error !== null) reject(wrap(method, error));
        else if (answer === undefined) {
          reject(new GrpcError(method.name, status.INTERNAL, "the answer has no message"));
        } else resolve(answer);
      },
    );
    const stopListening = cancelOnAbort(call, options.signal);
  });
}

async function* callServerStreaming(
  channel: Client,
  metadata: Metadata,
  method: DescMethod,
  request: MessageInitShape<DescMessage>,
  options: GrpcCallOptions = {},
): AsyncGenerator<MessageShape<DescMessage>> {
  const call = channel.makeServerStreamRequest(
    pathOf(method),
    encoder(method.input),
    decoder(method.output),
    create(method.input, request),
    metadata,
    callOptions(options),
  );
  const stopListening = cancelOnAbort(call, options.signal);
  try {
    yield* messagesOf(call, method);
  } finally {
    stopListening();
    call.cancel();
  }
}

function callBiDi(
  channel: Client,
  metadata: Metadata,
  method: DescMethod,
  options: GrpcCallOptions = {},
): GrpcDuplex<DescMessage, DescMessage> {
  const call = channel.makeBidiStreamRequest(
    pathOf(method),
    encoder(method.input),
    decoder(method.output),
    metadata,
    callOptions(options),
  );
  const stopListening = cancelOnAbort(call, options.signal);
  call.once("close", stopListening);
  // Without a listener a stream that breaks before it is iterated would end the process.
  call.on("error", () => undefined);
  return {
    send(message) {
      if (call.writableEnded || call.destroyed) return;
      if (call.writableLength >= MAX_UNSENT) call.cancel();
      else call.write(create(method.input, message));
    },
    ready: () =>
      new Promise((resolve) => {
        if (!call.writableNeedDrain || call.destroyed) {
          resolve();
          return;
        }
        const done = () => {
          call.off("drain", done);
          call.off("close", done);
          resolve();
        };
        call.once("drain", done);
        call.once("close", done);
      }),
    messages: messagesOf(call, method),
    end: () => call.end(),
    cancel: () => call.cancel(),
  };
}

type Duplex = ClientDuplexStream<MessageShape<DescMessage>, MessageShape<DescMessage>>;

async function* messagesOf(
  call: ClientReadableStream<MessageShape<DescMessage>> | Duplex,
  method: DescMethod,
): AsyncGenerator<MessageShape<DescMessage>> {
  try {
    for await (const message of call) yield message as MessageShape<DescMessage>;
  } catch (error) {
    throw wrap(method, error);
  }
}

function cancelOnAbort(call: { cancel(): void }, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = () => call.cancel();
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}

function callOptions(options: GrpcCallOptions): { deadline?: number } {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encoder(schema: DescMessage): (message: MessageShape<DescMessage>) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function decoder(schema: DescMessage): (bytes: Buffer) => MessageShape<DescMessage> {
  return (bytes) => fromBinary(schema, bytes);
}

function wrap(method: DescMethod, error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (isServiceError(error)) {
    const [statusDetails] = error.metadata.get("grpc-status-details-bin");
    return new GrpcError(method.name, error.code, unescapeReserved(error.details), {
      cause: error,
      statusDetails: Buffer.isBuffer(statusDetails) ? statusDetails : undefined,
    });
  }
  const text = error instanceof Error ? error.message : String(error);
  return new GrpcError(method.name, status.UNKNOWN, text, { cause: error });
}

/** Servers may escape any character of a status message; grpc-js leaves these as they came. */
function unescapeReserved(details: string): string {
  return details.replace(/%(?:23|24|26|2B|2C|2F|3A|3B|3D|3F|40)/gi, decodeURIComponent);
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}
