import { create, equals } from "@bufbuild/protobuf";
import {
  type Delta,
  type Epoch,
  type Hello,
  type LeaseHolder,
  type NodeCredentials,
  NodeCredentialsSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
  type Topology,
  type Welcome,
} from "../../gen/miroir/v1/topology_pb.js";
import { compareEpochs } from "../../topology/epoch.js";
import { partsOf, type SnapshotParts } from "../../topology/snapshot-parts.js";
import { type LeaseAnswer, leaseMessage } from "./lease-message.js";

/** The one topology that a proxy may have unanswered. */
interface InFlight {
  readonly nonce: bigint;
  readonly kind: "snapshot" | "delta";
  readonly topology: Topology;
  readonly sentAt: number;
  /** When a newer topology was published while this one was under way. */
  overtakenAt: number | undefined;
}

/** A snapshot that goes out in parts: what is left of it. */
interface InParts {
  readonly nonce: bigint;
  readonly parts: SnapshotParts;
  /** The next part. */
  next: number;
  /** The snapshot itself, which follows the parts. */
  readonly last: SubscribeResponse;
}

/** A topology that a proxy did not take. */
export interface Refusal {
  readonly epoch: Epoch;
  /** At most 1,000 characters of what the proxy said. */
  readonly error: string;
  /** A refused delta is not the last word: the snapshot follows it. */
  readonly sent: "snapshot" | "delta";
}

/** What an ACK or NACK meant. */
export type AnswerOutcome =
  | { readonly kind: "acked"; readonly epoch: Epoch; readonly afterMs: number }
  | { readonly kind: "nacked"; readonly epoch: Epoch; readonly sent: "snapshot" | "delta" }
  /** It answers nothing that is under way. */
  | { readonly kind: "stale" };

/** A proxy did not keep to the protocol; its stream is ended. */
export class StreamProtocolError extends Error {
  override readonly name = "StreamProtocolError";
}

/** How a stream gets what it sends. */
export interface StreamSource {
  newest(): Topology;
  credentials(): readonly NodeCredentials[];
  diff(base: Topology, next: Topology): Delta;
  monotonic(): number;
}

/**
 * The server's side of one topology stream. At most one topology is unanswered at a time, and at most one lease waits
 * to be sent; whatever happens meanwhile is coalesced into the newest of each (invariant 12).
 */
export class ProxyStream {
  readonly hello: Hello;
  /** On the monotonic clock. */
  lastHeardAt: number;
  readonly #source: StreamSource;
  #nonce = 0n;
  #inFlight: InFlight | undefined;
  #inParts: InParts | undefined;
  /** What the proxy is known to have in use: the base of deltas. */
  #held: Topology | undefined;
  #welcome: Welcome | undefined;
  #acked: Epoch | undefined;
  #nacked: Refusal | undefined;
  #ackedAfterMs = 0;
  #behindSince: number | undefined;
  #wanted: "nothing" | "newest" | "snapshot" = "newest";
  #sentCredentials: ReadonlyMap<string, NodeCredentials> = new Map();
  #lease: LeaseAnswer | undefined;
  /** The holders of leases that the proxy was told of last. */
  #toldHolders: readonly LeaseHolder[] | undefined;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  /**
   * `welcome` is what the proxy is greeted with, if it knows greetings; `base` is the topology that the proxy says it holds, where this
   * process remembers it.
   */
  constructor(hello: Hello, welcome: Welcome | undefined, base: Topology | undefined, source: StreamSource) {
    this.hello = hello;
    this.#welcome = welcome;
    this.#held = base;
    this.#source = source;
    this.lastHeardAt = source.monotonic();
  }

  /** The newest epoch acknowledged on this stream. */
  acked(): Epoch | undefined {
    return this.#acked;
  }

  /** The last refusal, until a later topology is acknowledged. */
  nacked(): Refusal | undefined {
    return this.#nacked;
  }

  /** Milliseconds between the sending of the newest acknowledged topology and its acknowledgement. */
  ackedAfterMs(): number {
    return this.#ackedAfterMs;
  }

  /** Since when, on the monotonic clock, a topology has been waiting for this proxy's acknowledgement. */
  behindSince(): number | undefined {
    return this.#behindSince;
  }

