import { fillIndex } from "../support/fill-index.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { startBenchFleet } from "./bench-fleet.js";
import { httpCallers, type LoadRequest } from "./caller.js";
import { type Contender, type Turn, takeTurn } from "./contender.js";
import type { BenchDocument } from "./documents.js";
import { forgetMost, memoryOf } from "./process-usage.js";
import { Started } from "./started.js";

/** How searches under ingest are measured. */
export interface MixedBenchOptions {
  readonly documents: readonly BenchDocument[];
  readonly requests: readonly LoadRequest[];
  readonly nodes: number;
  readonly replicationFactor: number;
  /** Searches a second, whatever they take. */
  readonly perSecond: number;
  /** Documents of one request. */
  readonly batch: number;
  readonly durationMs: number;
  readonly repeats: number;
  readonly progress: (text: string) => void;
}

/** Searches of one side, quiet and under ingest. */
export interface MixedResult {
  readonly name: MixedContender;
  readonly quiet: readonly Turn[];
  readonly ingesting: readonly IngestingTurn[];
}

/** Searches while documents were added as fast as they were accepted. */
export interface IngestingTurn {
  readonly turn: Turn;
  /** Documents accepted a second. */
  readonly documentsPerSecond: number;
  /** The most that the proxy held; undefined where there is none. */
  readonly mostBytes: number | undefined;
}

/** Who answers. */
export type MixedContender = "one node" | "miroir";

/** The index that the searches are of, and that grows while they are asked. */
export const MIXED_INDEX = "bench";

/** Batches that may wait for their indexing at a time, so that a fast acceptance is no longer queue in the end. */
const BATCHES_AHEAD = 4;

/** Searches at a fixed rate, first alone, then while documents are added to the same index; one node and a fleet take turns. */
export async function benchMixed(options: MixedBenchOptions): Promise<MixedResult[]> {
  const { documents, durationMs, perSecond, progress, repeats } = options;
  const started = new Started();
  try {
    const plain = started.keep(await startNodes(1));
    const { nodes } = started.keep(await startNodes(options.nodes));
    const [node] = plain.nodes;
    if (node === undefined) throw new Error("no node");
    const nodeKey = node.masterKey ?? "";
    const fleet = started.keep(
      await startBenchFleet({
        nodeUrls: nodes.map(({ url }) => url),
        nodeKey,
        replicationFactor: options.replicationFactor,
      }),
    );
    const sides: readonly (Contender<MixedContender> & { readonly api: MeilisearchHttp })[] = [
      {
        name: "one node",
        api: meilisearchHttp(node.url, nodeKey),
        open: httpCallers({ url: node.url, key: nodeKey, requests: options.requests }),
        nodePids: [node.pid ?? 0],
      },
      {
        name: "miroir",
        api: fleet.api,
        open: httpCallers({ url: fleet.api.url, requests: options.requests }),
        nodePids: nodes.map(({ pid }) => pid ?? 0),
        proxyPid: fleet.proxyPid,
        miroir: fleet.api,
      },
    ];
    for (const { api } of sides) await fillIndex(api, MIXED_INDEX, documents);
    const results = sides.map(({ name }) => ({
      name,
      quiet: [] as Turn[],
      ingesting: [] as IngestingTurn[],
    }));
    const loop = { perSecond, durationMs };
    for (const side of sides) await takeTurn(side, loop);
    for (let repeat = 1; repeat <= repeats; repeat++) {
      for (const [at, side] of sides.entries()) {
        progress(`${side.name}: ${repeat} of ${repeats}`);
        results[at]?.quiet.push(await takeTurn(side, loop));
        if (side.proxyPid !== undefined) forgetMost(side.proxyPid);
        const ingest = startIngest(side.api, documents, options.batch);
        const turn = await takeTurn(side, loop);
        const documentsPerSecond = await ingest.stop();
        const mostBytes = side.proxyPid === undefined ? undefined : memoryOf(side.proxyPid).most;
        results[at]?.ingesting.push({ turn, documentsPerSecond, mostBytes });
      }
    }
    return results;
  } finally {
    await started.stop();
  }
}

/** Adds the documents again and again, until it is stopped; then gives how many were indexed in a second. */
function startIngest(api: MeilisearchHttp, documents: readonly BenchDocument[], batch: number) {
  let isStopped = false;
  const began = performance.now();
  const run = async (): Promise<number> => {
    const tasks: number[] = [];
    let [indexed, at] = [0, 0];
    while (!isStopped) {
      const some = documents.slice(at, at + batch);
      at = at + batch >= documents.length ? 0 : at + batch;
      const path = `/indexes/${MIXED_INDEX}/documents?primaryKey=id`;
      tasks.push((await api.ok<{ taskUid: number }>("POST", path, some)).taskUid);
      indexed += some.length;
      if (tasks.length >= BATCHES_AHEAD) await api.waitForTask(tasks.shift() ?? 0, 600_000);
    }
    for (const task of tasks) await api.waitForTask(task, 600_000);
    return (indexed * 1_000) / (performance.now() - began);
  };
  const running = run();
  return {
    stop: (): Promise<number> => {
      isStopped = true;
      return running;
    },
  };
}
