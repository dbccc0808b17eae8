import type { Logger } from "pino";
import type { Epoch, SubscribeResponse, Topology } from "../../gen/miroir/v1/topology_pb.js";
import { linkAbort } from "../../runtime/abort.js";
import type { TestFaults } from "../../runtime/test-faults.js";
import type { World } from "../../runtime/world.js";
import { formatEpoch } from "../../topology/epoch.js";
import { PROTOCOL, type ProtocolRange } from "../../topology/protocol.js";
import type { ControlTransport, TopologyStream } from "../control-transport.js";
import { Heartbeats } from "./heartbeats.js";
import { HeldLease } from "./held-lease.js";
import { HeldTopology } from "./held-topology.js";
import { ReceivedParts } from "./received-parts.js";
import { SilenceWatch } from "./silence-watch.js";
import type { TopologySource, TopologyView, WriteLease, WriterDirectory } from "./topology-view.js";

/** Where the topology stream stands. */
export type TopologyConnection =
  | { readonly kind: "idle" }
  /** Hello was sent; no topology was accepted on this stream yet. */
  | { readonly kind: "connecting"; readonly attempt: number }
  | { readonly kind: "subscribed"; readonly epoch: Epoch }
  /** The last attempt failed; the next one follows. Reads go on from the last topology. */
  | { readonly kind: "waiting"; readonly attempt: number; readonly delayMs: number; readonly error: string }
  | { readonly kind: "closed" };

/** The proxy's end of the topology stream: the newest accepted topology, the write lease, and who else holds one. */
export interface TopologyClient extends TopologySource, WriteLease, WriterDirectory {
  /** Connects, and stays connected until {@link close}. */
  start(): void;
  connection(): TopologyConnection;
  /** The newest accepted topology as it was received. */
  topology(): Topology | undefined;
  /** How many topologies this proxy has refused. */
  refused(): number;
  /** Gives the lease back at once and ends the stream. The topology stays readable. */
  close(): Promise<void>;
}

/** What {@link createTopologyClient} works with. */
export interface TopologyClientOptions {
  readonly control: ControlTransport;
  readonly world: World;
  readonly logger: Logger;
  readonly testFaults?: TestFaults;
  /** Stable name of the proxy. */
  readonly proxyId: string;
  /** Names this run of the process; 16 random bytes in hexadecimal unless given. */
  readonly session?: string;
  /** Base URL under which other proxies reach this proxy's HTTP API; a function gives it once the client was started. */
  readonly address: string | (() => string);
  /** Where its PeerService listens, once the client was started, and what that asks for; none unless given. */
  readonly peer?: { readonly address: () => string; readonly key: string };
  readonly version: string;
  /** What this proxy speaks; {@link PROTOCOL} unless given. */
  readonly protocol?: ProtocolRange;
  /** Milliseconds between heartbeats; 1,000 unless given. */
  readonly heartbeatMs?: number;
  /** Milliseconds without any message after which a stream is taken for dead; 5,000 unless given. */
  readonly silenceMs?: number;
  /** Bounds of the pause before another attempt, in milliseconds: 100 and 5,000 unless given. */
  readonly backOff?: { readonly firstMs: number; readonly maxMs: number };
}

/** A client that is not connected yet; see {@link TopologyClient.start}. */
export function createTopologyClient(options: TopologyClientOptions): TopologyClient {
  return new Subscriber(options);
}

/** The stream went quiet: the connection is half open, or the control plane hangs. */
class StreamSilentError extends Error {
  override readonly name = "StreamSilentError";
}

class Subscriber implements TopologyClient {
  readonly proxyId: string;
  readonly session: string;
  readonly #options: TopologyClientOptions;
  readonly #heartbeatMs: number;
  readonly #silenceMs: number;
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #held: HeldTopology;
  readonly #lease: HeldLease;
  readonly #stop = new AbortController();
  #connection: TopologyConnection = { kind: "idle" };
  #refused = 0;
  #stream: TopologyStream | undefined;
  #running: Promise<void> | undefined;

  constructor(options: TopologyClientOptions) {
    this.#options = options;
    this.proxyId = options.proxyId;
    this.session = options.session ?? Buffer.from(options.world.random.bytes(16)).toString("hex");
    this.#heartbeatMs = options.heartbeatMs ?? 1_000;
    this.#silenceMs = options.silenceMs ?? 5_000;
    this.#firstMs = options.backOff?.firstMs ?? 100;
    this.#maxMs = options.backOff?.maxMs ?? 5_000;
    const { logger, protocol, testFaults } = options;
    this.#held = new HeldTopology({ logger, testFaults, protocolMax: protocol?.max });
    this.#lease = new HeldLease(this.proxyId, this.session, options.world.clock);
  }

