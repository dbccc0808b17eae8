import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type {
  SubscribeRequest,
  SubscribeResponse,
  Topology,
  TopologyService,
} from "../../gen/miroir/v1/topology_pb.js";
import type { World } from "../../runtime/world.js";
import { protocolMismatch } from "../server/error-codes.js";
import { ProtocolBehindError } from "./protocol-gate.js";
import type { FleetObserver, ProxyFleet } from "./proxy-fleet.js";
import { ProxyRefusedError } from "./proxy-refused-error.js";
import { type ProxyStream, StreamProtocolError } from "./proxy-stream.js";
import { type TopologyManager, TopologyUnavailableError } from "./topology-manager.js";

/** Milliseconds that a proxy has for its Hello. */
const HELLO_MS = 10_000;

/** What {@link createTopologyService} works with. */
export interface TopologyServiceOptions {
  readonly topology: TopologyManager;
  readonly fleet: ProxyFleet;
  readonly world: World;
  readonly observer?: FleetObserver;
}

/** `miroir.v1.TopologyService` as Connect serves it. */
export function createTopologyService(options: TopologyServiceOptions): ServiceImpl<typeof TopologyService> {
  return {
    getTopology() {
      try {
        return { topology: withoutSecrets(options.topology.current()) };
      } catch (error) {
        if (error instanceof TopologyUnavailableError)
          throw new ConnectError(error.message, Code.Unavailable);
        throw error;
      }
    },
    subscribe: (requests, context) => subscribe(requests, context, options),
  };
}

/** Clients' secrets and nodes' keys are for the proxies, whose stream carries them; operators do without. */
export function withoutSecrets(topology: Topology): Topology {
  return {
    ...topology,
    resources: topology.resources.map((resource) => ({ ...resource, json: "" })),
    nodes: topology.nodes.map((node) => ({ ...node, key: "" })),
  };
}

async function* subscribe(
  requests: AsyncIterable<SubscribeRequest>,
  context: HandlerContext,
  options: TopologyServiceOptions,
): AsyncGenerator<SubscribeResponse> {
  const { fleet } = options;
  const incoming = requests[Symbol.asyncIterator]();
  const stream = await open(incoming, options);
  const onAbort = () => stream.end(abortError(context.signal));
  if (context.signal.aborted) onAbort();
  else context.signal.addEventListener("abort", onAbort, { once: true });
  // Ends by itself when the stream does: the iterator of requests ends with the call.
  void read(incoming, stream, options);
  try {
    for (;;) {
      const message = await stream.next();
      if (message === undefined) return;
      reportSent(message, options.observer);
      yield message;
    }
  } catch (error) {
    throw toConnectError(error);
  } finally {
    context.signal.removeEventListener("abort", onAbort);
    fleet.closed(stream);
  }
}

async function open(
  incoming: AsyncIterator<SubscribeRequest>,
  { fleet, world }: TopologyServiceOptions,
): Promise<ProxyStream> {
  const first = await new Promise<IteratorResult<SubscribeRequest>>((resolve, reject) => {
    const timer = world.timers.after(HELLO_MS, () =>
      reject(new ConnectError(`no hello within ${HELLO_MS} ms`, Code.DeadlineExceeded)),
    );
    incoming
      .next()
      .then(resolve, reject)
      .finally(() => timer.cancel());
  });
  if (first.done === true || first.value.message.case !== "hello") {
    throw new ConnectError("the first message of a topology stream must be hello", Code.InvalidArgument);
  }
  try {
    return await fleet.open(first.value.message.value);
  } catch (error) {
    throw toConnectError(error);
  }
}

/** Takes the proxy's messages until there are no more; ends the stream then, and on a fault. Never rejects. */
async function read(
  incoming: AsyncIterator<SubscribeRequest>,
  stream: ProxyStream,
  { fleet, world }: TopologyServiceOptions,
): Promise<void> {
  try {
    for (;;) {
      const next = await incoming.next();
      if (next.done === true) break;
      if (stream.ended()) return;
      stream.lastHeardAt = world.clock.monotonic();
      take(next.value, stream, fleet);
    }
    stream.end();
  } catch (error) {
    stream.end(error instanceof Error ? error : new Error("the stream broke", { cause: error }));
  }
}

function take({ message }: SubscribeRequest, stream: ProxyStream, fleet: ProxyFleet): void {
  switch (message.case) {
    case "ack":
      fleet.ack(stream, message.value.nonce, message.value.epoch);
      break;
    case "nack":
      fleet.nack(stream, message.value.nonce, message.value.error);
      break;
    case "heartbeat":
      fleet.heartbeat(stream, message.value.sequence);
      break;
    case "goodbye":
      fleet.goodbye(stream);
      break;
    case "hello":
      throw new StreamProtocolError("a topology stream has one hello, as its first message");
    case undefined:
      // A kind of message that only a newer proxy knows.
      break;
  }
}

function reportSent({ message }: SubscribeResponse, observer: FleetObserver | undefined): void {
  if (message.case !== undefined && message.case !== "snapshotPart") observer?.sent(message.case);
}

const REFUSAL_CODES: Readonly<Record<ProxyRefusedError["kind"], Code>> = {
  not_leader: Code.Unavailable,
  full: Code.ResourceExhausted,
  invalid: Code.InvalidArgument,
  replaced: Code.Aborted,
  silent: Code.DeadlineExceeded,
  closing: Code.Unavailable,
};

function toConnectError(error: unknown): ConnectError {
  if (error instanceof ProxyRefusedError) return new ConnectError(error.message, REFUSAL_CODES[error.kind]);
  if (error instanceof ProtocolBehindError) return protocolMismatch(error);
  if (error instanceof StreamProtocolError) return new ConnectError(error.message, Code.InvalidArgument);
  if (error instanceof TopologyUnavailableError) return new ConnectError(error.message, Code.Unavailable);
  return ConnectError.from(error);
}

function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new ConnectError("the call ended", Code.Canceled);
}
