import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import { type NodeResponse, RequestTimeoutError } from "./transport.js";

/**
 * One request and its whole answer, as undici's connections report it: neither a stream nor an abort controller is made for it,
 * which cost more than a small request does. Settles exactly once.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #resolve: (response: NodeResponse) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #contentType = "";
  readonly #chunks: Buffer[] = [];
  #failure: Error | undefined;
  #isOver = false;

  /**
   * @param timeoutMs after which the exchange fails with a {@link RequestTimeoutError}
   * @param signal fails the exchange with its reason
   */
  constructor(
    timeoutMs: number,
    signal: AbortSignal | undefined,
    resolve: (response: NodeResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#timer = setTimeout(() => this.#giveUp(new RequestTimeoutError(timeoutMs)), timeoutMs);
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Whether the exchange has ended, so that there is nothing to send any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The request is about to be written to a connection. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while it waited for a connection: it is not to be sent.
    if (this.#failure !== undefined) controller.abort(this.#failure);
  }

  /** The answer's head has come. */
  onResponseStart(_controller: unknown, status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#contentType = headers["content-type"] ?? "";
  }

  /** A piece of the answer's body has come. */
  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  /** The answer is whole. */
  onResponseEnd(): void {
    if (!this.#end()) return;
    const chunks = this.#chunks;
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    this.#resolve({ status: this.#status, contentType: this.#contentType, body });
  }

  /** There will be no answer. */
  onResponseError(_controller: unknown, error: Error): void {
    if (this.#end()) this.#reject(error);
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#signal?.reason;
    this.#giveUp(reason instanceof Error ? reason : new Error(String(reason)));
  };

  #giveUp(failure: Error): void {
    if (!this.#end()) return;
    this.#failure = failure;
    this.#reject(failure);
    this.#controller?.abort(failure);
  }

  /** Whether the exchange has ended only now. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
