import { fillIndex } from "../support/fill-index.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { type BenchFleet, startBenchFleet } from "./bench-fleet.js";
import { httpCallers, type LoadRequest } from "./caller.js";
import { type ChildServer, startChildServer } from "./child-server.js";
import { type Contender, type Turn, takeTurns } from "./contender.js";
import type { BenchDocument } from "./documents.js";
import { startHaproxy } from "./haproxy.js";
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

/** What was measured, by contender; nothing of those that could not be started. */
export interface ProxyBenchResult {
  readonly closed: ReadonlyMap<ContenderName, readonly Turn[]>;
  /** Miroir at half the rate that it reached, each time beside a node asked directly at the same rate. */
  readonly half: ReadonlyMap<ContenderName, HalfRate>;
}

/** Turns at a constant rate. */
export interface HalfRate {
  readonly perSecond: number;
  readonly turns: readonly Turn[];
  readonly direct: readonly Turn[];
}

const KEY = "fixed-node-key-0123456789";
const INDEX = "films";
const FLEET_NODES = 3;
const WARM_UP_MS = 3_000;

/**
 * Measures proxies over nodes whose answers come from memory, so that nearly all of the work is the proxies' own. Every answer is compared,
 * while it is measured, with what one node that holds all documents says. Requests under way are never the same, so that nothing can be
 * saved by answering two at once.
 */
export async function benchProxy(options: ProxyBenchOptions): Promise<ProxyBenchResult> {
  const { clients, durationMs, only, progress, repeats } = options;
  const rig = await startRig(options);
  try {
    const { contenders } = rig;
    for (const contender of contenders) await callEach(contender, options.requests.length);
    await takeTurns(contenders, { clients, durationMs: WARM_UP_MS }, 1, (text) =>
      progress(`warm-up, ${text}`),
    );
    const measured = contenders.filter(({ name }) => only.includes(name));
    const closed = await takeTurns(measured, { clients, durationMs }, repeats, progress);
    const half = new Map<ContenderName, HalfRate>();
    const direct = contenders.filter(({ name }) => name === "direct");
    for (const contender of measured.filter(({ miroir }) => miroir !== undefined)) {
      const reached = median((closed.get(contender.name) ?? []).map(({ load }) => load.perSecond));
      const perSecond = Math.max(1, Math.floor(reached / 2));
      const turns = await takeTurns([contender, ...direct], { perSecond, durationMs }, repeats, progress);
      half.set(contender.name, {
        perSecond,
        turns: turns.get(contender.name) ?? [],
        direct: turns.get("direct") ?? [],
      });
    }
    return { closed, half };
  } finally {
    await rig.stop();
  }
}

/** Makes each request once, so that nodes' own work on it is done. */
async function callEach({ open }: Contender, requests: number): Promise<void> {
  const caller = await open();
  for (let turn = 0; turn < requests; turn++) await caller.call(turn);
  caller.close();
}

function hitsOf(expected: readonly Buffer[]): (at: number, body: Buffer) => boolean {
  return (at, body) => {
    const start = expected[at];
    if (start === undefined || body.length < start.length) return false;
    return body.compare(start, 0, start.length, 0, start.length) === 0;
  };
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
  readonly contenders: readonly Contender<ContenderName>[];
  stop(): Promise<void>;
}

async function startRig({
  documents,
  only,
  profileFolder,
  progress,
  requests,
}: ProxyBenchOptions): Promise<Rig> {
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
    const isRight = hitsOf(await expectedHits(plain, requests));
    const contenders: Contender<ContenderName>[] = [];
    const add = (
      name: ContenderName,
      url: string,
      at: Pick<Contender, "proxyPid" | "miroir">,
      key?: string,
    ): void => {
      const load = requests.map((request) => ({ ...request, path: `/indexes/${INDEX}${request.path}` }));
      contenders.push({
        name,
        nodePids: [nodes.pid],
        open: httpCallers({ url, key, requests: load, isRight }),
        ...at,
      });
    };
    const child = (name: ContenderName, { urls: [url = ""], pid }: ChildServer): void =>
      add(name, url, { proxyPid: pid }, KEY);
    const miroir = (name: ContenderName, { api, proxyPid }: BenchFleet): void =>
      add(name, api.url, { proxyPid, miroir: api });
    if (only.includes("miroir-3") || only.includes("naive-3")) {
      const fleet = await fleetOver(urls);
      if (only.includes("miroir-3")) miroir("miroir-3", fleet);
      if (only.includes("naive-3")) {
        const naive = ["naive", await physicalIndex(urls[0] ?? ""), ...urls];
        child("naive-3", keep(await startChildServer(RELAYS, naive)));
      }
    }
    if (only.includes("miroir-1")) miroir("miroir-1", await fleetOver([aloneUrl]));
    if (only.includes("relay")) child("relay", keep(await startChildServer(RELAYS, ["relay", plainUrl])));
    if (only.includes("haproxy")) {
      const haproxy = await startHaproxy(plainUrl);
      if (haproxy === undefined) progress("SKIPPED haproxy: there is none on PATH");
      else child("haproxy", keep(haproxy));
    }
    add("direct", plainUrl, {}, KEY);
    contenders.sort((a, b) => CONTENDERS.indexOf(a.name) - CONTENDERS.indexOf(b.name));
    return { contenders, stop };
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
