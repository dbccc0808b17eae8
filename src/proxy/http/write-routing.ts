import type { Readable } from "node:stream";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WriteHeadSchema } from "../../gen/miroir/v1/peers_pb.js";
import { linkAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import { bodyStream } from "../peers/body-stream.js";
import type { ForwardOutcome, PeerCalls } from "../peers/peer-calls.js";
import { ReplayableBody } from "../peers/replayable-body.js";
import { degradedValue } from "../read/degradation.js";
import type { TopologySource, WriteLease, WriterDirectory, WritingProxy } from "../topology/topology-view.js";
import type { IndexWriterChoice, WriterChoice } from "../topology/writer-choice.js";
import type { WriteResult } from "../write/types.js";
import type { WriteGates } from "../write/write-gates.js";
import { apiError, noWriteLease, overloaded, writeHeld } from "./api-errors.js";
import type { ProxyConfig } from "./config.js";
import type { ProxyMetrics } from "./metrics.js";
import type { RouteAnswer, RouteHandler, RouteRequest } from "./route-table.js";

type WriteHead = MessageInitShape<typeof WriteHeadSchema>;

/** What {@link WriteRouter} works with. */
export interface WriteRouterOptions {
  readonly world: World;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  readonly writers: WriterChoice;
  /** The other proxies that may write; this one is alone unless given. */
  readonly directory?: WriterDirectory | undefined;
  readonly gates: WriteGates;
  readonly peers: PeerCalls;
  readonly config: Pick<ProxyConfig, "writeHoldMs" | "leaseHoldMs" | "maxHeldWrites">;
  readonly metrics: ProxyMetrics;
}

/** A write, as far as it concerns where it goes. */
export interface RoutedWrite {
  /** The index whose writer makes it; undefined for one that any proxy makes. */
  readonly indexUid: string | undefined;
  /** The body, where it has been read already. */
  readonly body?: Buffer | undefined;
  /** Makes the write here. `begun` stands in for the request's stream where another proxy has read a part of that and not taken it. */
  readonly write: (begun?: Readable) => Promise<WriteResult>;
}

/** With less than this left of the lease a write is not begun: what is on its way at the end of a lease has no certain outcome. Milliseconds. */
const LAST_MS = 200;
/** Pause before a proxy that did not take a write is asked again, where nothing else happens. Milliseconds. */
const PAUSE_MS = 50;

/** Headers that concern one connection, or that the answering proxy sets itself: answers are compressed for the client by who sends them to it. */
const NOT_PASSED_ON = new Set([
  "accept-encoding",
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
  "expect",
]);

/**
 * Brings each write to the proxy that writes its index: here, or another one, which gets it as it came. While an index has no writer to go to, because
 * it changes hands, its writer has died, or the control plane fails over, its writes are held: their bodies are not read, their number and time are bounded (invariant 12).
 */
export class WriteRouter {
  readonly #options: WriteRouterOptions;
  #held = 0;

  constructor(options: WriteRouterOptions) {
    this.#options = options;
    options.metrics.gauge(
      "miroir_writes_held",
      "Writes that wait for their index to have a writer.",
      () => this.#held,
    );
  }

  /** A handler of the writes to the index that the route's path names, or of writes to none. */
  handle(write: (request: RouteRequest) => Promise<WriteResult>): RouteHandler {
    return (request) =>
      this.#route(request, {
        indexUid: request.params.indexUid,
        write: (begun) => write(begun === undefined ? request : withStream(request, begun)),
      });
  }

  /** A handler of writes whose body says which index they concern. */
  handleRead(read: (request: RouteRequest) => Promise<RoutedWrite>): RouteHandler {
    return async (request) => this.#route(request, await read(request));
  }

  async #route(request: RouteRequest, { indexUid, body, write }: RoutedWrite): Promise<RouteAnswer> {
    if (request.isForwarded || indexUid === undefined) return printResult(await write());
    const { world, gates, config, topology, metrics } = this.#options;
    const until = world.clock.monotonic() + config.writeHoldMs;
    let replayable: ReplayableBody | undefined;
    for (;;) {
      const choice = this.#choose(indexUid);
      let reason: string;
      if (choice.kind === "self") {
        const leave = gates.enter(indexUid);
        if (leave !== undefined) {
          try {
            return printResult(await write(replayable && bodyStream(replayable.parts())));
          } finally {
            leave();
          }
        }
        reason = "the index is passing to another proxy";
      } else if (choice.kind === "peer") {
        replayable ??= new ReplayableBody(body ?? (hasBody(request) ? request.stream : undefined));
        const head = this.#headOf(request, indexUid, body);
        const outcome = await this.#forward(choice.proxy, head, replayable, request.signal);
        metrics.writeForwarded(outcome.kind);
        if (outcome.kind === "answered") return answerOf(outcome.answer);
        if (outcome.kind === "cut-off") throw cutOff(choice.proxy, outcome.cause);
        reason = outcome.reason;
      } else reason = choice.reason;
      if (world.clock.monotonic() >= until) throw writeHeld(indexUid, reason);
      await this.#untilChange(topology.current()?.epoch.counter, request.signal);
    }
  }

  #choose(indexUid: string): IndexWriterChoice {
    const { world, config, topology, lease, writers } = this.#options;
    const choice = writers.of(
      topology.current()?.indexes.get(indexUid) ?? { uid: indexUid, writer: undefined },
    );
    // Another proxy can make the write also while this one may not.
    if (choice.kind === "peer") return choice;
    const state = lease.state();
    if (state.kind === "held") {
      if ((state.leftMs ?? Number.POSITIVE_INFINITY) > LAST_MS) return choice;
      return { kind: "unknown", reason: "the write lease is about to end and has not been renewed" };
    }
    // Where the control plane fails over, the next leader grants a lease soon; where it is gone for long, nobody is kept waiting.
    const { endedAt = Number.NEGATIVE_INFINITY, reason } = state;
    if (world.clock.monotonic() - endedAt >= config.leaseHoldMs) throw noWriteLease(reason);
    return { kind: "unknown", reason };
  }

  #headOf(request: RouteRequest, indexUid: string, body: Buffer | undefined): WriteHead {
    const epoch = this.#options.topology.current()?.epoch;
    return {
      route: request.route,
      parameters: { ...request.params },
      url: request.url,
      headers: passedOn(request, body),
      hasBody: body !== undefined || hasBody(request),
      requestId: request.id,
      indexUid,
      ...(epoch === undefined ? {} : { epoch }),
    };
  }

  async #forward(
    proxy: WritingProxy,
    head: WriteHead,
    body: ReplayableBody,
    signal: AbortSignal,
  ): Promise<ForwardOutcome> {
    try {
      return await this.#options.peers.forward(proxy, { head, body, signal });
    } catch (cause) {
      throw outcomeUnknown(proxy, cause);
    }
  }

  /** Waits a little, or until who writes which index may have changed. */
  async #untilChange(seen: bigint | undefined, signal: AbortSignal): Promise<void> {
    const { world, topology, directory, gates, config } = this.#options;
    if (this.#held >= config.maxHeldWrites) throw overloaded("full");
    const changed = linkAbort(signal);
    const wake = () => changed.abort();
    const stops = [
      topology.onChange((view) => {
        if (view.epoch.counter !== seen) wake();
      }),
      gates.onOpen(wake),
      ...(directory === undefined ? [] : [directory.onWritersChange(wake)]),
    ];
    this.#held++;
    try {
      await world.timers.sleep(PAUSE_MS, changed.signal).catch(() => undefined);
    } finally {
      this.#held--;
      for (const stop of stops) stop();
      changed.unlink();
    }
    signal.throwIfAborted();
  }
}

