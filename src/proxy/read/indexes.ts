import { compareUtf8 } from "../../merge/text-order.js";
import { indexNotFound, notReady } from "../http/api-errors.js";
import type { IndexView, TopologySource, TopologyView } from "../topology/topology-view.js";

/** An index as Meilisearch's API prints it. */
export interface PrintedIndex {
  readonly uid: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly primaryKey: string | null;
}

/** Prints a page of the catalogue, in ascending order of uid; `shows` says which of its indexes the client may see. */
export function printIndexPage(
  view: TopologyView,
  offset: number,
  limit: number,
  shows: (uid: string) => boolean,
): string {
  const indexes = [...view.indexes.values()]
    .filter(({ uid }) => shows(uid))
    .sort((a, b) => compareUtf8(a.uid, b.uid));
  return JSON.stringify({
    results: indexes.slice(offset, offset + limit).map(printIndex),
    offset,
    limit,
    total: indexes.length,
  });
}

/** One index of the catalogue. */
export function printIndex(index: IndexView): PrintedIndex {
  return {
    uid: index.uid,
    createdAt: index.createdAt,
    updatedAt: index.updatedAt,
    primaryKey: index.primaryKey ?? null,
  };
}

/** The topology in use. @throws MeilisearchError `miroir_not_ready` */
export function currentView(topology: TopologySource): TopologyView {
  const view = topology.current();
  if (view === undefined) throw notReady();
  return view;
}

/** An index of the topology in use. @throws MeilisearchError `miroir_not_ready`, `index_not_found` */
export function currentIndex(topology: TopologySource, uid: string): IndexView {
  const index = currentView(topology).indexes.get(uid);
  if (index === undefined) throw indexNotFound(uid);
  return index;
}
