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
import { prefer } from "./preferred.js";
import { beginProfiles } from "./profiles.js";
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
  /** Where profiles of the processor time of Miroir's proxies go; none unless given. */
  readonly profileFolder?: string | undefined;
  readonly progress: (text: string) => void;
}

/** What was measured, by contender; nothing of those that could not be started. */
export interface ProxyBenchResult {
  readonly closed: ReadonlyMap<ContenderName, readonly Turn[]>;
  /** Miroir at half the rate that it reached, each time beside a node asked directly, and through a relay, at the same rate. */
  readonly half: ReadonlyMap<ContenderName, HalfRate>;
  /** Whether the system let the load generator and the nodes go first at that rate. */
  readonly arePreferred: boolean;
}

/** Turns at a constant rate. */
export interface HalfRate {
  readonly perSecond: number;
  readonly turns: ReadonlyMap<ContenderName, readonly Turn[]>;
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
    const { contenders, fleets, nodesPid } = await startContenders(options, started);
    for (const contender of contenders) await callEach(contender, options.requests.length);
    await warmUp(contenders, clients, progress);
    const measured = contenders.filter(({ name }) => only.includes(name));
    const endProfiles = await beginProfiles(options.profileFolder, fleets);
    const closed = await takeTurns(measured, { clients, durationMs }, repeats, progress);
    await endProfiles();
    const half = new Map<ContenderName, HalfRate>();
    const arePreferred = prefer([process.pid, nodesPid]);
    const beside = contenders.filter(({ name }) => name === "relay" || name === "direct");
    for (const contender of measured.filter(({ miroir }) => miroir !== undefined)) {
      const reached = median((closed.get(contender.name) ?? []).map(({ load }) => load.perSecond));
      const perSecond = Math.max(1, Math.floor(reached / 2));
      const turns = await takeTurns([contender, ...beside], { perSecond, durationMs }, repeats, progress);
      half.set(contender.name, { perSecond, turns });
    }
    return { closed, half, arePreferred };
  } finally {
    await started.stop();
  }
}

/** Starts what is measured and the node that is asked directly, in the order of {@link CONTENDERS}. */
async function startContenders(
  { documents, only, profileFolder, progress, requests }: ProxyBenchOptions,
  started: Started,
): Promise<{
  readonly contenders: readonly Contender<ContenderName>[];
  readonly fleets: readonly { readonly name: ContenderName; readonly fleet: BenchFleet }[];
  readonly nodesPid: number;
}> {
  progress("starting nodes, proxies and control planes, and loading documents");
  const nodes = started.keep(await startFixedNodes(FLEET_NODES + 2));
  const [plainUrl = "", aloneUrl = "", ...urls] = nodes.urls;
  const plain = meilisearchHttp(plainUrl, FIXED_NODE_KEY);
  await fillIndex(plain, FIXED_INDEX, documents);
  const isRight = await checkOfHits(plain, requests);
  const contenders: Contender<ContenderName>[] = [];
  const fleets: { readonly name: ContenderName; readonly fleet: BenchFleet }[] = [];
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
  const addMiroir = (name: ContenderName, fleet: BenchFleet): void => {
    fleets.push({ name, fleet });
    add(name, fleet.url, undefined, { proxyPid: fleet.proxyPid, miroir: fleet.api });
  };
  const fleetOver = async (nodeUrls: readonly string[]): Promise<BenchFleet> =>
    started.keep(await startFixedFleet({ nodeUrls, documents, isInspected: profileFolder !== undefined }));

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
  contenders.sort((a, b) => CONTENDERS.indexOf(a.name) - CONTENDERS.indexOf(b.name));
  return { contenders, fleets, nodesPid: nodes.pid };
}
