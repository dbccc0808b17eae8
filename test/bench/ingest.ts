import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { type BenchFleet, startBenchFleet } from "./bench-fleet.js";
import type { BenchDocument } from "./documents.js";
import { cpuMs, forgetMost, memoryOf } from "./process-usage.js";
import { beginProfiles } from "./profiles.js";
import { Started } from "./started.js";

/** How document additions are measured. */
export interface IngestBenchOptions {
  readonly documents: readonly BenchDocument[];
  readonly nodes: number;
  readonly replicationFactors: readonly number[];
  /** Documents of one request. */
  readonly batch: number;
  readonly repeats: number;
  /** Where profiles of the proxies' processor time go; none unless given. */
  readonly profileFolder?: string | undefined;
  readonly progress: (text: string) => void;
}

/** What it took to add all documents once. */
export interface IngestTurn {
  readonly acceptedSeconds: number;
  readonly searchableSeconds: number;
  /** Processor time of all nodes together. */
  readonly nodesCpuSeconds: number;
  /** Batches that a node made of the requests, the mean of all nodes. */
  readonly batches: number;
  /** Undefined where no proxy stands in front. */
  readonly proxy: { readonly cpuSeconds: number; readonly mostBytes: number } | undefined;
}

/** The turns of one way to add documents. */
export interface IngestResult {
  /** Undefined for the one node alone. */
  readonly replicationFactor: number | undefined;
  readonly turns: readonly IngestTurn[];
}

/** Milliseconds between two looks at a task, as Meilisearch's clients wait by default. */
const TASK_POLL_MS = 50;
const TASK_PATIENCE_MS = 600_000;

interface Target {
  readonly replicationFactor: number | undefined;
  readonly api: MeilisearchHttp;
  readonly nodes: readonly MeilisearchHttp[];
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
        nodes: [meilisearchHttp(node.url, node.masterKey)],
        nodePids: [node.pid ?? 0],
        proxyPid: undefined,
      },
    ];
    const fleets: { readonly name: string; readonly fleet: BenchFleet }[] = [];
    const isInspected = options.profileFolder !== undefined;
    for (const replicationFactor of options.replicationFactors) {
      const { nodes } = started.keep(await startNodes(options.nodes));
      const nodeUrls = nodes.map(({ url }) => url);
      const fleet = started.keep(
        await startBenchFleet({ nodeUrls, nodeKey: node.masterKey ?? "", replicationFactor, isInspected }),
      );
      fleets.push({ name: `ingest-${replicationFactor}`, fleet });
      const nodePids = nodes.map(({ pid }) => pid ?? 0);
      targets.push({
        replicationFactor,
        api: fleet.api,
        nodes: nodes.map(({ url, masterKey }) => meilisearchHttp(url, masterKey)),
        nodePids,
        proxyPid: fleet.proxyPid,
      });
    }
    const endProfiles = await beginProfiles(options.profileFolder, fleets);
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
    await endProfiles();
    return targets.map(({ replicationFactor }, at) => ({ replicationFactor, turns: turns[at] ?? [] }));
  } finally {
    await started.stop();
  }
}

async function ingest(target: Target, index: string, bodies: readonly string[]): Promise<IngestTurn> {
  const { api, nodes, nodePids, proxyPid } = target;
  const nodesCpu = (): number => nodePids.reduce((sum, pid) => sum + cpuMs(pid), 0) / 1_000;
  const proxyCpu = (): number => (proxyPid === undefined ? 0 : cpuMs(proxyPid) / 1_000);
  if (proxyPid !== undefined) forgetMost(proxyPid);
  const batchesBefore = await batchesOf(nodes);
  const before = { nodes: nodesCpu(), proxy: proxyCpu() };
  const began = performance.now();
  const tasks: number[] = [];
  const path = `/indexes/${index}/documents?primaryKey=id`;
  for (const body of bodies) tasks.push((await api.ok<{ taskUid: number }>("POST", path, body)).taskUid);
  const acceptedSeconds = (performance.now() - began) / 1_000;
  for (const task of tasks) await api.waitForTask(task, TASK_PATIENCE_MS, TASK_POLL_MS);
  const turn = {
    acceptedSeconds,
    searchableSeconds: (performance.now() - began) / 1_000,
    nodesCpuSeconds: nodesCpu() - before.nodes,
    batches: ((await batchesOf(nodes)) - batchesBefore) / nodes.length,
    proxy:
      proxyPid === undefined
        ? undefined
        : { cpuSeconds: proxyCpu() - before.proxy, mostBytes: memoryOf(proxyPid).most },
  };
  const { taskUid } = await api.ok<{ taskUid: number }>("DELETE", `/indexes/${index}`);
  await api.waitForTask(taskUid);
  return turn;
}

/** Batches of added documents that nodes have made so far, all nodes together. */
async function batchesOf(nodes: readonly MeilisearchHttp[]): Promise<number> {
  const path = "/batches?types=documentAdditionOrUpdate&limit=1";
  const pages = await Promise.all(nodes.map((node) => node.ok<{ total: number }>("GET", path)));
  return pages.reduce((sum, { total }) => sum + total, 0);
}
