import { parseErrorBody } from "../../meilisearch/errors.js";
import {
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import { allOrStopped } from "../../runtime/abort.js";
import { LightAbort } from "../../runtime/light-abort.js";
import type { World } from "../../runtime/world.js";
import { indexNotFound, notReady } from "../http/api-errors.js";
import type { ProxyMetrics } from "../http/metrics.js";
import { waitForTopology } from "../topology/bounded-wait.js";
import type { IndexView, NodeView, TopologySource, TopologyView } from "../topology/topology-view.js";
import { deadlineOf } from "./deadlines.js";
import type { HedgeBudget } from "./hedge-budget.js";
import type { NodeHealth } from "./node-health.js";
import { NodeSends } from "./node-sends.js";
import { type Coverage, codesOf, type NodeAsk } from "./read-covers.js";
import type { IndexLatency, ReplicaLatencies } from "./replica-latency.js";
import type { ReplicaSelection } from "./replica-selection.js";
import { type Patience, type SecondTryOptions, withSecondTry } from "./second-try.js";

/** A request to a node's index, before it is known under which name the node holds the index. */
export interface IndexRequest {
  readonly method: NodeRequest["method"];
  /** What follows `/indexes/<name>`, beginning with a slash; empty for the index itself. */
  readonly path: string;
  /** JSON text. */
  readonly body?: string | Buffer;
  /** Further headers, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Uses the key that may read settings and statistics. */
  readonly asAdmin?: boolean;
}

/** What a read asks of every node that serves a part of the index. */
export interface ShardRead {
  /** The requests for one node; all of them must be answered. `parts` is `one` where it alone serves the index. */
  requests(ask: NodeAsk, parts: "one" | "many", index: IndexView): readonly IndexRequest[];
  /** Whether the read can do without the request that a node refused; never unless given. `at` counts from 0. */
  toleratesRefusal?(at: number, response: NodeResponse): boolean;
}

/** What one node answered to its requests, in their order. */
export interface NodeAnswer {
  readonly ask: NodeAsk;
  readonly responses: readonly NodeResponse[];
}

/** What could be read. */
export interface ShardReadResult {
  readonly index: IndexView;
  readonly view: TopologyView;
  readonly parts: "one" | "many";
  /** In ascending order of the lowest shard, which does not change from request to request as the nodes do. */
  readonly answers: readonly NodeAnswer[];
  /** Shards that no replica could be read of, ascending. */
  readonly missing: readonly number[];
}

/** A node understood a request and refused it: what the client asked for is at fault, and every node would say the same. */
export class NodeRefusedError extends Error {
  override readonly name = "NodeRefusedError";

  constructor(
    readonly node: NodeView,
    /** The name under which the node was asked. */
    readonly physicalName: string,
    readonly response: NodeResponse,
  ) {
    super(`node ${node.id} refused with status ${response.status}`);
  }
}

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
/** How long a read waits for a topology that explains why a node does not know the index. Milliseconds. */
const TOPOLOGY_WAIT_MS = 250;

/** No node is excluded. */
const NONE: ReadonlySet<string> = new Set();

interface Covered {
  readonly answers: readonly NodeAnswer[];
  readonly missing: readonly number[];
}

/** The index is not where the topology in hand says; a newer one may know better. */
class IndexMovedError extends Error {
  override readonly name = "IndexMovedError";
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
class ReadPass {
  private readonly latency: IndexLatency;
  private readonly sends: NodeSends;

  constructor(
    private readonly dependencies: ShardReaderDependencies,
    private readonly options: ShardReaderOptions,
    private readonly view: TopologyView,
    private readonly index: IndexView,
    private readonly shardRead: ShardRead,
    /** By node: the name under which it last knew the index, where that is not the topology's. */
    private readonly names: Map<string, string>,
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
        this.ask(only, "one", replacement === undefined, stop, mayRestart).then(
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
        this.ask(ask, "many", replacement === undefined, stop, mayRestart).then(
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
    this.ask(ask, parts, false, new LightAbort(), false).catch(() => undefined);
  }

  /** All requests to one node, under the name that it knows the index by. */
  private async ask(
    ask: NodeAsk,
    parts: "one" | "many",
    isLast: boolean,
    signal: AbortSignal,
    mayRestart: boolean,
  ): Promise<NodeAnswer> {
    this.dependencies.hedges.earn();
    for (const name of this.namesToTry(ask.node)) {
      // Under another name the node may hold shards of which this topology does not tell.
      const asked =
        name === this.index.physicalName ? ask : { ...ask, filter: codesOf(this.index, ask.shards) };
      const requests = this.shardRead.requests(asked, parts, this.index);
      const sent = requests.map((request) => this.sends.send(ask.node, name, request, isLast, signal));
      const responses =
        sent[0] !== undefined && sent.length === 1 ? [await sent[0]] : await Promise.all(sent);
      if (responses.some(isIndexNotFound)) continue;
      if (name !== this.index.physicalName) this.names.set(ask.node.id, name);
      const refusal = responses.find(
        (response, at) => response.status >= 400 && this.shardRead.toleratesRefusal?.(at, response) !== true,
      );
      if (refusal === undefined) return { ask: asked, responses };
      // A node that has created the index may not have its first settings yet, which Miroir's own requests rest on.
      if (mayRestart && isBeingCreated(this.index) && (await this.indexChanges(isCreated, signal))) {
        throw new IndexMovedError("the index is complete now");
      }
      throw new NodeRefusedError(ask.node, name, refusal);
    }
    this.names.delete(ask.node.id);
    if (isBeingCreated(this.index)) throw indexNotFound(this.index.uid);
    const { instance, physicalName: known } = this.index;
    const hasMoved = (index: IndexView | undefined): boolean =>
      index?.instance !== instance || index.physicalName !== known;
    if (mayRestart && (await this.indexChanges(hasMoved, signal)))
      throw new IndexMovedError("the index moved");
    throw new NodeUnavailableError(ask.node.id, "unknown", `it does not know ${this.index.physicalName}`);
  }

  /**
   * A rename may wait behind the node's queue, or have run before the topology that tells of it arrived. Where replicas are given up,
   * the generation grows by two, so that nobody who knows nothing of it comes upon them (invariant 5).
   */
  private *namesToTry(node: NodeView): Generator<string, void> {
    const { instance, generation, physicalName: current } = this.index;
    const usual = this.names.get(node.id) ?? current;
    yield usual;
    const others = new Set([current, physicalName(instance, generation + 1n)]);
    for (const earlier of [generation - 1n, generation - 2n]) {
      if (earlier > 0n) others.add(physicalName(instance, earlier));
    }
    others.delete(usual);
    yield* others;
    // Once more, because a rename that runs between two tries hides the index from both.
    yield usual;
    yield* others;
  }

  /** Whether, now or within a moment, a topology says of the index what is waited for. */
  private async indexChanges(
    awaited: (index: IndexView | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const limits = { timeoutMs: Math.min(TOPOLOGY_WAIT_MS, this.sends.remainingMs()), signal };
    try {
      await waitForTopology(this.dependencies, (view) => awaited(view.indexes.get(this.index.uid)), limits);
      return true;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }
}

function isIndexNotFound(response: NodeResponse): boolean {
  return response.status === 404 && parseErrorBody(response.body)?.code === "index_not_found";
}

/** The nodes have not run the creation yet: an index's settings are read back from them once they have. */
function isBeingCreated(index: IndexView): boolean {
  return index.generation === 1n && index.settings.rankingRules === undefined;
}

function isCreated(index: IndexView | undefined): boolean {
  return index === undefined || !isBeingCreated(index);
}

/** Errors that no other replica can mend. */
function isFinal(error: unknown): boolean {
  return !(error instanceof NodeUnavailableError);
}
