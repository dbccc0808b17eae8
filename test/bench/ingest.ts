import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { startBenchFleet } from "./bench-fleet.js";
import type { BenchDocument } from "./documents.js";
import { cpuMs, forgetMost, memoryOf } from "./process-usage.js";
import { Started } from "./started.js";

/** How document additions are measured. */
export interface IngestBenchOptions {
  readonly documents: readonly BenchDocument[];
  readonly nodes: number;
  readonly replicationFactors: readonly number[];
  /** Documents of one request. */
  readonly batch: number;
  readonly repeats: number;
  readonly progress: (text: string) => void;
}

/** What it took to add all documents once. */
export interface IngestTurn {
  readonly acceptedSeconds: number;
  readonly searchableSeconds: number;
  /** Processor time of all nodes together. */
  readonly nodesCpuSeconds: number;
  /** Undefined where no proxy stands in front. */
  readonly proxy: { readonly cpuSeconds: number; readonly mostBytes: number } | undefined;
}

/** The turns of one way to add documents. */
export interface IngestResult {
  /** Undefined for the one node alone. */
  readonly replicationFactor: number | undefined;
  readonly turns: readonly IngestTurn[];
}

interface Target {
  readonly replicationFactor: number | undefined;
  readonly api: MeilisearchHttp;
  readonly nodePids: readonly number[];
  readonly proxyPid: number | undefined;
}

/**
 * Sends the documents in batches, one after the other, to a fresh index of one node and of fleets, taking turns, and waits until they can
 * be searched.
 */
export async function benchIngest(options: IngestBenchOptions): Promise<IngestResult[]> {
  const { documents, progress } = options;
  const bodies: string[] = [];
  for (let start = 0; start < documents.length; start += options.batch)
    bodies.push(JSON.stringify(documents.slice(start, start + options.batch)));
  const started = new Started();
  try {
    const plain = started.keep(await startNodes(1));
    const [node] = plain.nodes;
    if (node === undefined) throw new Error("no node");
    const targets: Target[] = [
      {
        replicationFactor: undefined,
        api: meilisearchHttp(node.url, node.masterKey),
        nodePids: [node.pid ?? 0],
        proxyPid: undefined,
      },
    ];
    for (const replicationFactor of options.replicationFactors) {
      const { nodes } = started.keep(await startNodes(options.nodes));
      const nodeUrls = nodes.map(({ url }) => url);
      const fleet = started.keep(
        await startBenchFleet({ nodeUrls, nodeKey: node.masterKey ?? "", replicationFactor }),
      );
      const nodePids = nodes.map(({ pid }) => pid ?? 0);
      targets.push({ replicationFactor, api: fleet.api, nodePids, proxyPid: fleet.proxyPid });
    }
    const turns = targets.map((): IngestTurn[] => []);
    for (let repeat = 1; repeat <= options.repeats; repeat++) {
      for (const [at, target] of targets.entries()) {
        const { replicationFactor: copies } = target;
        progress(
          `${copies === undefined ? "one node" : `${copies} copies`}: ${repeat} of ${options.repeats}`,
        );
        turns[at]?.push(await ingest(target, `ingest-${repeat}`, bodies));
      }
    }
    return targets.map(({ replicationFactor }, at) => ({ replicationFactor, turns: turns[at] ?? [] }));
  } finally {
    await started.stop();
  }
}

async function ingest(target: Target, index: string, bodies: readonly string[]): Promise<IngestTurn> {
  const { api, nodePids, proxyPid } = target;
  const nodesCpu = (): number => nodePids.reduce((sum, pid) => sum + cpuMs(pid), 0) / 1_000;
  const proxyCpu = (): number => (proxyPid === undefined ? 0 : cpuMs(proxyPid) / 1_000);
  if (proxyPid !== undefined) forgetMost(proxyPid);
  const before = { nodes: nodesCpu(), proxy: proxyCpu() };
  const began = performance.now();
  const tasks: number[] = [];
  const path = `/indexes/${index}/documents?primaryKey=id`;
  for (const body of bodies) tasks.push((await api.ok<{ taskUid: number }>("POST", path, body)).taskUid);
  const acceptedSeconds = (performance.now() - began) / 1_000;
  for (const task of tasks) await api.waitForTask(task, 600_000);
  const turn = {
    acceptedSeconds,
    searchableSeconds: (performance.now() - began) / 1_000,
    nodesCpuSeconds: nodesCpu() - before.nodes,
    proxy:
      proxyPid === undefined
        ? undefined
        : { cpuSeconds: proxyCpu() - before.proxy, mostBytes: memoryOf(proxyPid).most },
  };
  const { taskUid } = await api.ok<{ taskUid: number }>("DELETE", `/indexes/${index}`);
  await api.waitForTask(taskUid);
  return turn;
}
