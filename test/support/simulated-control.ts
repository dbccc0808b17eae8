import { create } from "@bufbuild/protobuf";
import { createHandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
  TopologyService,
} from "../../src/gen/miroir/v1/topology_pb.js";
import {
  type ControlTransport,
  ControlUnavailableError,
  type TopologyStream,
} from "../../src/proxy/control-transport.js";
import type { World } from "../../src/runtime/world.js";

/** The network between a proxy and a control plane, inside a test's own time. */
export interface SimulatedNetwork {
  /** The control plane that answers now; undefined while there is none. */
  readonly service: () => ServiceImpl<typeof TopologyService> | undefined;
  /** Milliseconds that the next message takes. Messages of one direction of a stream never overtake each other. */
  readonly latency: () => number;
  /** Whether messages are lost without anybody being told, as on a half-open connection. */
  silent: boolean;
}

/** Carries topology streams over `network`; every other call fails. */
export function createSimulatedTransport(
  network: SimulatedNetwork,
  world: World,
): ControlTransport & { breakStreams(): void } {
  const open = new Set<() => void>();
  const missing = () => Promise.reject(new ControlUnavailableError("not simulated"));
  return {
    subscribe: (signal) => openStream(network, world, signal, open),
    breakStreams() {
      for (const drop of [...open]) drop();
    },
    allocateTaskUids: missing,
    registerTasks: missing,
    getTask: missing,
    listTasks: missing,
    countTasks: missing,
    compactTaskStore: missing,
    compactIndex: missing,
    setResource: missing,
    deleteTasks: missing,
    cancelTasks: missing,
    ensureIndex: missing,
    createIndex: missing,
    removeIndex: missing,
    swapIndexes: missing,
    renameIndex: missing,
    commitGeneration: missing,
    advanceCopy: missing,
    reportCopy: missing,
    createKey: missing,
    updateKey: missing,
    deleteKey: missing,
    setFeatures: missing,
    createDump: missing,
    export: missing,
    createSnapshot: missing,
    close: () => undefined,
  };
}

function openStream(
  network: SimulatedNetwork,
  world: World,
  signal: AbortSignal,
  open: Set<() => void>,
): TopologyStream {
  const toServer = new Queue<SubscribeRequest>();
  const toProxy = new Queue<SubscribeResponse>();
  const up = new Pipe(network, world);
  const down = new Pipe(network, world);
  const call = new AbortController();
  const drop = () => {
    open.delete(drop);
    call.abort();
    toServer.end(new Error("the connection broke"));
    toProxy.end(new ControlUnavailableError("the connection broke"));
  };
  open.add(drop);
  signal.addEventListener("abort", drop, { once: true });
  if (signal.aborted) drop();
  const service = network.service();
  if (service === undefined) {
    drop();
  } else {
    const context = createHandlerContext({
      service: TopologyService,
      method: TopologyService.method.subscribe,
      protocolName: "simulated",
      requestMethod: "POST",
      url: "http://simulated",
      requestSignal: call.signal,
    });
    void serve(service.subscribe(toServer, context), down, toProxy);
  }
  return {
    send: (message) => up.carry(() => toServer.push(create(SubscribeRequestSchema, message))),
    messages: toProxy,
    close: () => up.carry(() => toServer.end()),
  };
}

async function serve(
  responses: ReturnType<ServiceImpl<typeof TopologyService>["subscribe"]>,
  down: Pipe,
  toProxy: Queue<SubscribeResponse>,
): Promise<void> {
  try {
    for await (const message of responses) {
      const whole = create(SubscribeResponseSchema, message);
      down.carry(() => toProxy.push(whole));
    }
    down.carry(() => toProxy.end());
  } catch (error) {
    down.carry(() => toProxy.end(new ControlUnavailableError("the stream was ended", { cause: error })));
  }
}

/** One direction of a connection: what goes in comes out later, in order. */
class Pipe {
  readonly #network: SimulatedNetwork;
  readonly #world: World;
  #last = 0;

  constructor(network: SimulatedNetwork, world: World) {
    this.#network = network;
    this.#world = world;
  }

  carry(deliver: () => void): void {
    if (this.#network.silent) return;
    const now = this.#world.clock.monotonic();
    this.#last = Math.max(this.#last, now + this.#network.latency());
    this.#world.timers.after(this.#last - now, deliver);
  }
}

class Queue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #end: { readonly error: Error | undefined } | undefined;
  #wake: () => void = () => undefined;

  push(item: T): void {
    if (this.#end === undefined) this.#items.push(item);
    this.#wake();
  }

  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#end?.error !== undefined) throw this.#end.error;
      else if (this.#end !== undefined) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
