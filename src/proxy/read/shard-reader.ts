import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import { allOrStopped } from "../../runtime/abort.js";
import { LightAbort } from "../../runtime/light-abort.js";
import type { World } from "../../runtime/world.js";
import { indexNotFound, notReady } from "../http/api-errors.js";
import type { ProxyMetrics } from "../http/metrics.js";
import type { IndexView, TopologySource, TopologyView } from "../topology/topology-view.js";
import { type AskContext, askNode, IndexMovedError } from "./ask-node.js";
import { deadlineOf } from "./deadlines.js";
import type { HedgeBudget } from "./hedge-budget.js";
import type { NodeHealth } from "./node-health.js";
import { NodeSends } from "./node-sends.js";
import type { Coverage, NodeAsk } from "./read-covers.js";
import type { IndexLatency, ReplicaLatencies } from "./replica-latency.js";
import type { ReplicaSelection } from "./replica-selection.js";
import { type Patience, type SecondTryOptions, withSecondTry } from "./second-try.js";
import type { NodeAnswer, ShardRead, ShardReadResult } from "./shard-read.js";

/** Limits of {@link createShardReader}. Milliseconds. */
export interface ShardReaderOptions {
  /**
   * A node that takes longer is not waited for alone, whatever the budget of hedges, and counts as failing where another one was sooner. Where
   * all replicas take long, both wait longer: a fleet that has too much to do must not be asked for everything twice.
   */
  readonly hedgeDelayMs: number;
  readonly nodeTimeoutMs: number;
  readonly readTimeoutMs: number;
}

/** What a shard reader works with. */
export interface ShardReaderDependencies {
  readonly world: World;
  readonly topology: TopologySource;
  readonly transport: NodeTransport;
  readonly health: NodeHealth;
  readonly selection: ReplicaSelection;
  readonly latencies: ReplicaLatencies;
  readonly hedges: HedgeBudget;
  readonly metrics: Pick<ProxyMetrics, "secondTry" | "hedge" | "sampled">;
}

/** Reads from replicas so that every shard is served once. */
export interface ShardReader {
  /**
   * Asks one in-sync replica of each shard and, where one fails or is slow, others for what it was to serve. What has not answered by the
   * signal's deadline (see {@link deadlineOf}) is missing.
   *
   * @param shards all of the index's unless given
   * @throws MeilisearchError where no topology is known, or the index is not in the catalogue
   * @throws NodeRefusedError where a node refuses the request itself
   */
  read(
    indexUid: string,
    read: ShardRead,
    signal: AbortSignal,
    shards?: (index: IndexView) => readonly number[],
  ): Promise<ShardReadResult>;
}

/** How often a read starts again because the topology under it changed. */
const MAX_RESTARTS = 3;
/** No node is excluded. */
const NONE: ReadonlySet<string> = new Set();

interface Covered {
  readonly answers: readonly NodeAnswer[];
  readonly missing: readonly number[];
}

/** A reader over the nodes of `topology`. */
export function createShardReader(
  dependencies: ShardReaderDependencies,
  options: ShardReaderOptions,
): ShardReader {
  const { world, topology } = dependencies;
  const names = new WeakMap<IndexView, Map<string, string>>();

  return {
    async read(indexUid, read, signal, shards) {
      const deadline = Math.min(world.clock.monotonic() + options.readTimeoutMs, deadlineOf(signal));
      for (let restart = 0; ; restart++) {
        const view = topology.current();
        if (view === undefined) throw notReady();
        const index = view.indexes.get(indexUid);
        if (index === undefined) throw indexNotFound(indexUid);
        const pass = new ReadPass(dependencies, options, view, index, read, namesOf(names, index), deadline);
        try {
          return await pass.run(signal, shards?.(index), restart < MAX_RESTARTS);
        } catch (error) {
          if (!(error instanceof IndexMovedError)) throw error;
        }
      }
    },
  };
}

function namesOf(names: WeakMap<IndexView, Map<string, string>>, index: IndexView): Map<string, string> {
  let known = names.get(index);
  if (known === undefined) {
    known = new Map();
    names.set(index, known);
  }
  return known;
}

/** One attempt at a read under one topology. */
class ReadPass implements AskContext {
  readonly sends: NodeSends;
  private readonly latency: IndexLatency;

  constructor(
    readonly dependencies: ShardReaderDependencies,
    private readonly options: ShardReaderOptions,
    private readonly view: TopologyView,
    readonly index: IndexView,
    readonly shardRead: ShardRead,
    readonly names: Map<string, string>,
    deadline: number,
  ) {
    this.latency = dependencies.latencies.of(index.instance);
    this.sends = new NodeSends(dependencies, options, this.latency, deadline);
  }

  async run(
    signal: AbortSignal,
    shards: readonly number[] | undefined,
    mayRestart: boolean,
  ): Promise<ShardReadResult> {
    const { selection } = this.dependencies;
    const { view, index } = this;
    const first =
      shards === undefined ? selection.cover(view, index) : selection.coverSome(view, index, shards);
    signal.throwIfAborted();
    this.sample(first);
    const { parts, covered } = await this.coverWhole(first, NONE, signal, mayRestart);
    signal.throwIfAborted();
    const answers = [...covered.answers].sort((a, b) => (a.ask.shards[0] ?? 0) - (b.ask.shards[0] ?? 0));
    return { index, view, parts, answers, missing: [...covered.missing].sort((a, b) => a - b) };
  }

