import { spawnMiroir } from "../integration/cli-process.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { seededRandom } from "../support/random.js";
import { untilReady } from "./bench-fleet.js";
import { httpCallers, type OpenCaller } from "./caller.js";
import { warmUp } from "./contender.js";
import { madeUpDocuments } from "./documents.js";
import { checkOfHits } from "./expected-hits.js";
import { callEach, commonSearches, startFixedFleet, startFixedNodes } from "./fixed-fleet.js";
import { imageEnvironment } from "./image-options.js";
import { type LoadResult, runLoad } from "./load.js";
import { cpuMs } from "./process-usage.js";
import { type Spread, spreadOf } from "./quantiles.js";
import { Started } from "./started.js";

/** What so many proxies beside each other do. */
export interface CoresResult {
  readonly proxies: number;
  readonly perSecond: Spread;
  /** Processor time of all proxies for a search, and of the nodes, in milliseconds. */
  readonly proxyCpuMs: Spread;
  readonly nodesCpuMs: Spread;
  readonly p50Ms: Spread;
  /** Searches a second over those of one proxy, turn by turn. */
  readonly beside: Spread;
}

/** How proxies beside each other are measured. */
export interface CoresOptions {
  readonly proxies: readonly number[];
  readonly clients: number;
  readonly durationMs: number;
  readonly repeats: number;
  readonly progress: (text: string) => void;
}

const DOCUMENTS = 6_000;
const HIT_BYTES = 700;
const NODES = 3;

interface RunningProxy {
  readonly pid: number;
  readonly open: OpenCaller;
}

/** Measures one fleet's proxies over fixed-answer nodes, some of them at a time, with clients shared out to them. */
export async function benchCores(options: CoresOptions): Promise<CoresResult[]> {
  const started = new Started();
  try {
    const nodes = started.keep(await startFixedNodes(NODES));
    const documents = madeUpDocuments(DOCUMENTS, HIT_BYTES, seededRandom(11));
    const fleet = started.keep(await startFixedFleet({ nodeUrls: nodes.urls, documents }));
    const requests = commonSearches({ limit: 20 });
    const isRight = await checkOfHits(fleet.api, requests);
    const proxies: RunningProxy[] = [];
    for (let number = 0; number < Math.max(1, ...options.proxies); number++) {
      const { pid, url } =
        number === 0
          ? { pid: fleet.proxyPid, url: fleet.url }
          : started.keep(await startProxy(fleet.controlAddress, `proxy-${number}`));
      const open = httpCallers({ url, requests, isRight });
      await callEach({ open }, requests.length);
      proxies.push({ pid, open });
    }
    return await takeTurns(proxies, nodes.pid, options);
  } finally {
    await started.stop();
  }
}

interface Turn {
  readonly load: LoadResult;
  readonly proxyCpuMs: number;
  readonly nodesCpuMs: number;
}

async function takeTurns(
  all: readonly RunningProxy[],
  nodesPid: number,
  { clients, durationMs, progress, proxies, repeats }: CoresOptions,
): Promise<CoresResult[]> {
  const turn = async (count: number): Promise<Turn> => {
    const used = all.slice(0, count);
    const proxyCpu = (): number => used.reduce((sum, { pid }) => sum + cpuMs(pid), 0);
    const [proxyBefore, nodesBefore] = [proxyCpu(), cpuMs(nodesPid)];
    const load = await runLoad(sharedOut(used), { clients, durationMs });
    if (load.failures + load.wrong > 0)
      throw new Error(`${load.failures} searches failed, ${load.wrong} answers were wrong`);
    return {
      load,
      proxyCpuMs: (proxyCpu() - proxyBefore) / load.requests,
      nodesCpuMs: (cpuMs(nodesPid) - nodesBefore) / load.requests,
    };
  };
  const contenders = all.map(({ open, pid }, at) => ({
    name: `proxy ${at}`,
    open,
    proxyPid: pid,
    nodePids: [nodesPid],
  }));
  await warmUp(contenders, clients, progress);
  const turns = new Map<number, Turn[]>(proxies.map((count) => [count, []]));
  const alone: Turn[] = [];
  for (let repeat = 1; repeat <= repeats; repeat++) {
    alone.push(await turn(1));
    for (const count of proxies) turns.get(count)?.push(await turn(count));
    progress(`${repeat} of ${repeats}`);
  }
  return [...turns].map(([count, taken]) => {
    const over = (figure: (turn: Turn) => number): Spread => spreadOf(taken.map(figure));
    return {
      proxies: count,
      perSecond: over(({ load }) => load.perSecond),
      proxyCpuMs: over((one) => one.proxyCpuMs),
      nodesCpuMs: over((one) => one.nodesCpuMs),
      p50Ms: over(({ load }) => load.p50),
      beside: spreadOf(
        taken.map(({ load }, at) => load.perSecond / (alone[at]?.load.perSecond ?? Number.NaN)),
      ),
    };
  });
}

/** Clients, one proxy after the other. */
function sharedOut(proxies: readonly RunningProxy[]): OpenCaller {
  let opened = 0;
  return () => {
    const proxy = proxies[opened++ % proxies.length];
    if (proxy === undefined) throw new Error("there is no proxy");
    return proxy.open();
  };
}

/** One more proxy of a fleet. */
async function startProxy(
  controlAddress: string,
  id: string,
): Promise<{ readonly pid: number; readonly url: string; stop(): Promise<void> }> {
  const args = ["proxy", "--http", "127.0.0.1:0", "--control", controlAddress, "--proxy-id", id];
  const { child, ended, logged } = spawnMiroir(args, imageEnvironment());
  const { url } = await logged("proxy is serving");
  await untilReady(meilisearchHttp(String(url)));
  return {
    pid: child.pid ?? 0,
    url: String(url),
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
