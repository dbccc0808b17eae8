import type { MessageInitShape } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { createGrpcServiceClient, type GrpcServiceClient } from "../../client/grpc-adapter.js";
import {
  type HandOverResponse,
  PeerService,
  type WriteAnswer,
  type WriteHeadSchema,
} from "../../gen/miroir/v1/peers_pb.js";
import { linkAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import type { WritingProxy } from "../topology/topology-view.js";
import type { ReplayableBody } from "./replayable-body.js";

/** A client's write on its way to the proxy that writes its index. */
export interface ForwardedWrite {
  readonly head: MessageInitShape<typeof WriteHeadSchema>;
  readonly body: ReplayableBody;
  readonly signal: AbortSignal;
}

/** What became of a {@link ForwardedWrite}. */
export type ForwardOutcome =
  | { readonly kind: "answered"; readonly answer: WriteAnswer }
  /** The other proxy has done nothing, and the whole body is there to be sent again. */
  | { readonly kind: "not-taken"; readonly reason: string }
  /** The other proxy cannot have done anything, since it did not get the whole body, of which too little is left here. */
  | { readonly kind: "cut-off"; readonly cause: unknown };

/** Calls of other proxies. */
export interface PeerCalls {
  /** Passes a write on. Rejects where it may have been made, but no answer came. */
  forward(proxy: WritingProxy, write: ForwardedWrite): Promise<ForwardOutcome>;
  /** Asks the writer of an index to make `writer` its writer. Rejects where no answer came. */
  handOver(
    proxy: WritingProxy,
    request: {
      readonly instance: string;
      readonly writer: { readonly proxyId: string; readonly session: string };
      readonly waitMs: number;
    },
  ): Promise<HandOverResponse>;
  close(): void;
}

/** Limits of {@link createPeerCalls}, in milliseconds. */
export interface PeerCallLimits {
  /** How long another proxy may take to say whether it takes a write. */
  readonly takeMs: number;
  /** How long a write may take that was taken. */
  readonly answerMs: number;
}

/** Other proxies that are connected at once. */
const MAX_CHANNELS = 256;

interface Channel {
  readonly client: Client;
  readonly peers: GrpcServiceClient<typeof PeerService>;
}

/**
 * Calls over one grpc-js channel for each other proxy. With `tls`, only of proxies whose certificates `ca` vouches for, the system's authorities
 * unless given. Names in certificates are not compared: proxies find each other by addresses that the control plane tells them.
 */
export function createPeerCalls(
  world: World,
  limits: PeerCallLimits,
  tls?: { readonly ca: Buffer | undefined },
): PeerCalls {
  const channels = new Map<string, Channel>();
  const channelTo = ({ session, peerAddress, peerKey }: WritingProxy): Channel => {
    const known = channels.get(session);
    if (known !== undefined) return known;
    const [oldest] = channels;
    if (oldest !== undefined && channels.size >= MAX_CHANNELS) {
      oldest[1].client.close();
      channels.delete(oldest[0]);
    }
    const client = new Client(
      peerAddress,
      tls === undefined
        ? credentials.createInsecure()
        : credentials.createSsl(tls.ca ?? null, null, null, { checkServerIdentity: () => undefined }),
      {
        "grpc.keepalive_time_ms": 10_000,
        "grpc.keepalive_timeout_ms": 5_000,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.min_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 1_000,
        "grpc.enable_retries": 0,
        "grpc.use_local_subchannel_pool": 1,
      },
    );
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${peerKey}`);
    const channel = { client, peers: createGrpcServiceClient(PeerService, client, metadata) };
    channels.set(session, channel);
    return channel;
  };
  return {
    async forward(proxy, write) {
      if (proxy.peerAddress === "") {
        return { kind: "not-taken", reason: `proxy ${proxy.proxyId} takes nothing from others` };
      }
      return forward(channelTo(proxy).peers, write, world, limits);
    },
    handOver: (proxy, request) =>
      channelTo(proxy).peers.handOver(request, { timeoutMs: request.waitMs + limits.takeMs }),
    close() {
      for (const { client } of channels.values()) client.close();
      channels.clear();
    },
  };
}

async function forward(
  peers: Channel["peers"],
  { head, body, signal }: ForwardedWrite,
  world: World,
  limits: PeerCallLimits,
): Promise<ForwardOutcome> {
  const stop = linkAbort(signal);
  const call = peers.forward({ signal: stop.signal });
  const answers = call.messages[Symbol.asyncIterator]();
  const state: { progress: "asked" | "sending" | "sent"; isOver: boolean } = {
    progress: "asked",
    isOver: false,
  };
  let sending: Promise<void> = Promise.resolve();
  let timer = world.timers.after(limits.takeMs, () => call.cancel());
  try {
    call.send({ message: { case: "head", value: head } });
    const first = await answers.next();
    const said = first.done === true ? undefined : first.value.message;
    if (said?.case === "notTaken") return { kind: "not-taken", reason: said.value.reason };
    if (said?.case !== "taken")
      return { kind: "not-taken", reason: "the other proxy did not say whether it takes the write" };
    timer.cancel();
    timer = world.timers.after(limits.answerMs, () => call.cancel());
    state.progress = "sending";
    sending = (async () => {
      for await (const part of body.parts()) {
        if (state.isOver) return;
        call.send({ message: { case: "body", value: part } });
        await call.ready();
      }
      state.progress = "sent";
      call.send({ message: { case: "end", value: {} } });
      call.end();
    })();
    // The client's request broke off: the other proxy sees that in the call.
    sending.catch(() => call.cancel());
    const second = await answers.next();
    const answer = second.done === true ? undefined : second.value.message;
    if (answer?.case === "answer") return { kind: "answered", answer: answer.value };
    throw new Error("the other proxy ended the call without an answer");
  } catch (error) {
    const reached = state.progress;
    state.isOver = true;
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    if (reached === "asked") return { kind: "not-taken", reason };
    if (reached === "sent") throw error;
    // The part that it waits for belongs to the next reader.
    await sending.catch(() => undefined);
    return body.canReplay() ? { kind: "not-taken", reason } : { kind: "cut-off", cause: error };
  } finally {
    state.isOver = true;
    timer.cancel();
    stop.unlink();
    call.cancel();
  }
}
