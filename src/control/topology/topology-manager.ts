import { create } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { type Epoch, EpochSchema, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import {
  ConflictError,
  FencedError,
  type FencingToken,
  StoreError,
  type TopologyEpoch,
  type TopologyRow,
  type TopologyTable,
} from "../../store/task-store.js";
import { contentHash } from "../../topology/content-hash.js";
import { compareEpochs, formatEpoch, nextEpoch } from "../../topology/epoch.js";
import { topologyBytes } from "../../topology/topology-bytes.js";
import { TopologyInconsistentError, topologyFaults } from "./consistency.js";
import { markProtocol, type Speaker } from "./protocol-gate.js";
import { loadTopology } from "./stored-topology.js";
import { draftOf } from "./topology-draft.js";
import { TopologyHistory } from "./topology-history.js";

/** Changes that may wait for their turn. */
const MAX_PENDING = 10_000;

/** Another writer has changed the stored topology; it has been read again, and the change may be tried again. */
export class TopologyConflictError extends Error {
  override readonly name = "TopologyConflictError";
}

/** The topology cannot be changed: this control plane leads no term, or too many changes wait. */
export class TopologyUnavailableError extends Error {
  override readonly name = "TopologyUnavailableError";
}

/**
 * The store does not hold the cluster that it is known to have held: it was emptied, or exchanged for another. A
 * topology made from it would take every index away from the proxies, so none is.
 */
export class ClusterLostError extends Error {
  override readonly name = "ClusterLostError";

  constructor(clusterId: string, found: string | undefined) {
    super(
      `the store no longer holds cluster ${clusterId}: it ${found === undefined ? "was emptied" : `holds cluster ${found} now`}. ` +
        "Proxies go on reading and refuse another cluster. Restore the store's backup, or point the store at the right place.",
    );
  }
}

/** A topology that has just been published. */
export interface TopologyChange {
  readonly topology: Topology;
  /** Why, as its author said. */
  readonly reason: string;
}

/** Owns the one topology document: every change of it is made, checked, stored and announced here. */
export interface TopologyManager {
  /**
   * The newest published topology. It is never changed in place; callers must not either. Throws
   * {@link TopologyUnavailableError} before the first term.
   */
  current(): Topology;
  /** What this process published, as far as it is remembered. */
  readonly history: TopologyHistory;
  /**
   * Changes the topology. `mutate` gets a draft of the newest topology that is its own to change; it runs
   * synchronously, alone, and may throw to give up. A draft that ends as it began publishes nothing. Resolves with
   * the topology that holds the change, stored and published.
   *
   * Rejects with what `mutate` threw, {@link TopologyInconsistentError}, {@link ProtocolBehindError}, {@link TopologyConflictError},
   * {@link TopologyUnavailableError} or a `StoreError`. Where that error's outcome is `maybe-executed`, the change
   * may be stored; if it is, it is published before the next change.
   */
  change(reason: string, mutate: (draft: Topology) => void): Promise<Topology>;
  /**
   * Begins a leader's term: reads the stored topology and publishes it as the first epoch of the fence's term
   * (invariant 1); a fresh store gets the initial topology. Changes are stored under `fence` from now on.
   * Rejects where the stored topology's term is above the fence's, and with {@link ClusterLostError}.
   */
  beginTerm(fence: FencingToken): Promise<Topology>;
  /** Refuses changes until the next term begins. */
  endTerm(): void;
  /** Calls back after each publication; returns the function that ends it. */
  onChange(listener: (change: TopologyChange) => void): () => void;
}

/** What {@link createTopologyManager} works with. */
export interface TopologyManagerOptions {
  readonly table: TopologyTable;
  readonly logger: Logger;
  /** The topology of a fresh cluster. Its epoch's cluster id names the cluster; the rest of the epoch is ignored. */
  readonly initial: Topology;
  /** The cluster that the store was seen to hold; undefined for a store that was fresh. */
  readonly clusterId?: string | undefined;
  /** The processes that have to understand the topology; none unless given. */
  readonly speakers?: () => readonly Speaker[];
}

/** A manager without a term: {@link TopologyManager.beginTerm} must have resolved before it has a topology. */
export function createTopologyManager(options: TopologyManagerOptions): TopologyManager {
  return new Manager(options);
}

type Term =
  | { readonly kind: "none" }
  /** `unsure`: the outcome of the last write is not known, so that the stored topology must be read first. */
  | { readonly kind: "begun"; readonly fence: FencingToken; readonly unsure: boolean };

class Manager implements TopologyManager {
  readonly history = new TopologyHistory();
  readonly #options: TopologyManagerOptions;
  readonly #listeners = new Set<(change: TopologyChange) => void>();
  #current: Topology | undefined;
  #term: Term = { kind: "none" };
  #pending = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: TopologyManagerOptions) {
    this.#options = options;
  }

  current(): Topology {
    if (this.#current === undefined) {
      throw new TopologyUnavailableError("no topology yet: this control plane has not led a term");
    }
    return this.#current;
  }

  change(reason: string, mutate: (draft: Topology) => void): Promise<Topology> {
    return this.#alone(async () => {
      const base = await this.#settled();
      const { draft, finish } = draftOf(base);
      mutate(draft);
      const next = finish();
      markProtocol(base, next, reason, this.#options.speakers ?? (() => []));
      const hash = contentHash(next);
      if (hash === base.contentHash) return base;
      next.epoch = nextEpoch(epochOf(base));
      next.contentHash = hash;
      return await this.#publish(base, next, reason);
    });
  }

  beginTerm(fence: FencingToken): Promise<Topology> {
    return this.#alone(async () => {
      const stored = await loadTopology(this.#options.table);
      const known = this.#current?.epoch?.clusterId ?? this.#options.clusterId;
      if (known !== undefined && stored?.epoch?.clusterId !== known) {
        throw new ClusterLostError(known, stored?.epoch?.clusterId);
      }
      this.#term = { kind: "begun", fence, unsure: false };
      const term = BigInt(fence.term);
      const next = { ...(stored ?? this.#options.initial) };
      next.epoch = create(EpochSchema, {
        clusterId: epochOf(next).clusterId,
        term,
        // Another beginning of the same term, after one that failed halfway, goes on from what that stored.
        counter: stored?.epoch?.term === term ? stored.epoch.counter + 1n : 1n,
      });
      next.contentHash = contentHash(next);
      return await this.#publish(stored, next, stored === undefined ? "a fresh cluster" : "a new term");
    });
  }

  endTerm(): void {
    this.#term = { kind: "none" };
  }

  onChange(listener: (change: TopologyChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Runs `work` after everything asked for before it. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#pending >= MAX_PENDING) {
      throw new TopologyUnavailableError(`${MAX_PENDING} topology changes wait already; try again later`);
    }
    this.#pending += 1;
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    try {
      return await run;
    } finally {
      this.#pending -= 1;
    }
  }

  /** The newest topology, once it is certain which one is stored. */
  async #settled(): Promise<Topology> {
    this.#requireTerm();
    if (this.#term.kind === "begun" && this.#term.unsure) await this.#readAgain();
    return this.current();
  }

  #requireTerm(): FencingToken {
    if (this.#term.kind === "begun") return this.#term.fence;
    throw new TopologyUnavailableError(
      "the topology cannot be changed here: this control plane is not the leader",
    );
  }

  async #readAgain(): Promise<void> {
    const stored = await loadTopology(this.#options.table);
    if (this.#term.kind === "begun") this.#term = { ...this.#term, unsure: false };
    if (stored?.epoch === undefined) return;
    const held = this.#current?.epoch;
    if (held === undefined || compareEpochs(stored.epoch, held) === "higher") {
      this.#announce(stored, "read from the store");
    }
  }

  async #publish(expected: Topology | undefined, next: Topology, reason: string): Promise<Topology> {
    const faults = topologyFaults(expected, next);
    if (faults.length > 0) throw new TopologyInconsistentError(reason, faults);
    try {
      const base = expected === undefined ? undefined : rowEpoch(epochOf(expected));
      await this.#options.table.save(base, encode(next), this.#requireTerm());
    } catch (error) {
      await this.#afterFailedSave(error, reason);
      throw error;
    }
    this.#announce(next, reason);
    return next;
  }

  async #afterFailedSave(error: unknown, reason: string): Promise<void> {
    if (error instanceof FencedError) this.endTerm();
    if (error instanceof ConflictError) {
      await this.#readAgain();
      throw new TopologyConflictError(`the topology change "${reason}" met another writer; try it again`, {
        cause: error,
      });
    }
    const aborted = error instanceof StoreError && error.outcome === "certainly-aborted";
    if (!aborted && this.#term.kind === "begun") this.#term = { ...this.#term, unsure: true };
  }

  #announce(topology: Topology, reason: string): void {
    this.#current = topology;
    this.history.add(topology);
    this.#options.logger.info(
      { epoch: formatEpoch(topology.epoch), indexes: topology.indexes.length, reason },
      "topology published",
    );
    for (const listener of [...this.#listeners]) {
      try {
        listener({ topology, reason });
      } catch (error) {
        this.#options.logger.error({ err: error }, "a listener to topology changes failed");
      }
    }
  }
}

function epochOf(topology: Topology): Epoch {
  if (topology.epoch === undefined || topology.epoch.clusterId === "") {
    throw new TopologyUnavailableError("the topology has no epoch with a cluster id");
  }
  return topology.epoch;
}

function rowEpoch(epoch: Epoch): TopologyEpoch {
  return { clusterId: epoch.clusterId, term: Number(epoch.term), counter: Number(epoch.counter) };
}

function encode(topology: Topology): TopologyRow {
  return {
    ...rowEpoch(epochOf(topology)),
    document: topologyBytes(topology),
    contentHash: topology.contentHash,
  };
}
