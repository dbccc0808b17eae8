import type { NodeRequest, NodeResponse } from "../../meilisearch/transport.js";
import type { IndexView, NodeView, TopologyView } from "../topology/topology-view.js";
import type { NodeAsk } from "./read-covers.js";

/** A request to a node's index, before it is known under which name the node holds the index. */
export interface IndexRequest {
  readonly method: NodeRequest["method"];
  /** What follows `/indexes/<name>`, beginning with a slash; empty for the index itself. */
  readonly path: string;
  /** JSON text. */
  readonly body?: string | Buffer;
  /** Further headers, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Uses the key that may read settings and statistics. */
  readonly asAdmin?: boolean;
}

/** What a read asks of every node that serves a part of the index. */
export interface ShardRead {
  /** The requests for one node; all of them must be answered. `parts` is `one` where it alone serves the index. */
  requests(ask: NodeAsk, parts: "one" | "many", index: IndexView): readonly IndexRequest[];
  /** Whether the read can do without the request that a node refused; never unless given. `at` counts from 0. */
  toleratesRefusal?(at: number, response: NodeResponse): boolean;
}

/** What one node answered to its requests, in their order. */
export interface NodeAnswer {
  readonly ask: NodeAsk;
  readonly responses: readonly NodeResponse[];
}

/** What could be read. */
export interface ShardReadResult {
  readonly index: IndexView;
  readonly view: TopologyView;
  readonly parts: "one" | "many";
  /** In ascending order of the lowest shard, which does not change from request to request as the nodes do. */
  readonly answers: readonly NodeAnswer[];
  /** Shards that no replica could be read of, ascending. */
  readonly missing: readonly number[];
}

/** A node understood a request and refused it: what the client asked for is at fault, and every node would say the same. */
export class NodeRefusedError extends Error {
  override readonly name = "NodeRefusedError";

  constructor(
    readonly node: NodeView,
    /** The name under which the node was asked. */
    readonly physicalName: string,
    readonly response: NodeResponse,
  ) {
    super(`node ${node.id} refused with status ${response.status}`);
  }
}
