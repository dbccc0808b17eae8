import {
  errorLink,
  MeilisearchError,
  type MeilisearchErrorBody,
  parseErrorBody,
} from "../../meilisearch/errors.js";
import {
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "../../meilisearch/transport.js";
import { hideInjectedFields, standInsThroughout } from "../../merge/injected-fields.js";
import { withClientRuleNumbers } from "../../settings/rule-numbers.js";
import { indexUidFault } from "../http/api-errors.js";
import type { IndexView, NodeView, TopologySource } from "../topology/topology-view.js";
import { indexFacts } from "./index-facts.js";
import type { NodeHealth } from "./node-health.js";
import type { IndexRequest, NodeRefusedError } from "./shard-read.js";

/**
 * Words refusals as Meilisearch would. What a node says of the request that Miroir made from a client's
 * differs from what it says of the client's own (positions in filters, lists of names), so the node is asked once more
 * with the client's own words, and its answer is passed on under the client's name for the index.
 */
export interface NodeRefusals {
  /** The error for a refusal that a read met. `original` is the client's own request. */
  refusal(refused: NodeRefusedError, indexUid: string, original: IndexRequest): Promise<MeilisearchError>;
  /**
   * What Meilisearch finds wrong with a request before it looks for the index: unknown or malformed members and
   * parameters. Nothing is executed: the node is asked for an index whose name no index can have.
   *
   * @param readOf the index that a read is about; where its uid is a good one, what Meilisearch says of values before it
   *   looks for the index is found as well
   * @returns undefined where the request is sound, or no node can tell
   */
  malformation(
    original: IndexRequest,
    signal: AbortSignal,
    readOf?: string,
  ): Promise<MeilisearchError | undefined>;
  /**
   * What a node says to a request that names its indexes in the body, if it refuses it: raw, for the caller to put the client's
   * names into.
   *
   * @param holder the index that the body names as nodes know it; any node is asked without one
   */
  verdict(request: NodeJudged, signal: AbortSignal, holder?: IndexView): Promise<NodeResponse | undefined>;
  /**
   * What a node that holds the index says to a read that Miroir cannot make sense of.
   *
   * @returns undefined where no node refuses it
   */
  judgement(
    index: IndexView,
    original: IndexRequest,
    signal: AbortSignal,
  ): Promise<MeilisearchError | undefined>;
}

/** A request that belongs to no single index. */
export interface NodeJudged {
  readonly method: NodeRequest["method"];
  /** The whole path, beginning with a slash. */
  readonly path: string;
  /** JSON text. */
  readonly body: string | Buffer;
  /** For what the key for searches and writes may not ask. */
  readonly asAdmin?: boolean;
}

/** No index can be called that: Meilisearch reads the whole request before it complains. */
const IMPOSSIBLE_INDEX = "%20";
/** No index is called that: all that Miroir makes have other names. */
const ABSENT_INDEX = "miroir-absent";
const TIMEOUT_MS = 5_000;

/** Asks nodes over `transport`. */
export function createNodeRefusals(
  transport: NodeTransport,
  topology: TopologySource,
  health: NodeHealth,
): NodeRefusals {
  const ask = (
    node: NodeView,
    index: string,
    request: IndexRequest,
    signal?: AbortSignal,
  ): Promise<NodeResponse> =>
    transport.request(request.asAdmin === true ? node.adminAddress : node.writeAddress, {
      method: request.method,
      // The nodes know Miroir's fields, which the client's words may name.
      path: `/indexes/${index}${standInsThroughout(request.path)}`,
      ...(request.body === undefined
        ? {}
        : { body: withStandIns(request.body), contentType: "application/json" }),
      timeoutMs: TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });

  const firstRefusal = async (
    nodes: readonly NodeView[],
    askNode: (node: NodeView) => Promise<NodeResponse>,
    signal: AbortSignal,
  ): Promise<NodeResponse | undefined> => {
    for (const node of nodes) {
      try {
        const response = await askNode(node);
        const { status } = response;
        if (status === 401 || status === 403 || (status >= 500 && status !== 501)) continue;
        return status >= 400 && codeOf(response) !== undefined ? response : undefined;
      } catch (error) {
        if (!(error instanceof NodeUnavailableError)) throw error;
        signal.throwIfAborted();
      }
    }
    return undefined;
  };

  const nodesInOrder = (accept: (node: NodeView) => boolean): NodeView[] =>
    [...(topology.current()?.nodes.values() ?? [])]
      .filter(accept)
      .sort((a, b) => Number(health.isAvoided(a.id)) - Number(health.isAvoided(b.id)));

  return {
    async refusal(refused, indexUid, original) {
      let response = refused.response;
      try {
        const again = await ask(refused.node, refused.physicalName, original);
        const code = codeOf(again);
        if (again.status >= 400 && again.status < 500 && code !== undefined && code !== "index_not_found") {
          response = again;
        }
      } catch (error) {
        if (!(error instanceof NodeUnavailableError)) throw error;
      }
      const index = topology.current()?.indexes.get(indexUid);
      return clientError(response, refused.physicalName, indexUid, index);
    },
    async malformation(original, signal, readOf) {
      const isGood = readOf !== undefined && indexUidFault(readOf) === undefined;
      const name = isGood ? ABSENT_INDEX : IMPOSSIBLE_INDEX;
      const nodes = nodesInOrder(() => true);
      const response = await firstRefusal(nodes, (node) => ask(node, name, original, signal), signal);
      const code = response === undefined ? undefined : codeOf(response);
      if (response === undefined || code === "invalid_index_uid" || code === "index_not_found")
        return undefined;
      return clientError(response, name, readOf ?? name);
    },
    verdict({ method, path, body, asAdmin }, signal, holder) {
      const request = { method, path, body, contentType: "application/json", timeoutMs: TIMEOUT_MS, signal };
      return firstRefusal(
        nodesInOrder((node) => holder === undefined || holder.replicas.get(node.id) === "in_sync"),
        (node) => transport.request(asAdmin === true ? node.adminAddress : node.writeAddress, request),
        signal,
      );
    },
    async judgement(index, original, signal) {
      const nodes = nodesInOrder((node) => index.replicas.get(node.id) === "in_sync");
      const response = await firstRefusal(
        nodes,
        (node) => ask(node, index.physicalName, original, signal),
        signal,
      );
      if (response === undefined || codeOf(response) === "index_not_found") return undefined;
      return clientError(response, index.physicalName, index.uid, index);
    },
  };
}

/** A body that names none of Miroir's fields passes byte for byte, whatever it holds. */
function withStandIns(body: string | Buffer): string | Buffer {
  return body.includes("_miroir_") ? standInsThroughout(body.toString()) : body;
}

function codeOf(response: NodeResponse): string | undefined {
  return parseErrorBody(response.body)?.code;
}

/**
 * A node's error body as the client is to see it (invariant 11).
 *
 * @param index where it is known: nodes name attributes in their errors of searches that it does not display
 */
export function clientError(
  response: NodeResponse,
  physicalName: string,
  indexUid: string,
  index?: IndexView,
): MeilisearchError {
  const body = parseErrorBody(response.body) ?? unreadable(response);
  // Lists of documents show every attribute, and their errors name every one.
  const hides = index !== undefined && body.code !== "invalid_document_sort";
  const displayed = hides ? indexFacts(index).displayedAttributes : null;
  const named = body.message.replaceAll(physicalName, indexUid);
  return new MeilisearchError(response.status, {
    ...body,
    message: withClientRuleNumbers(
      hideInjectedFields(named, displayed),
      index?.settings.filterableAttributes,
    ),
  });
}

function unreadable(response: NodeResponse): MeilisearchErrorBody {
  return {
    message: `A node answered with status ${response.status} and no error body.`,
    code: "internal",
    type: "internal",
    link: errorLink("internal"),
  };
}
