import { setTimeout as sleep } from "node:timers/promises";
import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import type { OpenCaller } from "./caller.js";
import { type ClosedLoop, type LoadResult, type OpenLoop, runLoad } from "./load.js";
import { cpuMs } from "./process-usage.js";
import { type RuntimeFigures, watchRuntime } from "./proxy-metrics.js";
import { type Spread, spreadOf } from "./quantiles.js";

/** A way to get requests answered, which takes turns with others. */
export interface Contender<Name extends string = string> {
  readonly name: Name;
  readonly open: OpenCaller;
  /** Where a process stands between clients and nodes. */
  readonly proxyPid?: number | undefined;
  readonly nodePids: readonly number[];
  /** Where the proxy is Miroir's, which tells figures of its own process. */
  readonly miroir?: MeilisearchHttp | undefined;
}

/** What a contender did in one turn. Processor times are milliseconds for each request; the load generator's own are in none of them. */
export interface Turn {
  readonly load: LoadResult;
  readonly proxyCpuMs: number | undefined;
  /** Of all nodes together. */
  readonly nodesCpuMs: number;
  readonly runtime: RuntimeFigures | undefined;
}

/** Lets what the turn before has left behind come to its end. */
const SETTLE_MS = 100;

/**
 * Gives a contender its turn.
 *
 * @throws Error where a request failed, or an answer was wrong: figures of wrong answers mean nothing
 */
export async function takeTurn(contender: Contender, loop: ClosedLoop | OpenLoop): Promise<Turn> {
  await sleep(SETTLE_MS);
  const { proxyPid, nodePids } = contender;
  const nodesCpu = (): number => nodePids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const proxyCpu = (): number => (proxyPid === undefined ? 0 : cpuMs(proxyPid));
  const endWatch = contender.miroir === undefined ? undefined : await watchRuntime(contender.miroir);
  const [nodesBefore, proxyBefore] = [nodesCpu(), proxyCpu()];
  const load = await runLoad(contender.open, loop);
  const [nodes, proxy] = [nodesCpu() - nodesBefore, proxyCpu() - proxyBefore];
  if (load.failures + load.wrong > 0) {
    throw new Error(
      `${contender.name}: ${load.failures} of ${load.requests} requests failed, ${load.wrong} answers were wrong`,
    );
  }
  return {
    load,
    proxyCpuMs: proxyPid === undefined ? undefined : proxy / load.requests,
    nodesCpuMs: nodes / load.requests,
    runtime: await endWatch?.(),
  };
}

/** Requests after which a program has been compiled for the work that it does, and rounds of a second that they may take. */
const WARM_REQUESTS = 4_000;
const MOST_WARM_UP_ROUNDS = 12;

/** Lets every contender work until it is at its speed. */
export async function warmUp(
  contenders: readonly Contender[],
  clients: number,
  progress: (text: string) => void,
): Promise<void> {
  for (const contender of contenders) {
    progress(`warming up: ${contender.name}`);
    let requests = 0;
    for (let round = 0; round < MOST_WARM_UP_ROUNDS && requests < WARM_REQUESTS; round++)
      requests += (await takeTurn(contender, { clients, durationMs: 1_000 })).load.requests;
  }
}

/** Gives every contender its turn, again and again; resolves with the turns of each, in their order. */
export async function takeTurns<Name extends string>(
  contenders: readonly Contender<Name>[],
  loop: ClosedLoop | OpenLoop,
  repeats: number,
  progress: (text: string) => void,
): Promise<Map<Name, Turn[]>> {
  const turns = new Map<Name, Turn[]>(contenders.map(({ name }) => [name, []]));
  const what = "clients" in loop ? `${loop.clients} clients` : `${loop.perSecond} requests a second`;
  for (let repeat = 1; repeat <= repeats; repeat++) {
    progress(`${what}: ${repeat} of ${repeats}`);
    for (const contender of contenders) turns.get(contender.name)?.push(await takeTurn(contender, loop));
  }
  return turns;
}

/** All turns of a contender in figures; null where it has no such figure. */
export type TurnSummary = ReturnType<typeof summarize>;

/** Sums up the turns of one contender. Collections are counted for a thousand requests. */
export function summarize(turns: readonly Turn[]) {
  const over = (figure: (turn: Turn) => number | undefined): Spread | null => {
    const values = turns.flatMap((turn) => figure(turn) ?? []);
    return values.length === 0 ? null : spreadOf(values);
  };
  const perThousand = ({ load }: Turn, value: number | undefined): number | undefined =>
    value === undefined ? undefined : (value * 1_000) / load.requests;
  return {
    requests: turns.reduce((sum, { load }) => sum + load.requests, 0),
    perSecond: over(({ load }) => load.perSecond),
    proxyCpuMs: over(({ proxyCpuMs }) => proxyCpuMs),
    nodesCpuMs: over(({ nodesCpuMs }) => nodesCpuMs),
    p50Ms: over(({ load }) => load.p50),
    p99Ms: over(({ load }) => load.p99),
    lateP99Ms: over(({ load }) => load.lateP99),
    gcMsPer1000: over((turn) => perThousand(turn, turn.runtime?.gcMs)),
    scavengesPer1000: over((turn) => perThousand(turn, turn.runtime?.scavenges)),
    loopDelayP99Ms: over(({ runtime }) => runtime?.loopDelayP99Ms),
  };
}

/** One contender's figure over another's, turn by turn; null where either has none. */
export function ratio(
  turns: readonly Turn[] | undefined,
  beside: readonly Turn[] | undefined,
  figure: (turn: Turn) => number | undefined,
): Spread | null {
  const ratios = (turns ?? []).flatMap((turn, at) => {
    const other = beside?.[at];
    const [mine, theirs] = [figure(turn), other === undefined ? undefined : figure(other)];
    return mine === undefined || theirs === undefined ? [] : [mine / theirs];
  });
  return ratios.length === 0 ? null : spreadOf(ratios);
}
