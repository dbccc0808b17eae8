/** A request to an address that a client has named. */
export interface OutboundRequest {
  readonly method: "GET" | "POST" | "PATCH";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** Gives up after this long without the whole answer. Milliseconds. */
  readonly timeoutMs: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
}

/** What came back. */
export interface OutboundResponse {
  readonly status: number;
  /** The first mebibyte of it. */
  readonly body: Buffer;
}

/** Carries requests out of the operator's network, or nowhere: redirects are not followed, and nothing is retried. */
export interface OutboundHttp {
  /** @throws OutboundRefusedError, OutboundUnavailableError */
  request(request: OutboundRequest): Promise<OutboundResponse>;
  /** Closes idle connections. */
  close(): Promise<void>;
}

/** Nothing was sent: the address is none that may be called. Repeating it does not help. */
export class OutboundRefusedError extends Error {
  override readonly name = "OutboundRefusedError";
}

/** No whole answer came; the request may have arrived. */
export class OutboundUnavailableError extends Error {
  override readonly name = "OutboundUnavailableError";
}
