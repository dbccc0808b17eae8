import {
  type NodeAddress,
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "../../../src/meilisearch/transport.js";

/** What happens to a request on its way. */
export type Fault =
  /** The node answers with an error and does nothing. */
  | { readonly kind: "refuse"; readonly status: number }
  /** The node does what it is asked and its answer is lost. */
  | { readonly kind: "lose-answer" }
  /** Nothing reaches the node. */
  | { readonly kind: "unreachable" };

/** Puts faults between the control plane and its nodes, whatever the nodes are. */
export class FaultyTransport implements NodeTransport {
  readonly #inner: NodeTransport;
  /** The fault that strikes a request, if any. */
  fault: (node: NodeAddress, request: NodeRequest) => Fault | undefined = () => undefined;

  constructor(inner: NodeTransport) {
    this.#inner = inner;
  }

  async request(node: NodeAddress, request: NodeRequest): Promise<NodeResponse> {
    const fault = this.fault(node, request);
    if (fault === undefined) return await this.#inner.request(node, request);
    if (fault.kind === "unreachable")
      throw new NodeUnavailableError(node.id, "not-sent", "connect ECONNREFUSED");
    if (fault.kind === "lose-answer") {
      await this.#inner.request(node, request);
      throw new NodeUnavailableError(node.id, "unknown", "timed out");
    }
    const body = {
      message: "No space left on device.",
      code: "no_space_left_on_device",
      type: "system",
      link: "",
    };
    return { status: fault.status, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