  start(): void {
    if (this.#connection.kind === "idle") this.#running = this.#run();
  }

  connection(): TopologyConnection {
    return this.#connection;
  }

  topology(): Topology | undefined {
    return this.#held.received();
  }

  refused(): number {
    return this.#refused;
  }

  current(): TopologyView | undefined {
    return this.#held.current();
  }

  state(): ReturnType<WriteLease["state"]> {
    return this.#lease.state();
  }

  writers(): ReturnType<WriterDirectory["writers"]> {
    return this.#lease.writers();
  }

  onWritersChange(listener: () => void): () => void {
    return this.#lease.onWritersChange(listener);
  }

  onChange(listener: (view: TopologyView) => void): () => void {
    return this.#held.onChange(listener);
  }

  waitFor(predicate: (view: TopologyView) => boolean, signal: AbortSignal): Promise<TopologyView> {
    return this.#held.waitFor(predicate, signal);
  }

  async close(): Promise<void> {
    if (this.#connection.kind === "closed") return;
    // In this order: nothing may be written under a lease that another proxy may get now.
    this.#lease.giveUp();
    this.#connection = { kind: "closed" };
    this.#stream?.send({ message: { case: "goodbye", value: {} } });
    this.#stream?.close();
    const giveUp = this.#options.world.timers.after(1_000, () => this.#stop.abort());
    if (this.#stream === undefined) this.#stop.abort();
    await this.#running;
    giveUp.cancel();
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { logger, world } = this.#options;
    for (let attempt = 1; ; attempt++) {
      if (this.#isClosed()) return;
      this.#connection = { kind: "connecting", attempt };
      let failure: unknown;
      try {
        if (await this.#subscribe()) attempt = 0;
        failure = new Error("the control plane ended the stream");
      } catch (error) {
        if (this.#wasSubscribed()) attempt = 0;
        failure = error;
      }
      if (this.#isClosed()) return;
      const delayMs = this.#pause(attempt);
      const error = failure instanceof Error ? failure.message : String(failure);
      this.#connection = { kind: "waiting", attempt, delayMs, error };
      logger.warn(
        { err: failure, attempt, delayMs: Math.round(delayMs) },
        "no topology stream; trying again",
      );
      try {
        await world.timers.sleep(delayMs, this.#stop.signal);
      } catch {
        // Only close() ends the pause early, and the loop sees that next.
      }
    }
  }

  #isClosed(): boolean {
    return this.#connection.kind === "closed";
  }

  #wasSubscribed(): boolean {
    return this.#connection.kind === "subscribed";
  }

  /** Doubles from attempt to attempt; between half and the whole of that at random, so that proxies do not return all at once. */
  #pause(attempt: number): number {
    const whole = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(attempt, 30));
    return whole / 2 + (whole / 2) * this.#options.world.random.next();
  }

  /** Runs one stream to its end; resolves true where a topology was accepted on it. */
  async #subscribe(): Promise<boolean> {
    const { control, world } = this.#options;
    const drop = linkAbort(this.#stop.signal);
    const stream = control.subscribe(drop.signal);
    this.#stream = stream;
    const silence = new SilenceWatch(world.timers, this.#silenceMs, () => drop.abort());
    const parts = new ReceivedParts();
    const heartbeats = new Heartbeats(world.timers, this.#heartbeatMs, () => this.#beat(stream));
    try {
      stream.send({ message: { case: "hello", value: this.#hello() } });
      silence.heard();
      heartbeats.start();
      for await (const message of stream.messages) {
        silence.heard();
        this.#receive(stream, message, parts);
      }
      return this.#wasSubscribed();
    } catch (error) {
      if (!silence.isSilent) throw error;
      throw new StreamSilentError(`the control plane was silent for ${this.#silenceMs} ms`, { cause: error });
    } finally {
      heartbeats.stop();
      silence.stop();
      drop.unlink();
      drop.abort();
      this.#lease.streamEnded();
      if (this.#stream === stream) this.#stream = undefined;
    }
  }

  #hello() {
    const { address, version, peer, protocol = PROTOCOL } = this.#options;
    const base = {
      ...(peer === undefined ? {} : { peerAddress: peer.address(), peerKey: peer.key }),
      protocolMin: protocol.min,
      protocolMax: protocol.max,
      proxyId: this.proxyId,
      session: this.session,
      address: typeof address === "string" ? address : address(),
      version,
      keepsHolders: true,
      takesParts: true,
      takesHolderChanges: true,
    };
    const held = this.#held.received();
    return held?.epoch === undefined
      ? base
      : { ...base, lastEpoch: held.epoch, lastContentHash: held.contentHash };
  }

  #beat(stream: TopologyStream): void {
    stream.send({ message: { case: "heartbeat", value: { sequence: this.#lease.heartbeat() } } });
  }

  #receive(stream: TopologyStream, { message }: SubscribeResponse, parts: ReceivedParts): void {
    switch (message.case) {
      case "snapshotPart":
        parts.add(message.value);
        break;
      case "snapshot":
        this.#receiveTopology(stream, message.value.nonce, () =>
          this.#held.takeSnapshot(message.value, parts),
        );
        break;
      case "delta":
        this.#receiveTopology(stream, message.value.nonce, () => this.#held.takeDelta(message.value));
        break;
      case "lease":
        this.#lease.answer(message.value);
        break;
      case "welcome":
        this.#options.logger.debug(
          { protocol: message.value.protocol, version: message.value.version },
          "welcomed by the control plane",
        );
        break;
      case undefined:
        this.#options.logger.warn("a message of a kind that this version does not know was ignored");
        break;
    }
  }

  /** Takes a topology into use, and answers with what came of it. */
  #receiveTopology(stream: TopologyStream, nonce: bigint, take: () => Epoch): void {
    let epoch: Epoch;
    try {
      epoch = take();
    } catch (error) {
      this.#refused += 1;
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.logger.error(
        { err: error, held: formatEpoch(this.#held.received()?.epoch) },
        "a topology was refused",
      );
      stream.send({ message: { case: "nack", value: { nonce, error: reason } } });
      return;
    }
    const first = !this.#wasSubscribed();
    if (!this.#isClosed()) this.#connection = { kind: "subscribed", epoch };
    stream.send({ message: { case: "ack", value: { nonce, epoch } } });
    if (first && !this.#isClosed()) this.#beat(stream);
  }
}