function printResult(result: WriteResult): RouteAnswer {
  const degraded = result.degradedShards ?? [];
  return {
    status: result.status,
    body: JSON.stringify(result.body),
    ...(degraded.length === 0 ? {} : { headers: { "x-miroir-degraded": degradedValue(degraded) } }),
  };
}

function answerOf({
  status,
  headers,
  body,
}: Extract<ForwardOutcome, { kind: "answered" }>["answer"]): RouteAnswer {
  const { "content-type": contentType, ...others } = headers;
  return {
    status,
    headers: others,
    ...(body.length === 0 ? {} : { body: Buffer.from(body.buffer, body.byteOffset, body.byteLength) }),
    ...(contentType === undefined ? {} : { contentType }),
  };
}

/** The same request with another body. */
function withStream(request: RouteRequest, stream: Readable): RouteRequest {
  const { signal, readSignal, log } = request;
  return { ...request, signal, readSignal, log, stream };
}

/** `body` where it was read, which also decoded it. */
function passedOn({ headers, contentType }: RouteRequest, body: Buffer | undefined): Record<string, string> {
  const result: Record<string, string> = contentType === undefined ? {} : { "content-type": contentType };
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || NOT_PASSED_ON.has(name)) continue;
    result[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  if (body === undefined) return result;
  delete result["content-encoding"];
  return { ...result, "content-length": String(body.length) };
}

function hasBody({ headers }: RouteRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** The other proxy may have made the write before the connection broke, so it is never called failed (invariant 4). */
function outcomeUnknown({ proxyId }: WritingProxy, cause: unknown) {
  return apiError(
    504,
    "miroir_write_outcome_unknown",
    `Proxy ${proxyId}, which writes the index, did not answer; whether the write was made is not known. Look at the tasks before repeating it.`,
    "system",
    { cause },
  );
}

function cutOff({ proxyId }: WritingProxy, cause: unknown) {
  return apiError(
    503,
    "miroir_no_write_lease",
    `Proxy ${proxyId}, which writes the index, went away before it had the whole request. Nothing was written; repeat the write.`,
    "system",
    { retryAfterSeconds: 1, cause },
  );
}