  /** Serves the whole read; as one part for as long as single nodes can. */
  private coverWhole(
    coverage: Coverage,
    excluded: ReadonlySet<string>,
    signal: AbortSignal,
    mayRestart: boolean,
  ): Promise<{ parts: "one" | "many"; covered: Covered }> {
    const [only] = coverage.asks;
    if (only === undefined || coverage.asks.length > 1 || coverage.missing.length > 0) {
      return this.coverMany(coverage, excluded, signal, mayRestart).then((covered) => ({
        parts: "many",
        covered,
      }));
    }
    const without = new Set(excluded).add(only.node.id);
    const replacement = this.dependencies.selection.replace(this.view, this.index, only, without);
    return withSecondTry(
      (stop) =>
        askNode(this, only, "one", replacement === undefined, stop, mayRestart).then(
          (answer) => ({ parts: "one", covered: { answers: [answer], missing: [] } }),
          (error) => {
            if (isFinal(error)) throw error;
            return { parts: "many", covered: { answers: [], missing: only.shards } };
          },
        ),
      replacement && ((stop) => this.coverWhole(replacement, without, stop, mayRestart)),
      (result) => result.covered.missing.length,
      this.secondTry(signal, replacement),
    );
  }

  private async coverMany(
    coverage: Coverage,
    excluded: ReadonlySet<string>,
    signal: AbortSignal,
    mayRestart: boolean,
  ): Promise<Covered> {
    const parts = await allOrStopped(
      signal,
      coverage.asks.map((ask) => (stop) => this.coverPart(ask, excluded, stop, mayRestart)),
    );
    return {
      answers: parts.flatMap((part) => part.answers),
      missing: [...coverage.missing, ...parts.flatMap((part) => part.missing)],
    };
  }

  private coverPart(
    ask: NodeAsk,
    excluded: ReadonlySet<string>,
    signal: AbortSignal,
    mayRestart: boolean,
  ): Promise<Covered> {
    const without = new Set(excluded).add(ask.node.id);
    const replacement = this.dependencies.selection.replace(this.view, this.index, ask, without);
    return withSecondTry<Covered>(
      (stop) =>
        askNode(this, ask, "many", replacement === undefined, stop, mayRestart).then(
          (answer) => ({ answers: [answer], missing: [] }),
          (error) => {
            if (isFinal(error)) throw error;
            return { answers: [], missing: ask.shards };
          },
        ),
      replacement && ((stop) => this.coverMany(replacement, without, stop, mayRestart)),
      (covered) => covered.missing.length,
      this.secondTry(signal, replacement),
    );
  }

  private secondTry(signal: AbortSignal, replacement: Coverage | undefined): SecondTryOptions {
    const { world, hedges, metrics } = this.dependencies;
    return {
      world,
      patience: this.patience(replacement),
      signal,
      mayHedge: () => {
        const mayHedge = hedges.take(replacement?.asks.length ?? 0);
        if (!mayHedge) metrics.hedge("denied");
        return mayHedge;
      },
      onSecondTry: (reason) => metrics.secondTry(reason),
      onHedgeEnd: (hasWon) => metrics.hedge(hasWon ? "won" : "lost"),
    };
  }

  /** A node is waited for alone for as long as those that would be asked in its place nearly always take. */
  private patience(replacement: Coverage | undefined): Patience {
    const patience = this.dependencies.hedges.patience();
    let hedgeAfterMs: number | undefined = 0;
    for (const { node, isSuspect } of replacement?.asks ?? []) {
      // A slow copy is still another copy, so that a suspect one has to wait until it has failed.
      if (isSuspect) return { hedgeAfterMs: undefined, overdueAfterMs: undefined };
      const usualMs = this.latency.isSlow(node.id) ? undefined : this.latency.p95Ms(node.id);
      if (usualMs === undefined) hedgeAfterMs = undefined;
      else if (hedgeAfterMs !== undefined)
        hedgeAfterMs = Math.max(hedgeAfterMs, Math.ceil(patience * usualMs));
    }
    return { hedgeAfterMs, overdueAfterMs: this.latency.overdueMs(this.options.hedgeDelayMs) };
  }

  /** Asks a slow node beside the others, so that no client waits to find out whether it still is slow. */
  private sample(first: Coverage): void {
    const { selection, hedges, metrics } = this.dependencies;
    const ask = selection.sample(this.view, this.index);
    if (ask === undefined || first.asks.some(({ node }) => node.id === ask.node.id)) return;
    hedges.charge();
    metrics.sampled();
    const parts = first.asks.length === 1 ? "one" : "many";
    // Whatever comes of it is seen where every answer is: here it is not needed.
    askNode(this, ask, parts, false, new LightAbort(), false).catch(() => undefined);
  }
}

/** Errors that no other replica can mend. */
function isFinal(error: unknown): boolean {
  return !(error instanceof NodeUnavailableError);
}
