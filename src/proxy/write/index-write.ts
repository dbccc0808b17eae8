import type { MeilisearchErrorBody } from "../../meilisearch/errors.js";
import type { NodeRequest } from "../../meilisearch/transport.js";
import type { Standing } from "./standing.js";

/** A write on its way to the nodes. */
export interface IndexWrite {
  readonly taskUid: bigint;
  /** The task's type as nodes print it. */
  readonly taskType: string;
  readonly touched: readonly number[] | "all";
  /** The keys of the documents that it touches, as text; undefined where they are too many. Without it, it may touch every key. */
  readonly keys?: (() => Promise<readonly string[] | undefined>) | undefined;
  /** Whether what becomes of the documents with these keys does not depend on what they were. False unless given. */
  readonly overwrites?: boolean | undefined;
  /**
   * Nodes that are still being filled with a shard do not get it: there it would make documents that lack what they need, and fail all that
   * shares its batch. The copy brings what it made of the documents. False unless given.
   */
  readonly onlyWhereFilled?: boolean | undefined;
  /** Of the nodes that hold what is touched, the only ones to be sent it; all of them unless given. */
  readonly only?: ReadonlySet<string>;
  /**
   * `document` writes carry `customMetadata`; nodes take none with `settings` and `index` operations. All but the last go out with
   * the key that cannot create indexes, so that one that comes late under an old name fails (invariant 7).
   */
  readonly kind: "document" | "settings" | "index";
  /** Goes out with the administrator's key although it is no index operation. Only for what creates no index on a node. */
  readonly asAdmin?: boolean | undefined;
  /**
   * The request for one node.
   *
   * @param shards the touched shards that the node holds; empty for `touched: "all"`
   * @param metadata the `customMetadata` of a document write
   */
  request(shards: readonly number[], physicalIndex: string, metadata: string): NodeRequest;
}

/** What one node made of a write. */
export interface AcceptedNodeTask {
  readonly nodeId: string;
  readonly nodeTaskUid: number;
  readonly shards: readonly number[];
}

/** What became of a write that was sent. */
export type SettledWrite =
  /** Every in-sync replica of each touched shard holds it. */
  | {
      readonly kind: "accepted";
      readonly nodeTasks: readonly AcceptedNodeTask[];
      readonly degradedShards: readonly number[];
    }
  /** Nodes refused it for what it is; `partly` where some shards' nodes had taken their part. */
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly body: MeilisearchErrorBody;
      readonly partly: boolean;
      readonly nodeTasks: readonly AcceptedNodeTask[];
    }
  /** No node made any of it, and none will. */
  | { readonly kind: "not-made"; readonly why: string; readonly cause: Error | undefined }
  /** Another writer has the index now; what the write became shows in the nodes' logs alone. */
  | { readonly kind: "lost"; readonly cause: Error };

/** The answer to a write: settled, or `unknown` for now with the promise of its settling. */
export type SentWrite = SettledWrite | { readonly kind: "unknown"; readonly settled: Promise<SettledWrite> };

/** The index is not in the topology. */
export class IndexGoneError extends Error {
  override readonly name = "IndexGoneError";
}

/** What only the writer of an index knows, shared by the parts of its code. */
export interface WriterState {
  readonly instance: string;
  /** Undefined while this proxy is not known to be the writer. */
  standing: Standing | undefined;
  /** The nodes may stand at another generation than the catalogue says, after a change that was not recorded. */
  unsure: boolean;
  /** By node: the sequence of the last document write that it took. */
  readonly previous: Map<string, number>;
  /** By node: when it answered last, in monotonic milliseconds. */
  readonly heard: Map<string, number>;
  readonly nextSequence: () => number;
}

/** The standing of an index whose writer has been prepared. */
export function readyStanding(state: WriterState): Standing {
  if (state.standing === undefined) throw new Error("the index's writer has not been prepared");
  return state.standing;
}
