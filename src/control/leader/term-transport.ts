import type { NodeAddress, NodeRequest, NodeResponse, NodeTransport } from "../../meilisearch/transport.js";
import { createSharedAbort, linkAbort } from "../../runtime/abort.js";
import { NotLeaderError } from "./leadership.js";

/**
 * Carries one leader term's requests to nodes. When the term ends no answer is waited for any longer: a node that is frozen would hold the
 * process back from ever leading again for as long as its requests may take.
 *
 * A request that is broken off says nothing of its node, so that it rejects with {@link NotLeaderError}, by which nobody judges one;
 * whether it was executed is not known, as where the process was killed.
 */
export class TermTransport implements NodeTransport {
  readonly #inner: NodeTransport;
  readonly #over = createSharedAbort();

  constructor(inner: NodeTransport) {
    this.#inner = inner;
  }

  async request(node: NodeAddress, request: NodeRequest): Promise<NodeResponse> {
    const over = this.#over.signal;
    over.throwIfAborted();
    const link = request.signal === undefined ? undefined : linkAbort(over, request.signal);
    try {
      return await this.#inner.request(node, { ...request, signal: link?.signal ?? over });
    } catch (error) {
      over.throwIfAborted();
      throw error;
    } finally {
      link?.unlink();
    }
  }

  /** Breaks off what is under way, and refuses what comes. */
  end(): void {
    this.#over.abort(
      new NotLeaderError("the term of this control plane is over; ask the one that leads now"),
    );
  }

  /** Closes nothing: the connections serve the process's next term. */
  async close(): Promise<void> {}
}
