import type { Readable } from "node:stream";

/** Where a node is reached, and with which key. */
export interface NodeAddress {
  /** Miroir's id of the node, for errors, logs and metrics. */
  readonly id: string;
  /** Base URL, without a trailing slash. */
  readonly url: string;
  /** Bearer key; absent where the node asks for none. */
  readonly key?: string;
}

/** One HTTP request to a node. */
export interface NodeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path with query string, beginning with a slash. */
  readonly path: string;
  readonly contentType?: string;
  /** Further headers, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A function gives a fresh stream for every attempt. */
  readonly body?: Buffer | string | (() => Readable);
  /** Length of a streamed body in bytes. */
  readonly contentLength?: number;
  /** Gives up after this long without the whole answer. Milliseconds; 30,000 unless given. */
  readonly timeoutMs?: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
}

/** A node's whole answer, whatever its status. */
export interface NodeResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

/**
 * Carries requests to nodes. The one way from control plane and proxy to the network of nodes, so
 * that a simulation can stand in for it. An implementation never retries by itself: whether a request may be sent twice is its caller's to know.
 */
export interface NodeTransport {
  /** Resolves with the answer, or rejects with {@link NodeUnavailableError}. */
  request(node: NodeAddress, request: NodeRequest): Promise<NodeResponse>;
  /** Closes idle connections; requests under way are finished first. */
  close(): Promise<void>;
}

/**
 * What is known of a request that got no answer: `not-sent` was certainly not executed; `unknown` may have
 * been executed, or may be executed later (a node runs the requests of closed sockets when it resumes).
 */
export type NodeRequestOutcome = "not-sent" | "unknown";

/** A node took longer to answer than the request allowed; the cause of a {@link NodeUnavailableError}. */
export class RequestTimeoutError extends Error {
  override readonly name = "RequestTimeoutError";

  constructor(timeoutMs: number) {
    super(`no whole answer within ${timeoutMs} ms`);
  }
}

/** A node gave no answer. Says what that means for the request. */
export class NodeUnavailableError extends Error {
  override readonly name = "NodeUnavailableError";
  readonly nodeId: string;
  readonly outcome: NodeRequestOutcome;

  constructor(nodeId: string, outcome: NodeRequestOutcome, reason: string, options?: ErrorOptions) {
    super(`node ${nodeId} did not answer: ${reason}`, options);
    this.nodeId = nodeId;
    this.outcome = outcome;
  }

  /** Whether the connection failed, as it does where a node was restarted, rather than that the node was slow. */
  get isBroken(): boolean {
    if (this.outcome === "not-sent") return true;
    return this.cause !== undefined && !(this.cause instanceof RequestTimeoutError);
  }
}