  /** Notes that there is a new topology. */
  published(): void {
    const now = this.#source.monotonic();
    this.#behindSince ??= now;
    if (this.#inFlight !== undefined) this.#inFlight.overtakenAt ??= now;
    this.#want("newest");
  }

  /** Notes that the keys of nodes have changed. */
  credentialsChanged(): void {
    this.#want("newest");
  }

  /** Sends a lease, in place of one that was not sent yet. */
  grant(lease: LeaseAnswer): void {
    this.#lease = lease;
    this.#notify();
  }

  /** Ends the stream, with an error or without. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#notify();
  }

  ended(): boolean {
    return this.#end !== undefined;
  }

  /** Takes an ACK. Throws {@link StreamProtocolError} where it names another epoch than was sent with its nonce. */
  ack(nonce: bigint, epoch: Epoch | undefined): AnswerOutcome {
    const sent = this.#inFlight;
    if (sent === undefined || sent.nonce !== nonce || sent.topology.epoch === undefined)
      return { kind: "stale" };
    if (epoch === undefined || compareEpochs(epoch, sent.topology.epoch) !== "equal") {
      throw new StreamProtocolError(
        `the acknowledgement of nonce ${nonce} names another epoch than was sent with it`,
      );
    }
    this.#inFlight = undefined;
    this.#inParts = undefined;
    this.#held = sent.topology;
    this.#acked = sent.topology.epoch;
    this.#nacked = undefined;
    this.#behindSince = sent.overtakenAt;
    this.#ackedAfterMs = this.#source.monotonic() - sent.sentAt;
    this.#notify();
    return { kind: "acked", epoch: this.#acked, afterMs: this.#ackedAfterMs };
  }

  /** Takes a NACK. A refused delta is followed by the whole topology, a refused snapshot by nothing until there is a newer one. */
  nack(nonce: bigint, error: string): AnswerOutcome {
    const sent = this.#inFlight;
    if (sent === undefined || sent.nonce !== nonce || sent.topology.epoch === undefined)
      return { kind: "stale" };
    this.#inFlight = undefined;
    this.#inParts = undefined;
    this.#nacked = { epoch: sent.topology.epoch, error: error.slice(0, 1_000), sent: sent.kind };
    this.#behindSince ??= sent.sentAt;
    if (sent.kind === "delta") this.#wanted = "snapshot";
    this.#notify();
    return { kind: "nacked", epoch: this.#nacked.epoch, sent: sent.kind };
  }

  /**
   * The next message for the proxy, once there is one; undefined when the stream has ended. Rejects with
   * the error given to {@link end}. Its caller asks again only when the last message is on its way, which is
   * what holds back a slow consumer.
   */
  async next(): Promise<SubscribeResponse | undefined> {
    for (;;) {
      if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return undefined;
      }
      // Leases before topologies: a proxy is told of a writer before it is told what that one has come to write.
      const message = this.#takeWelcome() ?? this.#takeLease() ?? this.#takeTopology();
      if (message !== undefined) return message;
      if (this.#inParts !== undefined) return await this.#takePart(this.#inParts);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #want(what: "newest"): void {
    if (this.#wanted === "nothing") this.#wanted = what;
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #takeWelcome(): SubscribeResponse | undefined {
    const welcome = this.#welcome;
    if (welcome === undefined) return undefined;
    this.#welcome = undefined;
    return create(SubscribeResponseSchema, { message: { case: "welcome", value: welcome } });
  }

  #takeTopology(): SubscribeResponse | undefined {
    if (this.#wanted === "nothing" || this.#inFlight !== undefined) return undefined;
    const newest = this.#source.newest();
    // Keys of a node that the proxy has not been told of yet would be dropped there, and taken for sent here.
    const nodes = new Set(newest.nodes.map(({ id }) => id));
    const credentials = this.#source.credentials().filter(({ nodeId }) => nodes.has(nodeId));
    const base = this.#wanted === "snapshot" ? undefined : this.#held;
    this.#wanted = "nothing";
    this.#nonce += 1n;
    const sentAt = this.#source.monotonic();
    this.#behindSince ??= this.#acked === undefined ? sentAt : undefined;
    this.#inFlight = {
      nonce: this.#nonce,
      kind: base === undefined ? "snapshot" : "delta",
      topology: newest,
      sentAt,
      overtakenAt: undefined,
    };
    const known = base === undefined ? new Map<string, NodeCredentials>() : this.#sentCredentials;
    this.#sentCredentials = new Map(credentials.map((keys) => [keys.nodeId, keys]));
    const changed = credentials.filter((keys) => {
      const former = known.get(keys.nodeId);
      return former === undefined || !equals(NodeCredentialsSchema, former, keys);
    });
    if (base === undefined) return this.#snapshot(newest, changed);
    const value = { ...this.#source.diff(base, newest), nonce: this.#nonce, credentials: changed };
    return create(SubscribeResponseSchema, { message: { case: "delta", value } });
  }

  /** The snapshot; undefined where its parts are to go out first. */
  #snapshot(topology: Topology, credentials: NodeCredentials[]): SubscribeResponse | undefined {
    const nonce = this.#nonce;
    const parts = this.hello.takesParts ? partsOf(topology) : undefined;
    const isWhole = parts === undefined || parts.count === 1;
    const value = { nonce, credentials, ...(isWhole ? { topology } : {}) };
    const message = create(SubscribeResponseSchema, { message: { case: "snapshot", value } });
    if (isWhole) return message;
    this.#inParts = { nonce, parts, next: 0, last: message };
    return undefined;
  }

  /** The next part of a snapshot, and the snapshot itself behind the last of them. */
  async #takePart(sending: InParts): Promise<SubscribeResponse> {
    const { last, next, nonce, parts } = sending;
    if (next === parts.count) {
      this.#inParts = undefined;
      return last;
    }
    sending.next += 1;
    const value = { nonce, data: await parts.part(next) };
    return create(SubscribeResponseSchema, { message: { case: "snapshotPart", value } });
  }

  #takeLease(): SubscribeResponse | undefined {
    const lease = this.#lease;
    if (lease === undefined) return undefined;
    this.#lease = undefined;
    const value = leaseMessage(lease, this.#toldHolders, this.hello);
    this.#toldHolders = lease.holders;
    return create(SubscribeResponseSchema, { message: { case: "lease", value } });
  }
}
