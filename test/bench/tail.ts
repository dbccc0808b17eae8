import { setTimeout as sleep } from "node:timers/promises";
import { spawnMiroir } from "../integration/cli-process.js";
import { fillIndex } from "../support/fill-index.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { startNodes } from "../support/nodes.js";
import { type Relay, startRelay } from "../support/relay.js";
import { startBenchFleet, untilReady } from "./bench-fleet.js";
import { httpCallers, type LoadRequest } from "./caller.js";
import type { BenchDocument } from "./documents.js";
import { imageEnvironment } from "./image-options.js";
import { type LoadResult, runLoad } from "./load.js";

/** A proxy that hedges and spares slow replicas, or one that does neither. */
export type TailContender = "on" | "off";

/** What the fleet is like: all nodes as fast, one made slow a moment ago, or one slow for a while. */
export type FleetState = "healthy" | "just slowed" | "slowed";

/** How it is measured. */
export interface TailBenchOptions {
  readonly nodes: number;
  readonly documents: readonly BenchDocument[];
  readonly requests: readonly LoadRequest[];
  /** By how much one node's answers are late. Milliseconds. */
  readonly slowedByMs: number;
  readonly perSecond: number;
  readonly durationMs: number;
  readonly repeats: number;
  readonly progress: (text: string) => void;
}

/** What one proxy did in one state of the fleet. */
export interface TailTurn {
  readonly contender: TailContender;
  readonly state: FleetState;
  readonly load: LoadResult;
  /** Requests to nodes for each search. */
  readonly nodeRequests: number;
}

const INDEX = "films";
/** Of the slowed turns the first is measured from the moment at which the node becomes slow. */
const SLOWED: readonly FleetState[] = ["just slowed", "slowed"];

/**
 * Searches at a constant rate over nodes of which one is slowed, through a proxy that does something about it and one that does
 * not, in one fleet, taking turns. A search's time runs from when it was due.
 *
 * @throws Error where a search fails
 */
export async function benchTail(options: TailBenchOptions): Promise<readonly TailTurn[]> {
  const { durationMs, perSecond, progress, repeats } = options;
  const rig = await startRig(options);
  const turns: TailTurn[] = [];
  try {
    const measure = async (contender: TailContender, state: FleetState, isWarmUp = false): Promise<void> => {
      const api = rig.proxies[contender];
      const callers = httpCallers({ url: api.url, requests: options.requests });
      const before = await searchesOfNodes(api);
      const load = await runLoad(callers, { perSecond, durationMs: isWarmUp ? WARM_UP_MS : durationMs });
      await sleep(options.slowedByMs);
      if (load.failures > 0) throw new Error(`${load.failures} of ${load.requests} searches failed`);
      if (isWarmUp) return;
      const nodeRequests = ((await searchesOfNodes(api)) - before) / load.requests;
      turns.push({ contender, state, load, nodeRequests });
    };
    for (let repeat = 1; repeat <= repeats; repeat++) {
      progress(`${repeat} of ${repeats}`);
      for (const contender of CONTENDERS) {
        await measure(contender, "healthy", true);
        await measure(contender, "healthy");
        rig.relay.delayReplies(options.slowedByMs);
        for (const state of SLOWED) await measure(contender, state);
        rig.relay.delayReplies(0);
      }
    }
    return turns;
  } finally {
    await rig.stop();
  }
}

/** Both proxies, in the order in which they take turns. */
export const CONTENDERS: readonly TailContender[] = ["off", "on"];

/** Long enough for a node that was slow to have its share again. */
const WARM_UP_MS = 12_000;

interface Rig {
  readonly proxies: Readonly<Record<TailContender, MeilisearchHttp>>;
  /** In front of the node that is slowed. */
  readonly relay: Relay;
  stop(): Promise<void>;
}

async function startRig({ documents, nodes: count, progress }: TailBenchOptions): Promise<Rig> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    for (const server of started) await server.stop();
  };
  try {
    const nodes = await startNodes(count);
    started.unshift(nodes);
    const relays: Relay[] = [];
    for (const node of nodes.nodes) {
      const relay = await startRelay(node.url);
      relays.push(relay);
      started.unshift({ stop: () => relay.close() });
    }
    const [relay] = relays;
    const nodeKey = nodes.nodes[0]?.masterKey;
    if (relay === undefined || nodeKey === undefined) throw new Error("there is no node with a key");
    const nodeUrls = relays.map(({ url }) => url);
    const fleet = await startBenchFleet({ nodeUrls, nodeKey, replicationFactor: 2 });
    started.unshift(fleet);
    const off = spawnMiroir(
      ["proxy", "--http", "127.0.0.1:0", "--proxy-id", "off", "--control", fleet.controlAddress],
      { ...imageEnvironment(), MIROIR_HEDGE_PERCENT: "0", MIROIR_ADAPTIVE_READS: "false" },
    );
    started.unshift({
      stop: async () => {
        off.child.kill("SIGTERM");
        await off.ended;
      },
    });
    const { url } = await off.logged("proxy is serving");
    const proxies = { on: fleet.api, off: meilisearchHttp(String(url)) };
    progress("filling the index");
    await fillIndex(fleet.api, INDEX, documents);
    await untilReady(proxies.off);
    return { proxies, relay, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Searches that a proxy has sent to nodes since it began, whatever became of them. */
async function searchesOfNodes(api: MeilisearchHttp): Promise<number> {
  const { text } = await api.send("GET", "/_miroir/metrics");
  return [...text.matchAll(/^miroir_node_calls_total\{[^}]*operation="POST search"[^}]*\} (\S+)$/gm)].reduce(
    (sum, [, value]) => sum + Number(value),
    0,
  );
}
