import { setTimeout as sleep } from "node:timers/promises";
import { fillIndex } from "../support/fill-index.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { type BenchFleet, startBenchFleet } from "./bench-fleet.js";
import { type ChildServer, startChildServer } from "./child-server.js";
import type { BenchDocument } from "./documents.js";
import { startHaproxy } from "./haproxy.js";
import { closedLoop, type Load, type LoadRequest, type LoadResult, openLoop } from "./load.js";
import { cpuMs } from "./process-usage.js";
import { type RuntimeFigures, watchRuntime } from "./proxy-metrics.js";
import { median } from "./quantiles.js";

/** A way from clients to fixed-answer nodes. */
export type ContenderName = "miroir-3" | "miroir-1" | "relay" | "naive-3" | "haproxy" | "direct";

/** All ways, in the order in which they take turns. */
export const CONTENDERS: readonly ContenderName[] = [
  "miroir-3",
  "miroir-1",
  "relay",
  "naive-3",
  "haproxy",
  "direct",
];

/** How proxies are measured. */
export interface ProxyBenchOptions {
  readonly documents: readonly BenchDocument[];
  readonly requests: readonly LoadRequest[];
  readonly clients: number;
  readonly durationMs: number;
  readonly repeats: number;
  readonly only: readonly ContenderName[];
  /** Where Miroir's proxies leave profiles of their processor time; none unless given. */
  readonly profileFolder?: string;
  readonly progress: (text: string) => void;
}

/** One turn of a contender. Times are milliseconds for each request; the generator's own work is in none of them. */
export interface ProxyTurn {
  readonly load: LoadResult;
  /** Processor time of the proxy; undefined where there is none. */
  readonly proxyCpuMs: number | undefined;
  /** Processor time of all nodes together. */
  readonly nodesCpuMs: number;
  /** Miroir's own figures of its process, over the whole turn. */
  readonly runtime: RuntimeFigures | undefined;
}

/** What a contender did in all repeats. */
export interface ContenderResult {
  readonly name: ContenderName;
  readonly closed: readonly ProxyTurn[];
  /** At half the rate that the contender reached; undefined for those whose latency is not compared. */
  readonly open: readonly {
    readonly perSecond: number;
    readonly turn: ProxyTurn;
    readonly direct: ProxyTurn;
  }[];
}

interface Contender {
  readonly name: ContenderName;
  readonly url: string;
  readonly key: string | undefined;
  readonly index: string;
  readonly pid: number | undefined;
  /** Of Miroir. */
  readonly api: MeilisearchHttp | undefined;
}

const KEY = "fixed-node-key-0123456789";
const INDEX = "films";
const FLEET_NODES = 3;
const WARM_UP_MS = 3_000;
const SETTLE_MS = 100;

/**
 * Measures proxies over nodes whose answers come from memory, so that nearly all of the work is the proxies' own. Every answer is compared,
 * while it is measured, with what one node that holds all documents says. Requests under way are never the same, so that nothing can be
 * saved by answering two at once.
 */
export async function benchProxy(options: ProxyBenchOptions): Promise<ContenderResult[]> {
  const { progress, repeats } = options;
  const rig = await startRig(options);
  try {
    const expected = await expectedHits(rig.plain, options.requests);
    const turnOf = (contender: Contender, rate?: number, durationMs = options.durationMs) =>
      measure(rig.nodesPid, contender, { ...options, durationMs }, expected, rate);
    for (const contender of rig.contenders) {
      progress(`warming up ${contender.name}`);
      await turnOf(contender, undefined, WARM_UP_MS);
    }
    const closed = new Map<ContenderName, ProxyTurn[]>(rig.contenders.map(({ name }) => [name, []]));
    for (let repeat = 1; repeat <= repeats; repeat++) {
      progress(`closed loop, ${repeat} of ${repeats}`);
      for (const contender of rig.contenders) {
        if (contender.name !== "direct" || options.only.includes("direct"))
          closed.get(contender.name)?.push(await turnOf(contender));
      }
    }
    const open = new Map<ContenderName, ContenderResult["open"][number][]>();
    const direct = rig.contenders.find(({ name }) => name === "direct");
    for (let repeat = 1; repeat <= repeats && direct !== undefined; repeat++) {
      progress(`constant rate, ${repeat} of ${repeats}`);
      for (const contender of rig.contenders.filter(({ api }) => api !== undefined)) {
        const rates = (closed.get(contender.name) ?? []).map(({ load }) => load.perSecond);
        const perSecond = Math.floor(median(rates) / 2);
        const turn = await turnOf(contender, perSecond);
        const list = open.get(contender.name) ?? [];
        list.push({ perSecond, turn, direct: await turnOf(direct, perSecond) });
        open.set(contender.name, list);
      }
    }
    return options.only.map((name) => ({
      name,
      closed: closed.get(name) ?? [],
      open: open.get(name) ?? [],
    }));
  } finally {
    await rig.stop();
  }
}

