import { fillIndex } from "../support/fill-index.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { type BenchFleet, startBenchFleet } from "./bench-fleet.js";
import type { LoadRequest } from "./caller.js";
import { type ChildServer, startChildServer } from "./child-server.js";
import type { Contender } from "./contender.js";
import { type BenchDocument, COMMON_WORDS } from "./documents.js";

/** Master key of all fixed-answer nodes. */
export const FIXED_NODE_KEY = "fixed-node-key-0123456789";

/** The index of all of these benchmarks. */
export const FIXED_INDEX = "films";

/** Starts nodes in one process of their own that answer searches from memory once they were asked them. */
export function startFixedNodes(count: number): Promise<ChildServer> {
  const program = new URL("./fixed-nodes-main.ts", import.meta.url);
  return startChildServer(program, [`${count}`, FIXED_NODE_KEY]);
}

/** Starts a fleet over some of those nodes and puts the documents into its index. */
export async function startFixedFleet(options: {
  readonly nodeUrls: readonly string[];
  readonly documents: readonly BenchDocument[];
  readonly shards?: number;
  /** Whether its processes can be inspected; false unless given. */
  readonly isInspected?: boolean;
}): Promise<BenchFleet> {
  const { documents, nodeUrls, isInspected = false, shards } = options;
  const fleet = await startBenchFleet({
    nodeUrls,
    nodeKey: FIXED_NODE_KEY,
    ...(shards === undefined ? {} : { shards }),
    isInspected,
  });
  try {
    await fillIndex(fleet.api, FIXED_INDEX, documents);
    // Nodes make what they search by when they are first asked, which may take longer than a proxy waits.
    for (const url of nodeUrls) {
      const index = await indexOn(url);
      // With few shards a node may hold none of them.
      if (index === undefined) continue;
      const path = `/indexes/${index}/search`;
      await meilisearchHttp(url, FIXED_NODE_KEY).ok("POST", path, { q: COMMON_WORDS[0] });
    }
  } catch (error) {
    await fleet.stop();
    throw error;
  }
  return fleet;
}

/** The name under which a node of a fleet holds the fleet's only index. */
export async function physicalIndex(nodeUrl: string): Promise<string> {
  const index = await indexOn(nodeUrl);
  if (index === undefined) throw new Error(`${nodeUrl} has no index`);
  return index;
}

async function indexOn(nodeUrl: string): Promise<string | undefined> {
  const node = meilisearchHttp(nodeUrl, FIXED_NODE_KEY);
  const { results } = await node.ok<{ results: { uid: string }[] }>("GET", "/indexes");
  return results[0]?.uid;
}

/** Searches of one and of two common words, no two of them the same, so that nothing can be saved by answering two at once. */
export function commonSearches(page: { readonly limit: number; readonly offset?: number }): LoadRequest[] {
  const pairs = COMMON_WORDS.map((word, at) => `${word} ${COMMON_WORDS[(at * 5 + 1) % COMMON_WORDS.length]}`);
  return [...COMMON_WORDS, ...pairs].map((q) => ({
    method: "POST",
    path: `/indexes/${FIXED_INDEX}/search`,
    body: JSON.stringify({ q, ...page }),
  }));
}

/** Makes each of so many requests once, so that nodes' own work on them is done. */
export async function callEach({ open }: Pick<Contender, "open">, requests: number): Promise<void> {
  const caller = await open();
  for (let turn = 0; turn < requests; turn++) await caller.call(turn);
  caller.close();
}
