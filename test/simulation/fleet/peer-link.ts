import { create } from "@bufbuild/protobuf";
import { createHandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type ForwardRequest,
  ForwardRequestSchema,
  ForwardResponseSchema,
  HandOverRequestSchema,
  HandOverResponseSchema,
  PeerService,
} from "../../../src/gen/miroir/v1/peers_pb.js";
import type { ForwardOutcome, PeerCalls } from "../../../src/proxy/peers/peer-calls.js";
import type { VirtualWorld } from "../virtual-world.js";
import type { ProcessWorld } from "./process-world.js";

/** A proxy as others reach it. */
export interface Peer {
  readonly process: ProcessWorld;
  readonly peerService: ServiceImpl<typeof PeerService>;
  /** Rejects when the process is killed. */
  readonly broken: Promise<never>;
}

/** How other proxies are reached from one proxy; `peerOf` finds them by session. */
export function linkPeers(
  world: VirtualWorld,
  process: ProcessWorld,
  peerOf: (session: string) => Peer | undefined,
): PeerCalls {
  const travel = () => process.timers.sleep(1 + world.seeded.below(3));
  const reach = async (session: string): Promise<Peer | undefined> => {
    await travel();
    const peer = peerOf(session);
    if (peer === undefined || !peer.process.alive()) return undefined;
    await peer.process.timers.sleep(0);
    return peer;
  };
  return {
    async forward(proxy, { head, body, signal }): Promise<ForwardOutcome> {
      const peer = await reach(proxy.session);
      if (peer === undefined) return { kind: "not-taken", reason: `${proxy.proxyId} is not there` };
      const call = new AbortController();
      let progress: "asked" | "sending" | "sent" = "asked";
      let take: () => void = () => undefined;
      const taken = new Promise<void>((resolve) => {
        take = resolve;
      });
      async function* messages(): AsyncGenerator<ForwardRequest> {
        yield create(ForwardRequestSchema, { message: { case: "head", value: head } });
        await taken;
        for await (const value of body.parts()) {
          await travel();
          yield create(ForwardRequestSchema, { message: { case: "body", value } });
        }
        progress = "sent";
        yield create(ForwardRequestSchema, { message: { case: "end", value: {} } });
      }
      const answers = peer.peerService
        .forward(messages(), contextOf("forward", call.signal))
        [Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await Promise.race([answers.next(), peer.broken]);
          await travel();
          if (next.done === true) throw new Error("the other proxy ended the call without an answer");
          const { message } = create(ForwardResponseSchema, next.value);
          if (message.case === "notTaken") return { kind: "not-taken", reason: message.value.reason };
          if (message.case === "answer") return { kind: "answered", answer: message.value };
          progress = "sending";
          take();
        }
      } catch (error) {
        signal.throwIfAborted();
        if (reached(progress) === "sent") throw error;
        return progress === "asked" || body.canReplay()
          ? { kind: "not-taken", reason: String(error) }
          : { kind: "cut-off", cause: error };
      } finally {
        call.abort(new Error("the call is over"));
      }
    },
    async handOver(proxy, request) {
      const peer = await reach(proxy.session);
      if (peer === undefined) throw new Error(`${proxy.proxyId} is not there`);
      const whole = create(HandOverRequestSchema, request);
      const answer = await Promise.race([
        peer.peerService.handOver(whole, contextOf("handOver", undefined)),
        peer.broken,
      ]);
      await travel();
      return create(HandOverResponseSchema, answer);
    },
    close: () => undefined,
  };
}

/** Seen from behind an await, where the compiler does not expect it to have changed. */
function reached(progress: string): string {
  return progress;
}

function contextOf(method: "forward" | "handOver", signal: AbortSignal | undefined) {
  return createHandlerContext({
    service: PeerService,
    method: PeerService.method[method],
    protocolName: "simulated",
    requestMethod: "POST",
    url: "http://simulated",
    ...(signal === undefined ? {} : { requestSignal: signal }),
  });
}
