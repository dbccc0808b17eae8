import { seededRandom } from "../support/random.js";
import { httpCallers } from "./caller.js";
import { type Turn, takeTurns, warmUp } from "./contender.js";
import { madeUpDocuments } from "./documents.js";
import { checkOfHits } from "./expected-hits.js";
import { callEach, commonSearches, startFixedFleet, startFixedNodes } from "./fixed-fleet.js";
import { Started } from "./started.js";

/** What a search's cost may depend on. */
export interface ScalePoint {
  readonly nodes: number;
  readonly shards: number;
  /** Hits of a page. */
  readonly hits: number;
  readonly hitBytes: number;
  readonly offset: number;
}

/** One of a point's figures, which is varied while the others stay. */
export type Axis = keyof ScalePoint;

/** Where everything else stays while one figure is varied. */
export const BASE: ScalePoint = { nodes: 3, shards: 64, hits: 20, hitBytes: 700, offset: 0 };

/** What is measured of each figure; {@link BASE} is among them. */
export const AXES: Readonly<Record<Axis, readonly number[]>> = {
  nodes: [1, 2, 3, 4, 8, 16, 32],
  hits: [1, 20, 100, 1_000],
  hitBytes: [200, 700, 2_800, 11_200],
  shards: [16, 64, 256, 1_024],
  offset: [0, 100, 900],
};

/** How the cost of searches is measured. */
export interface ScaleBenchOptions {
  readonly axes: readonly Axis[];
  readonly clients: number;
  readonly durationMs: number;
  readonly repeats: number;
  readonly progress: (text: string) => void;
}

/** The turns at one point. */
export interface ScaleResult {
  readonly axis: Axis;
  readonly point: ScalePoint;
  readonly turns: readonly Turn[];
}

const DOCUMENTS = 6_000;

/** Measures Miroir over nodes that answer from memory, one figure varied after the other. */
export async function benchScale(options: ScaleBenchOptions): Promise<ScaleResult[]> {
  const { axes, clients, durationMs, progress, repeats } = options;
  const points = axes.flatMap((axis) =>
    AXES[axis].map((value) => ({ axis, point: { ...BASE, [axis]: value } })),
  );
  const results: ScaleResult[] = [];
  // Points that differ in their searches only share a fleet.
  for (const fleetOf of new Set(points.map(({ point }) => fleetName(point)))) {
    progress(`starting a fleet: ${fleetOf}`);
    const group = points.filter(({ point }) => fleetName(point) === fleetOf);
    const { hitBytes, nodes: count, shards } = { ...BASE, ...group[0]?.point };
    const started = new Started();
    try {
      const nodes = started.keep(await startFixedNodes(count));
      const documents = madeUpDocuments(DOCUMENTS, hitBytes, seededRandom(11));
      const fleet = started.keep(await startFixedFleet({ nodeUrls: nodes.urls, documents, shards }));
      for (const { axis, point } of group) {
        const requests = commonSearches({ limit: point.hits, offset: point.offset });
        const isRight = await checkOfHits(fleet.api, requests);
        const contender = {
          name: `${axis} ${point[axis]}`,
          open: httpCallers({ url: fleet.api.url, requests, isRight }),
          proxyPid: fleet.proxyPid,
          nodePids: [nodes.pid],
          miroir: fleet.api,
        };
        await callEach(contender, requests.length);
        const tell = (text: string): void => progress(`${contender.name}, ${text}`);
        await warmUp([contender], clients, tell);
        const turns = await takeTurns([contender], { clients, durationMs }, repeats, tell);
        results.push({ axis, point, turns: turns.get(contender.name) ?? [] });
      }
    } finally {
      await started.stop();
    }
  }
  return axes.flatMap((axis) => results.filter((result) => result.axis === axis));
}

function fleetName({ hitBytes, nodes, shards }: ScalePoint): string {
  return `${nodes} nodes, ${shards} shards, hits of ${hitBytes} bytes`;
}
