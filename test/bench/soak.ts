import { join } from "node:path";
import { fillIndex } from "../support/fill-index.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { startBenchFleet } from "./bench-fleet.js";
import { httpCallers, type LoadRequest } from "./caller.js";
import { type BenchDocument, COMMON_WORDS } from "./documents.js";
import { checkOfHits } from "./expected-hits.js";
import { FIXED_INDEX, FIXED_NODE_KEY, startFixedNodes } from "./fixed-fleet.js";
import { type LoadResult, runLoad } from "./load.js";
import { MemoryWatch, type ProcessSample } from "./memory-watch.js";
import { cpuMs } from "./process-usage.js";
import { beginWrites, type SteadyWriteOptions } from "./soak-writes.js";
import { Started } from "./started.js";

/** A long load at a constant rate, during which memory is watched. */
export interface SoakOptions {
  readonly documents: readonly BenchDocument[];
  readonly minutes: number;
  /** Searches a second. */
  readonly perSecond: number;
  readonly writes: SteadyWriteOptions;
  /** Real nodes, or embedded ones whose answers to searches come from memory. */
  readonly nodes: "fixed" | "real";
  /** Time between two samples. */
  readonly sampleMs: number;
  /** Samples between two looks at what is left after a collection. */
  readonly collectEvery: number;
  /** Where heap snapshots go, one of each process in the middle and one at the end; none are taken unless given. */
  readonly snapshotFolder?: string | undefined;
  readonly progress: (text: string) => void;
}

/** The processes that are watched. */
export const WATCHED = ["proxy", "control plane"] as const;

/** One of {@link WATCHED}. */
export type Watched = (typeof WATCHED)[number];

/** What was seen at one moment. */
export interface SoakSample {
  /** Since the load began. */
  readonly minute: number;
  readonly load: LoadResult;
  readonly processes: Readonly<Record<Watched, ProcessSample>>;
  /** Bytes in use after a collection, where there was one. */
  readonly live: Readonly<Record<Watched, number>> | undefined;
  /** Size of the proxy's metrics: labels that never end would make it grow. */
  readonly metricsBytes: number;
  /** Shares of one core. */
  readonly nodesCpuPercent: number;
  readonly generatorCpuPercent: number;
}

/** A whole run. */
export interface SoakResult {
  readonly samples: readonly SoakSample[];
  readonly additions: number;
  readonly passingIndexes: number;
  /** What was not as it has to be, in words; wrong and failed searches are in the samples. */
  readonly faults: readonly string[];
}

const FLEET_NODES = 3;

/**
 * Loads a fleet for a long time: searches of many kinds of words at a constant rate, additions of the same documents again and again, an index
 * that comes and goes. What is read and written is compared with what it has to be.
 */
