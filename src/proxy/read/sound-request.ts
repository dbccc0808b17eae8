import { apiError, checkedIndexUid, indexNotFound, notReady } from "../http/api-errors.js";
import type { IndexView, TopologySource } from "../topology/topology-view.js";
import type { NodeRefusals } from "./node-refusals.js";
import type { IndexRequest } from "./shard-read.js";

/**
 * The index that a request is about, once it is sure that the request is sound.
 *
 * @param isSound false where Miroir cannot make sense of the request; a node then says what is wrong with it
 * @throws MeilisearchError in Meilisearch's order: what is wrong with the request, with the index uid, no such index
 */
export async function soundRequest(
  { topology, refusals }: { readonly topology: TopologySource; readonly refusals: NodeRefusals },
  indexUid: string,
  isSound: boolean,
  original: IndexRequest,
  signal: AbortSignal,
): Promise<IndexView> {
  const view = topology.current();
  if (view === undefined) throw notReady();
  const index = view.indexes.get(indexUid);
  if (isSound && index !== undefined) return index;
  const malformation = await refusals.malformation(original, signal, indexUid);
  if (malformation !== undefined) throw malformation;
  checkedIndexUid(indexUid);
  if (index === undefined) throw indexNotFound(indexUid);
  const judgement = await refusals.judgement(index, original, signal);
  throw judgement ?? apiError(400, "bad_request", "The request could not be understood.");
}
