import { create } from "@bufbuild/protobuf";
import { createHandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
  TopologyService,
} from "../../../src/gen/miroir/v1/topology_pb.js";
import { ControlUnavailableError, type TopologyStream } from "../../../src/proxy/control-transport.js";
import type { ProcessWorld } from "./process-world.js";

/** The two ends of a topology stream, and the way between them. */
export interface StreamEnds {
  readonly service: ServiceImpl<typeof TopologyService>;
  readonly proxy: ProcessWorld;
  readonly server: ProcessWorld;
  /** Milliseconds that the next message takes. */
  readonly latency: () => number;
  /** Whether the last snapshot comes once more behind what is sent now. */
  readonly replays: () => boolean;
  /** Whether whatever is sent counts as acknowledged at once. */
  readonly forgesAcks: boolean;
}

/** An open stream, with the way to break its connection. */
export interface LinkedStream extends TopologyStream {
  break(): void;
}

/**
 * Opens a topology stream. Messages of one direction never overtake each other; each arrives when its receiver runs, so that a process
 * that is stopped hears nothing, and one that was killed neither hears nor says anything any more.
 */
export function openStream(ends: StreamEnds, signal: AbortSignal): LinkedStream {
  const { service, proxy, server, latency } = ends;
  const toServer = new Queue<SubscribeRequest>();
  const toProxy = new Queue<SubscribeResponse>();
  const up = new Pipe(server, latency);
  const down = new Pipe(proxy, latency);
  const call = new AbortController();
  const breakOff = (): void => {
    signal.removeEventListener("abort", breakOff);
    toProxy.end(new ControlUnavailableError("the connection broke"));
    up.carry(() => {
      toServer.end(new Error("the connection broke"));
      call.abort(new Error("the connection broke"));
    });
  };
  signal.addEventListener("abort", breakOff, { once: true });
  const context = createHandlerContext({
    service: TopologyService,
    method: TopologyService.method.subscribe,
    protocolName: "simulated",
    requestMethod: "POST",
    url: "http://simulated",
    requestSignal: call.signal,
  });
  void serve(
    service.subscribe(toServer, context),
    down,
    toProxy,
    (message) => {
      const sent = message.message;
      if (!ends.forgesAcks || (sent.case !== "snapshot" && sent.case !== "delta")) return;
      const { nonce } = sent.value;
      const epoch = sent.case === "snapshot" ? sent.value.topology?.epoch : sent.value.changes?.epoch;
      if (epoch === undefined) return;
      toServer.push(create(SubscribeRequestSchema, { message: { case: "ack", value: { nonce, epoch } } }));
    },
    ends.replays,
  );
  return {
    send: (message) => {
      const whole = create(SubscribeRequestSchema, message);
      up.carry(() => toServer.push(whole));
    },
    messages: toProxy,
    close: () => up.carry(() => toServer.end()),
    break: breakOff,
  };
}

async function serve(
  responses: ReturnType<ServiceImpl<typeof TopologyService>["subscribe"]>,
  down: Pipe,
  toProxy: Queue<SubscribeResponse>,
  onSent: (message: SubscribeResponse) => void,
  replays: () => boolean,
): Promise<void> {
  let former: SubscribeResponse | undefined;
  try {
    for await (const message of responses) {
      const whole = create(SubscribeResponseSchema, message);
      down.carry(() => toProxy.push(whole));
      onSent(whole);
      if (whole.message.case === "lease") continue;
      const again = former;
      if (again !== undefined && replays()) down.carry(() => toProxy.push(again));
      if (whole.message.case === "snapshot") former = whole;
    }
    down.carry(() => toProxy.end());
  } catch (error) {
    down.carry(() => toProxy.end(new ControlUnavailableError("the stream was ended", { cause: error })));
  }
}

/** One direction of a connection: what goes in comes out later, in order. */
class Pipe {
  private last = 0;

  constructor(
    private readonly receiver: ProcessWorld,
    private readonly latency: () => number,
  ) {}

  carry(deliver: () => void): void {
    const now = this.receiver.clock.monotonic();
    this.last = Math.max(this.last, now + this.latency());
    this.receiver.timers.after(this.last - now, deliver);
  }
}

class Queue<T> implements AsyncIterable<T> {
  private readonly items: T[] = [];
  private ending: { readonly error: Error | undefined } | undefined;
  private wake: () => void = () => undefined;

  push(item: T): void {
    if (this.ending === undefined) this.items.push(item);
    this.wake();
  }

  end(error?: Error): void {
    this.ending ??= { error };
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = this.items.shift();
      if (item !== undefined) yield item;
      else if (this.ending?.error !== undefined) throw this.ending.error;
      else if (this.ending !== undefined) return;
      else
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
    }
  }
}
