import { fillIndex } from "../support/fill-index.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import type { BenchFleet } from "./bench-fleet.js";
import { httpCallers, type LoadRequest } from "./caller.js";
import { type ChildServer, startChildServer } from "./child-server.js";
import { type Contender, type Turn, takeTurns, warmUp } from "./contender.js";
import type { BenchDocument } from "./documents.js";
import { checkOfHits } from "./expected-hits.js";
import {
  callEach,
  FIXED_INDEX,
  FIXED_NODE_KEY,
  physicalIndex,
  startFixedFleet,
  startFixedNodes,
} from "./fixed-fleet.js";
import { startHaproxy } from "./haproxy.js";
import { median } from "./quantiles.js";
import { Started } from "./started.js";

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

const RELAYS = new URL("./relays-main.ts", import.meta.url);
const FLEET_NODES = 3;

/**
 * Measures proxies over nodes whose answers come from memory, so that nearly all of the work is the proxies' own. Every answer is compared,
 * while it is measured, with what one node that holds all documents says. Requests under way are never the same, so that nothing can be
 * saved by answering two at once.
 */
export async function benchProxy(options: ProxyBenchOptions): Promise<ProxyBenchResult> {
  const { clients, durationMs, only, progress, repeats } = options;
  const started = new Started();
  try {
    const contenders = await startContenders(options, started);
    for (const contender of contenders) await callEach(contender, options.requests.length);
    await warmUp(contenders, clients, progress);
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
    await started.stop();
  }
}

/** Starts what is measured and the node that is asked directly, in the order of {@link CONTENDERS}. */
async function startContenders(
  { documents, only, profileFolder, progress, requests }: ProxyBenchOptions,
  started: Started,
): Promise<Contender<ContenderName>[]> {
  progress("starting nodes, proxies and control planes, and loading documents");
  const nodes = started.keep(await startFixedNodes(FLEET_NODES + 2));
  const [plainUrl = "", aloneUrl = "", ...urls] = nodes.urls;
  const plain = meilisearchHttp(plainUrl, FIXED_NODE_KEY);
  await fillIndex(plain, FIXED_INDEX, documents);
  const isRight = await checkOfHits(plain, requests);
  const contenders: Contender<ContenderName>[] = [];
  const add = (
    name: ContenderName,
    url: string,
    key: string | undefined,
    of: Omit<Partial<Contender>, "name">,
  ): void => {
    contenders.push({
      name,
      nodePids: [nodes.pid],
      open: httpCallers({ url, key, requests, isRight }),
      ...of,
    });
  };
  const addChild = (name: ContenderName, { urls: [url = ""], pid }: ChildServer): void =>
    add(name, url, FIXED_NODE_KEY, { proxyPid: pid });
  const addMiroir = (name: ContenderName, { api, proxyPid }: BenchFleet): void =>
    add(name, api.url, undefined, { proxyPid, miroir: api });
  const fleetOver = async (nodeUrls: readonly string[]): Promise<BenchFleet> =>
    started.keep(await startFixedFleet({ nodeUrls, documents, profileFolder }));

  if (only.includes("miroir-3") || only.includes("naive-3")) {
    const fleet = await fleetOver(urls);
    if (only.includes("miroir-3")) addMiroir("miroir-3", fleet);
    if (only.includes("naive-3")) {
      const args = ["naive", await physicalIndex(urls[0] ?? ""), ...urls];
      addChild("naive-3", started.keep(await startChildServer(RELAYS, args)));
    }
  }
  if (only.includes("miroir-1")) addMiroir("miroir-1", await fleetOver([aloneUrl]));
  if (only.includes("relay"))
    addChild("relay", started.keep(await startChildServer(RELAYS, ["relay", plainUrl])));
  if (only.includes("haproxy")) {
    const haproxy = await startHaproxy(plainUrl);
    if (haproxy === undefined) progress("SKIPPED haproxy: there is none on PATH");
    else addChild("haproxy", started.keep(haproxy));
  }
  add("direct", plainUrl, FIXED_NODE_KEY, {});
  return contenders.sort((a, b) => CONTENDERS.indexOf(a.name) - CONTENDERS.indexOf(b.name));
}
