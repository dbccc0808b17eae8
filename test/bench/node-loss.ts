import { Pool } from "undici";
import { ReplicaState } from "../../src/gen/miroir/v1/topology_pb.js";
import { type ElasticFleet, startElasticFleet } from "../elastic/fleet-processes.js";
import { quantile } from "../elastic/pauses.js";
import { fillIndex } from "../support/fill-index.js";
import { fleetDifferences } from "../support/fleet-differences.js";

const INDEX = "films";
/** Words of the sample; what is written meanwhile has none of them. */
const QUERIES = ["love", "war", "night", "city", "dark", "story", "life", "secret"] as const;

/** How a node is lost. */
export interface NodeLossOptions {
  readonly corpus: readonly object[];
  /** Requests a second. */
  readonly searches: number;
  readonly writes: number;
  /** Seconds before the loss, and between the loss and the node's return. */
  readonly seconds: number;
  readonly progress: (text: string) => void;
}

/** Searches of a part of the run. Times are milliseconds. */
export interface NodeLossPhase {
  readonly name: string;
  readonly searches: number;
  /** Not answered with 200 and the hits of the whole corpus. */
  readonly wrong: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What clients saw of the loss of one of two replicas. */
export interface NodeLossResult {
  readonly phases: readonly NodeLossPhase[];
  readonly writes: number;
  /** Writes that were not accepted. */
  readonly refused: number;
  /** From the node's return until every replica was in sync again. */
  readonly repairSeconds: number;
  /** What a comparison of all documents found in the end. */
  readonly differences: number;
}

interface Search {
  readonly at: number;
  readonly milliseconds: number;
  readonly isRight: boolean;
}

/**
 * Kills one of two nodes that hold every shard, while clients search and write at fixed rates, brings it back, and waits for its
 * repair. Each answer is compared with the one that was given before anything happened.
 */
export async function benchNodeLoss(options: NodeLossOptions): Promise<NodeLossResult> {
  const { corpus, progress, seconds } = options;
  const fleet = await startElasticFleet({ nodes: 2, spare: 0, shards: 8, replicationFactor: 2 });
  try {
    await fillIndex(fleet.api, INDEX, corpus);
    const load = await startLoad(fleet, options);
    const victim = fleet.nodes.nodes[1];
    if (victim === undefined) throw new Error("there is no second node");
    const marks = [performance.now()];
    progress("before");
    await pause(seconds);
    marks.push(performance.now());
    await victim.kill("SIGKILL");
    progress("without a node");
    await pause(seconds);
    marks.push(performance.now());
    await victim.restart();
    const returned = performance.now();
    progress("it is back");
    await untilInSync(fleet);
    const repairSeconds = (performance.now() - returned) / 1_000;
    marks.push(performance.now());
    await pause(seconds);
    marks.push(performance.now());
    const { refused, searches, writes } = await load.stop();
    const names = ["before", "one of two replicas lost", "back, being repaired", "after"];
    return {
      phases: names.map((name, at) => {
        const [from = 0, to = 0] = marks.slice(at);
        const inPhase = searches.filter((search) => search.at >= from && search.at < to);
        const took = inPhase.map(({ milliseconds }) => milliseconds);
        return {
          name,
          searches: inPhase.length,
          wrong: inPhase.filter(({ isRight }) => !isRight).length,
          p50: quantile(took, 0.5),
          p99: quantile(took, 0.99),
          max: quantile(took, 1),
        };
      }),
      writes,
      refused,
      repairSeconds,
      differences: await fleetDifferences(fleet.client),
    };
  } finally {
    await fleet.stop();
  }
}

async function startLoad({ url }: ElasticFleet, options: NodeLossOptions) {
  const pool = new Pool(url, { connections: 32, headersTimeout: 60_000, bodyTimeout: 60_000 });
  const headers = { "content-type": "application/json" };
  const hits = async (q: string): Promise<string> => {
    const body = JSON.stringify({ q, limit: 20, attributesToRetrieve: ["id"] });
    const answer = await pool.request({ method: "POST", path: `/indexes/${INDEX}/search`, headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${text}`);
    return JSON.stringify((JSON.parse(text) as { hits: unknown }).hits);
  };
  const expected = new Map<string, string>();
  for (const query of QUERIES) expected.set(query, await hits(query));
  const searches: Search[] = [];
  const open = new Set<Promise<void>>();
  let [asked, writes, refused] = [0, 0, 0];
  const follow = (request: Promise<void>): void => {
    open.add(request);
    void request.finally(() => open.delete(request));
  };
  const search = async (): Promise<void> => {
    const query = QUERIES[asked++ % QUERIES.length] ?? "";
    const at = performance.now();
    const isRight = await hits(query).then(
      (found) => found === expected.get(query),
      () => false,
    );
    searches.push({ at, milliseconds: performance.now() - at, isRight });
  };
  const write = async (): Promise<void> => {
    const id = options.corpus.length + writes++;
    const body = JSON.stringify([{ id, title: `zzq${id}` }]);
    const sent = pool.request({ method: "POST", path: `/indexes/${INDEX}/documents`, headers, body });
    const isTaken = await sent.then(
      async (answer) => {
        await answer.body.dump();
        return answer.statusCode === 202;
      },
      () => false,
    );
    if (!isTaken) refused++;
  };
  const timers = [
    setInterval(() => follow(search()), 1_000 / options.searches),
    setInterval(() => follow(write()), 1_000 / options.writes),
  ];
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(open);
      await pool.close();
      return { searches, writes, refused };
    },
  };
}

async function untilInSync({ client }: ElasticFleet): Promise<void> {
  for (let attempt = 0; attempt < 3_000; attempt++) {
    const { topology } = await client.topology.getTopology({});
    const replicas = topology?.indexes.flatMap((index) => index.replicas) ?? [];
    if (replicas.every(({ state }) => state === ReplicaState.IN_SYNC)) return;
    await pause(0.1);
  }
  throw new Error("the replicas have not become equal within five minutes");
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}