async function measure(
  nodesPid: number,
  contender: Contender,
  options: Pick<ProxyBenchOptions, "requests" | "clients" | "durationMs">,
  expected: readonly Buffer[],
  perSecond: number | undefined,
): Promise<ProxyTurn> {
  await sleep(SETTLE_MS);
  const load: Load = {
    url: contender.url,
    ...(contender.key === undefined ? {} : { key: contender.key }),
    requests: options.requests.map((request) => ({
      ...request,
      path: `/indexes/${contender.index}${request.path}`,
    })),
    durationMs: options.durationMs,
    isRight: (at, body) => beginsWith(body, expected[at]),
  };
  const endWatch = contender.api === undefined ? undefined : await watchRuntime(contender.api);
  const nodesBefore = cpuMs(nodesPid);
  const proxyBefore = contender.pid === undefined ? 0 : cpuMs(contender.pid);
  const result =
    perSecond === undefined
      ? await closedLoop({ ...load, clients: options.clients })
      : await openLoop({ ...load, perSecond });
  const proxy = contender.pid === undefined ? undefined : cpuMs(contender.pid) - proxyBefore;
  const nodes = cpuMs(nodesPid) - nodesBefore;
  if (result.failures + result.wrong > 0) {
    throw new Error(
      `${contender.name}: ${result.failures} of ${result.requests} requests failed, ${result.wrong} answers were wrong`,
    );
  }
  return {
    load: result,
    proxyCpuMs: proxy === undefined ? undefined : proxy / result.requests,
    nodesCpuMs: nodes / result.requests,
    runtime: await endWatch?.(),
  };
}

function beginsWith(body: Buffer, start: Buffer | undefined): boolean {
  return (
    start !== undefined &&
    body.length > start.length &&
    body.compare(start, 0, start.length, 0, start.length) === 0
  );
}

/** What an answer begins with: all of its hits, byte for byte. What follows tells how long the search took. */
async function expectedHits(plain: MeilisearchHttp, requests: readonly LoadRequest[]): Promise<Buffer[]> {
  const expected: Buffer[] = [];
  for (const { method, path, body } of requests) {
    const { text } = await plain.send(method, `/indexes/${INDEX}${path}`, body);
    const end = text.lastIndexOf('],"query":');
    if (!text.startsWith('{"hits":[{') || end === -1) throw new Error(`a search without hits: ${body}`);
    expected.push(Buffer.from(text.slice(0, end)));
  }
  return expected;
}

interface Rig {
  readonly contenders: readonly Contender[];
  /** One node without Miroir that holds all documents. */
  readonly plain: MeilisearchHttp;
  readonly nodesPid: number;
  stop(): Promise<void>;
}

async function startRig({ documents, only, profileFolder, progress }: ProxyBenchOptions): Promise<Rig> {
  const started: { stop(): Promise<void> }[] = [];
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    started.unshift(server);
    return server;
  };
  const stop = async (): Promise<void> => {
    for (const server of started) await server.stop();
  };
  const fleetOver = async (nodeUrls: readonly string[]): Promise<BenchFleet> => {
    const fleet = keep(
      await startBenchFleet({
        nodeUrls,
        nodeKey: KEY,
        ...(profileFolder === undefined ? {} : { profileFolder }),
      }),
    );
    await fillIndex(fleet.api, INDEX, documents);
    return fleet;
  };
  try {
    progress("starting nodes, proxies and control planes, and loading documents");
    const nodes = keep(await startNodes(FLEET_NODES + 2));
    const [plainUrl = "", aloneUrl = "", ...urls] = nodes.urls;
    const plain = meilisearchHttp(plainUrl, KEY);
    await fillIndex(plain, INDEX, documents);
    const contenders: Contender[] = [];
    const overPlain = (name: ContenderName, url: string, pid: number | undefined): void => {
      contenders.push({ name, url, key: KEY, index: INDEX, pid, api: undefined });
    };
    const overChild = (name: ContenderName, { urls: [url = ""], pid }: ChildServer): void =>
      overPlain(name, url, pid);
    const miroir = (name: ContenderName, { api, proxyPid }: BenchFleet): void => {
      contenders.push({ name, url: api.url, key: undefined, index: INDEX, pid: proxyPid, api });
    };
    if (only.includes("miroir-3") || only.includes("naive-3")) {
      const fleet = await fleetOver(urls);
      if (only.includes("miroir-3")) miroir("miroir-3", fleet);
      if (only.includes("naive-3")) {
        const naive = ["naive", await physicalIndex(urls[0] ?? ""), ...urls];
        overChild("naive-3", keep(await startChildServer(RELAYS, naive)));
      }
    }
    if (only.includes("miroir-1")) miroir("miroir-1", await fleetOver([aloneUrl]));
    if (only.includes("relay")) overChild("relay", keep(await startChildServer(RELAYS, ["relay", plainUrl])));
    if (only.includes("haproxy")) {
      const haproxy = await startHaproxy(plainUrl);
      if (haproxy === undefined) progress("SKIPPED haproxy: there is none on PATH");
      else overChild("haproxy", keep(haproxy));
    }
    overPlain("direct", plainUrl, undefined);
    contenders.sort((a, b) => CONTENDERS.indexOf(a.name) - CONTENDERS.indexOf(b.name));
    return { contenders, plain, nodesPid: nodes.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const RELAYS = new URL("./relays-main.ts", import.meta.url);

function startNodes(count: number): Promise<ChildServer> {
  return startChildServer(new URL("./fixed-nodes-main.ts", import.meta.url), [`${count}`, KEY]);
}

/** The name under which a node of a fleet holds the fleet's only index. */
async function physicalIndex(nodeUrl: string): Promise<string> {
  const { results } = await meilisearchHttp(nodeUrl, KEY).ok<{ results: { uid: string }[] }>(
    "GET",
    "/indexes",
  );
  const [index] = results;
  if (index === undefined) throw new Error(`${nodeUrl} has no index`);
  return index.uid;
}
