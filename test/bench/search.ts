import { corpusShape, createRequestGenerator, type FidelityRequest } from "../fidelity/requests.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { seededRandom } from "../support/random.js";
import { startBenchFleet } from "./bench-fleet.js";
import { httpCallers, type LoadRequest, roundCallers } from "./caller.js";
import { type Contender, type Turn, takeTurns, warmUp } from "./contender.js";
import type { BenchDocument } from "./documents.js";
import { beginProfiles } from "./profiles.js";
import { recordRounds } from "./recorded-rounds.js";
import { Started } from "./started.js";

/** Which searches are measured: all that the fidelity suites know, or words alone, whose answers are whole documents. */
export type QueryMix = "mixed" | "words";

/** Who answers: one node that holds everything, Miroir, or nobody but the fleet's nodes, asked what Miroir asks them. */
export type SearchContender = "one node" | "miroir" | "floor";

/** How searches are measured. */
export interface SearchBenchOptions {
  readonly documents: readonly BenchDocument[];
  readonly nodes: number;
  readonly replicationFactor: number;
  readonly queries: QueryMix;
  readonly durationMs: number;
  readonly repeats: number;
  readonly clients: readonly number[];
  /** Where a profile of the proxy's processor time goes; none unless given. */
  readonly profileFolder?: string | undefined;
  readonly progress: (text: string) => void;
}

/** The turns of all, by number of clients. */
export type SearchBenchResult = ReadonlyMap<number, ReadonlyMap<SearchContender, readonly Turn[]>>;

const INDEX = "bench";
const BATCH = 5_000;
const DISTINCT_REQUESTS = 500;
const WORDS: readonly string[] = ["plain", "prefix", "typo", "phrase"];

/**
 * Loads the documents into one node and into a fleet, and measures the same searches on both, taking turns; beside them the least that a
 * search over the fleet can cost: the requests that Miroir sends, whole answers of which are thrown away.
 */
export async function benchSearch(options: SearchBenchOptions): Promise<SearchBenchResult> {
  const { documents, progress } = options;
  const started = new Started();
  try {
    const plain = started.keep(await startNodes(1));
    const [node] = plain.nodes;
    const fleetNodes = started.keep(await startNodes(options.nodes));
    const nodeKey = node?.masterKey;
    if (node === undefined || nodeKey === undefined) throw new Error("no node, or one without a key");
    const fleet = started.keep(
      await startBenchFleet({
        nodeUrls: fleetNodes.nodes.map(({ url }) => url),
        nodeKey,
        replicationFactor: options.replicationFactor,
        isInspected: options.profileFolder !== undefined,
      }),
    );
    const alone = meilisearchHttp(node.url, nodeKey);
    const shape = corpusShape(documents, "id");
    for (const api of [alone, fleet.api]) {
      progress(`loading ${documents.length} documents`);
      await load(api, documents, shape.settings);
    }
    const generate = createRequestGenerator(documents, shape, "id", seededRandom(7));
    const requests = await answeredRequests([alone, fleet.api], generate, options.queries);
    progress("writing down what Miroir asks nodes");
    const rounds = await recordRounds(fleet.controlAddress, requests);
    const fleetPids = fleetNodes.nodes.map(({ pid }) => pid ?? 0);
    const contenders: readonly Contender<SearchContender>[] = [
      {
        name: "one node",
        open: httpCallers({ url: node.url, key: nodeKey, requests }),
        nodePids: [node.pid ?? 0],
      },
      {
        name: "miroir",
        open: httpCallers({ url: fleet.api.url, requests }),
        nodePids: fleetPids,
        proxyPid: fleet.proxyPid,
        miroir: fleet.api,
      },
      { name: "floor", open: roundCallers(rounds), nodePids: fleetPids },
    ];
    const results = new Map<number, ReadonlyMap<SearchContender, readonly Turn[]>>();
    await warmUp(contenders, Math.max(...options.clients), progress);
    const endProfiles = await beginProfiles(options.profileFolder, [{ name: "search", fleet }]);
    for (const clients of options.clients) {
      const loop = { clients, durationMs: options.durationMs };
      results.set(clients, await takeTurns(contenders, loop, options.repeats, progress));
    }
    await endProfiles();
    return results;
  } finally {
    await started.stop();
  }
}

/** Requests that everybody answers with 200: a refusal costs nothing, and would flatter whoever gives it. */
async function answeredRequests(
  apis: readonly MeilisearchHttp[],
  generate: () => FidelityRequest,
  queries: QueryMix,
): Promise<LoadRequest[]> {
  const requests: LoadRequest[] = [];
  while (requests.length < DISTINCT_REQUESTS) {
    const { kind, body } = generate();
    if (queries === "words" && !WORDS.includes(kind)) continue;
    const request = {
      method: "POST" as const,
      path: `/indexes/${INDEX}/search`,
      body: JSON.stringify(body),
    };
    const answers = await Promise.all(apis.map((api) => api.send("POST", request.path, request.body)));
    if (answers.every(({ status }) => status === 200)) requests.push(request);
  }
  return requests;
}

async function load(
  api: MeilisearchHttp,
  documents: readonly BenchDocument[],
  settings: unknown,
): Promise<void> {
  const path = `/indexes/${INDEX}`;
  const tasks = [await api.ok<{ taskUid: number }>("PATCH", `${path}/settings`, settings)];
  for (let start = 0; start < documents.length; start += BATCH) {
    const batch = documents.slice(start, start + BATCH);
    tasks.push(await api.ok("POST", `${path}/documents?primaryKey=id`, batch));
  }
  for (const { taskUid } of tasks) await api.waitForTask(taskUid, 600_000);
}
