import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import type {
  ForwardRequest,
  ForwardResponseSchema,
  HandOverResponseSchema,
  PeerService,
  WriteHead,
} from "../../gen/miroir/v1/peers_pb.js";
import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import type { World } from "../../runtime/world.js";
import { epochReached } from "../../topology/epoch.js";
import type { ForwardedRequest, RouteAnswer } from "../http/route-table.js";
import { waitForTopology } from "../topology/bounded-wait.js";
import type { TopologySource, WriteLease } from "../topology/topology-view.js";
import type { WriterChoice } from "../topology/writer-choice.js";
import type { WriteGates } from "../write/write-gates.js";
import { bodyStream } from "./body-stream.js";

/** Makes another proxy the writer of an index, once what is under way there is done; why not, where it cannot be. */
export type HandOver = (
  instance: string,
  successor: { readonly proxyId: string; readonly session: string },
  waitMs: number,
) => Promise<{ readonly epoch: Epoch } | { readonly reason: string }>;

/** What {@link createPeerService} works with. */
export interface PeerServiceOptions {
  readonly world: World;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  readonly writers: WriterChoice;
  readonly gates: WriteGates;
  /** Answers a write as if it had come over HTTP. */
  readonly answer: (request: ForwardedRequest) => Promise<RouteAnswer>;
  readonly handOver: HandOver;
  /** Whether this proxy is about to stop: it takes no more writes from others then. */
  readonly isStopping: () => boolean;
}

/** How long this proxy looks for a way to take a write before it says that it does not: others look elsewhere then. Milliseconds. */
const TAKE_MS = 2_000;
/** Pause between two looks at a closed gate, where nobody tells that it has opened. Milliseconds. */
const GATE_MS = 10;

/** `miroir.v1.PeerService`: takes the writes of the indexes that this proxy writes, and passes such an index on. */
export function createPeerService(options: PeerServiceOptions): ServiceImpl<typeof PeerService> {
  return {
    forward: (requests, { signal }) => forward(options, requests, signal),
    async handOver({ instance, writer, waitMs }): Promise<MessageInitShape<typeof HandOverResponseSchema>> {
      if (writer === undefined) throw new ConnectError("writer is missing", Code.InvalidArgument);
      return options.handOver(instance, writer, Math.min(waitMs, 60_000));
    },
  };
}

/** Asks every call for this proxy's key. */
export function requirePeerKey(key: string): Interceptor {
  const expected = digest(`Bearer ${key}`);
  return (next) => (request) => {
    const given = request.header.get("authorization") ?? "";
    if (!timingSafeEqual(digest(given), expected)) {
      throw new ConnectError("this is not the key of this proxy", Code.Unauthenticated);
    }
    return next(request);
  };
}

type Response = MessageInitShape<typeof ForwardResponseSchema>;

async function* forward(
  options: PeerServiceOptions,
  requests: AsyncIterable<ForwardRequest>,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done === true || first.value.message.case !== "head") {
    throw new ConnectError("the first message is the write's head", Code.InvalidArgument);
  }
  const head = first.value.message.value;
  const admission = await admit(options, head, signal);
  if (typeof admission === "string") {
    const epoch = options.topology.current()?.epoch;
    yield {
      message: {
        case: "notTaken",
        value: { reason: admission, ...(epoch === undefined ? {} : { epoch }) },
      },
    };
    return;
  }
  try {
    yield { message: { case: "taken", value: {} } };
    const body = bodyStream(partsOf(incoming));
    // The other proxy may have given up before it was told that this one takes the write; it has not if it says that this is all.
    if (!readsBody(head)) await finished(body.resume(), { signal });
    const answer = await options.answer(requestOf(head, readsBody(head) ? body : Readable.from([]), signal));
    yield { message: { case: "answer", value: await answerOf(answer) } };
  } finally {
    admission();
  }
}

/** The function that ends the write here, or why this proxy does not take it. */
async function admit(
  { world, topology, lease, writers, gates, isStopping }: PeerServiceOptions,
  { indexUid, epoch }: WriteHead,
  signal: AbortSignal,
): Promise<(() => void) | string> {
  const until = world.clock.monotonic() + TAKE_MS;
  if (epoch !== undefined) {
    try {
      const known = (view: { readonly epoch: Epoch }) => epochReached(view.epoch, epoch);
      await waitForTopology({ topology, world }, known, { timeoutMs: TAKE_MS, signal });
    } catch {
      return "this proxy does not know the newest topology";
    }
  }
  for (;;) {
    if (isStopping()) return "this proxy is stopping";
    const state = lease.state();
    if (state.kind === "none") return state.reason;
    const choice = writers.of(
      topology.current()?.indexes.get(indexUid) ?? { uid: indexUid, writer: undefined },
    );
    if (choice.kind === "peer") return `proxy ${choice.proxy.proxyId} writes the index`;
    if (choice.kind === "unknown") return choice.reason;
    const leave = gates.enter(indexUid);
    if (leave !== undefined) return leave;
    if (world.clock.monotonic() >= until) return "the index is passing to another proxy";
    await world.timers.sleep(GATE_MS, signal);
  }
}

async function* partsOf(incoming: AsyncIterator<ForwardRequest>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const next = await incoming.next();
    if (next.done === true) throw new Error("the other proxy broke the write off");
    const { message } = next.value;
    if (message.case === "end") return;
    if (message.case !== "body") continue;
    yield Buffer.from(message.value.buffer, message.value.byteOffset, message.value.byteLength);
  }
}

/** Deletions by path have bodies that nobody looks at. */
function readsBody({ route, hasBody }: WriteHead): boolean {
  return hasBody && !route.startsWith("DELETE ");
}

function requestOf(head: WriteHead, stream: Readable, signal: AbortSignal): ForwardedRequest {
  const { "content-type": contentType, ...headers }: IncomingHttpHeaders = head.headers;
  const mark = head.url.indexOf("?");
  return {
    id: head.requestId,
    method: head.route.slice(0, head.route.indexOf(" ")),
    route: head.route,
    isForwarded: true,
    url: head.url,
    query: mark === -1 ? "" : head.url.slice(mark + 1),
    params: head.parameters,
    headers,
    contentType,
    stream,
    signal,
  };
}

async function answerOf({ status, headers = {}, contentType, body }: RouteAnswer) {
  const chunks: Buffer[] = [];
  if (body instanceof Readable) for await (const chunk of body) chunks.push(Buffer.from(chunk));
  else if (body !== undefined) chunks.push(Buffer.from(body));
  return {
    status,
    headers: { ...headers, ...(contentType === undefined ? {} : { "content-type": contentType }) },
    body: Buffer.concat(chunks),
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
