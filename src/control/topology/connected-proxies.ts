import type { ProxyStream } from "./proxy-stream.js";
import type { LeaseHolder } from "./write-leases.js";

/** A proxy whose stream is open. */
export interface ConnectedProxy {
  readonly stream: ProxyStream;
  /** What others are told of it as long as the stream lasts. */
  readonly holder: LeaseHolder;
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  /** The last heartbeat, and when it came on the monotonic clock. */
  heartbeat: { readonly sequence: bigint; readonly at: number } | undefined;
  /** Until when the granted lease runs, on the monotonic clock. */
  leaseUntil: number | undefined;
}

/** The connected proxies, one stream each: the latest that it has opened. */
export class ConnectedProxies {
  readonly #byId = new Map<string, ConnectedProxy>();

  /** How many there are. */
  get size(): number {
    return this.#byId.size;
  }

  /** All of them, in the order in which they first came. */
  all(): Iterable<ConnectedProxy> {
    return this.#byId.values();
  }

  /** The proxy of that id, whichever session it is in. */
  byId(proxyId: string): ConnectedProxy | undefined {
    return this.#byId.get(proxyId);
  }

  /** The proxy that is in that session. */
  bySession(session: string): ConnectedProxy | undefined {
    for (const proxy of this.#byId.values()) if (proxy.stream.hello.session === session) return proxy;
    return undefined;
  }

  /** The proxy at the other end of a stream; undefined where the stream has ended, or another one has taken its place. */
  of(stream: ProxyStream): ConnectedProxy | undefined {
    const proxy = this.#byId.get(stream.hello.proxyId);
    return proxy?.stream === stream && !stream.ended() ? proxy : undefined;
  }

  /**
   * Adds the proxy of a new stream, in place of the same one on an earlier stream; where that was in the same session, what was granted on it
   * runs on.
   */
  add(stream: ProxyStream, connectedAt: number): void {
    const { proxyId, session, address, peerAddress, peerKey } = stream.hello;
    const former = this.#byId.get(proxyId);
    this.#byId.set(proxyId, {
      stream,
      holder: { proxyId, session, address, peerAddress, peerKey },
      connectedAt,
      heartbeat: undefined,
      leaseUntil: former?.stream.hello.session === session ? former.leaseUntil : undefined,
    });
  }

  /** Forgets the proxy of a stream; false where another stream has taken its place, or it was forgotten already. */
  remove(stream: ProxyStream): boolean {
    const { proxyId } = stream.hello;
    return this.#byId.get(proxyId)?.stream === stream && this.#byId.delete(proxyId);
  }
}