export async function benchSoak(options: SoakOptions): Promise<SoakResult> {
  const { progress } = options;
  const started = new Started();
  try {
    progress("starting nodes, proxy and control plane, and loading documents");
    const { urls, pids } = await startSoakNodes(options.nodes, started);
    const [plainUrl = "", ...nodeUrls] = urls;
    const fleet = started.keep(
      await startBenchFleet({ nodeUrls, nodeKey: FIXED_NODE_KEY, isInspected: true }),
    );
    const plain = meilisearchHttp(plainUrl, FIXED_NODE_KEY);
    await Promise.all([plain, fleet.api].map((api) => fillIndex(api, FIXED_INDEX, options.documents)));
    const requests = manySearches();
    const isRight = await checkOfHits(plain, requests);
    const watches: Record<Watched, MemoryWatch> = {
      proxy: await MemoryWatch.begin(fleet.proxyPid, await fleet.inspect("proxy")),
      "control plane": await MemoryWatch.begin(fleet.controlPid, await fleet.inspect("control")),
    };
    const writes = beginWrites(fleet.api, options.writes);
    const open = httpCallers({ url: fleet.url, requests, isRight });
    const snapshots = async (when: string): Promise<void> => {
      if (options.snapshotFolder === undefined) return;
      for (const name of WATCHED) {
        const file = `${name.replace(" ", "-")}-${when}.heapsnapshot`;
        await watches[name].writeHeapSnapshot(join(options.snapshotFolder, file));
      }
    };
    const samples: SoakSample[] = [];
    const count = Math.ceil((options.minutes * 60_000) / options.sampleMs);
    const began = performance.now();
    for (let at = 1; at <= count; at++) {
      const before = { at: performance.now(), nodes: cpuOf(pids), own: process.cpuUsage() };
      const load = await runLoad(open, { perSecond: options.perSecond, durationMs: options.sampleMs });
      const percent = (ms: number): number => (100 * ms) / (performance.now() - before.at);
      const own = process.cpuUsage(before.own);
      const sample: SoakSample = {
        minute: (performance.now() - began) / 60_000,
        load,
        processes: await ofEach((name) => watches[name].sample()),
        live: at % options.collectEvery === 0 ? await ofEach((name) => watches[name].liveBytes()) : undefined,
        metricsBytes: (await fleet.api.send("GET", "/_miroir/metrics")).text.length,
        nodesCpuPercent: percent(cpuOf(pids) - before.nodes),
        generatorCpuPercent: percent((own.user + own.system) / 1_000),
      };
      samples.push(sample);
      progress(progressLine(sample, options.minutes, writes.faults));
      if (at === Math.floor(count / 2)) await snapshots("middle");
    }
    await snapshots("end");
    await writes.stop();
    for (const watch of Object.values(watches)) watch.close();
    const { additions, indexes } = writes.counts;
    return { samples, additions, passingIndexes: indexes, faults: writes.faults };
  } finally {
    await started.stop();
  }
}

async function startSoakNodes(kind: SoakOptions["nodes"], started: Started) {
  if (kind === "fixed") {
    const { urls, pid } = started.keep(await startFixedNodes(FLEET_NODES + 1));
    return { urls, pids: [pid] };
  }
  const options = { backend: "real", masterKey: FIXED_NODE_KEY } as const;
  const { nodes } = started.keep(await startNodes(FLEET_NODES + 1, options));
  return { urls: nodes.map(({ url }) => url), pids: nodes.map(({ pid }) => pid ?? 0) };
}

const PARTNERS = 16;

/** A thousand different searches, so that what is kept for each of them would be seen to grow. */
function manySearches(): LoadRequest[] {
  return COMMON_WORDS.flatMap((word, at) =>
    Array.from({ length: PARTNERS }, (_, step) => ({
      method: "POST" as const,
      path: `/indexes/${FIXED_INDEX}/search`,
      body: JSON.stringify({
        q: `${word} ${COMMON_WORDS[(at + step * 3 + 1) % COMMON_WORDS.length]}`,
        limit: 10,
      }),
    })),
  );
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
}

async function ofEach<T>(ask: (name: Watched) => Promise<T>): Promise<Record<Watched, T>> {
  return { proxy: await ask("proxy"), "control plane": await ask("control plane") };
}

function progressLine(
  { generatorCpuPercent, load, minute, nodesCpuPercent, processes }: SoakSample,
  minutes: number,
  faults: readonly string[],
): string {
  const memory = WATCHED.map((name) => {
    const { cpuPercent, heapUsed, rss } = processes[name];
    return `${name} ${(rss / 1e6).toFixed(1)} MB (heap ${(heapUsed / 1e6).toFixed(1)}), ${cpuPercent.toFixed(1)} % CPU`;
  });
  const left = Math.max(0, minutes - minute).toFixed(1);
  const bad = load.failures + load.wrong + faults.length;
  return [
    `minute ${minute.toFixed(1)}, ${left} left`,
    ...memory,
    `nodes ${nodesCpuPercent.toFixed(1)} %, load ${generatorCpuPercent.toFixed(1)} % CPU`,
    ...(bad > 0 ? [`${bad} FAULTS`] : []),
  ].join("; ");
}
