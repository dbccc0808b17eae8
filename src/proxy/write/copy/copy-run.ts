import { ShardCopyStep } from "../../../gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../../placement/physical-name.js";
import type { ShardHasher } from "../../../placement/shard.js";
import type { CopyStep, CopyView, IndexView, NodeView, TopologyView } from "../../topology/topology-view.js";
import type { IndexWriter } from "../index-writer.js";
import type { Standing } from "../standing.js";
import { waitForTopology } from "../topology-wait.js";
import type { WriteCore } from "../write-core.js";
import type { CopyProgressReport } from "./copy-progress.js";
import type { TrackerFault } from "./copy-tracker.js";
import type { DocumentsOnNode } from "./node-documents.js";

/** The copy is at another step, is gone, or is another proxy's by now: what was begun is not to be continued. */
export class CopyMovedOnError extends Error {
  override readonly name = "CopyMovedOnError";
}

/** The copy cannot go on for now, for a reason that may pass. */
export class CopyWaitsError extends Error {
  override readonly name: string = "CopyWaitsError";
}

/** A node has run a task of the copy, and it failed. */
export class CopyTaskFailedError extends CopyWaitsError {
  override readonly name = "CopyTaskFailedError";

  constructor(
    readonly nodeId: string,
    what: string,
    /** The task's error as the node names it; undefined for a task that was cancelled. */
    readonly code: string | undefined,
    reason: string,
  ) {
    super(`node ${nodeId} failed (${what}): ${reason}`);
  }
}

const STEPS: Readonly<Record<CopyStep, ShardCopyStep>> = {
  planned: ShardCopyStep.PLANNED,
  copying: ShardCopyStep.COPYING,
  switched: ShardCopyStep.SWITCHED,
  dropping: ShardCopyStep.DROPPING,
  cleaning: ShardCopyStep.CLEANING,
};

/** A copy as it stands. */
export interface CopyState {
  readonly view: TopologyView;
  readonly index: IndexView;
  readonly copy: CopyView;
}

/** What a writer needs to work on one step of one copy. */
export class CopyRun {
  constructor(
    readonly core: WriteCore,
    readonly hasher: ShardHasher,
    readonly instance: string,
    readonly copyId: string,
    readonly step: CopyStep,
    readonly progress: CopyProgressReport,
    readonly faults: ReadonlySet<TrackerFault> | undefined,
  ) {}

  /**
   * The copy in the newest topology.
   *
   * @throws CopyMovedOnError
   */
  look(): CopyState {
    const { topology, lease, writers } = this.core.context;
    const view = topology.current();
    const index = view?.byInstance.get(this.instance);
    const copy = index?.copy;
    if (view === undefined || index === undefined || copy?.id !== this.copyId || copy.step !== this.step) {
      throw new CopyMovedOnError(`copy ${this.copyId} is not ${this.step} any more`);
    }
    if (lease.state().kind !== "held" || !writers.isOwn(index)) {
      throw new CopyMovedOnError("another proxy writes the index");
    }
    return { view, index, copy };
  }

  /** @throws CopyWaitsError for a node that the topology does not have */
  node(nodeId: string): NodeView {
    const node = this.look().view.nodes.get(nodeId);
    if (node === undefined) throw new CopyWaitsError(`node ${nodeId} is not in the topology`);
    return node;
  }

  /** Where a node's documents of the index are read, under its newest name. */
  documentsOn(nodeId: string): DocumentsOnNode {
    const { index } = this.look();
    const known = this.core.writerOf(this.instance).generation() ?? index.generation;
    const generation = known > index.generation ? known : index.generation;
    return {
      calls: this.core.context.calls,
      node: this.node(nodeId),
      physicalName: physicalName(this.instance, generation),
    };
  }

  /**
   * Runs `work` in the index's lane, with this proxy as its writer and the copy at its step, and measures how long it holds writes back.
   *
   * @throws CopyMovedOnError
   */
  async inLane<T>(
    work: (writer: IndexWriter, standing: Standing, state: CopyState) => Promise<T>,
  ): Promise<T> {
    const { uid } = this.look().index;
    let done: { readonly value: T } | undefined;
    await this.core.copyTurn(uid, async () => {
      // Under another name by now, its writes wait in another lane.
      if (this.look().index.uid !== uid) throw new CopyWaitsError("the index has another name now");
      const { clock } = this.core.context.world;
      const writer = this.core.writerOf(this.instance);
      const standing = await writer.prepare();
      const begun = clock.monotonic();
      try {
        done = { value: await work(writer, standing, this.look()) };
      } finally {
        const pauseMs = clock.monotonic() - begun;
        this.progress.pauseMs = Math.max(this.progress.pauseMs, pauseMs);
        this.core.context.metrics.copyPaused(this.step, pauseMs / 1_000);
      }
    });
    if (done === undefined) throw new CopyMovedOnError("the proxy takes no more writes");
    return done.value;
  }

  /**
   * Has the control plane take the copy's next step, and waits until this proxy's topology tells of it.
   *
   * @param next undefined to end the copy
   * @param waitForProxies answer once all proxies know the topology
   */
  async advance(next: CopyStep | undefined, waitForProxies = false): Promise<void> {
    const { control, lease, config } = this.core.context;
    const { index } = this.look();
    const answer = await control.advanceCopy(
      {
        instance: this.instance,
        copyId: this.copyId,
        expectedStep: STEPS[this.step],
        nextStep: next === undefined ? ShardCopyStep.UNSPECIFIED : STEPS[next],
        expectedGeneration: this.core.writerOf(this.instance).generation() ?? index.generation,
        writer: { proxyId: lease.proxyId, session: lease.session },
        waitForProxies,
      },
      { timeoutMs: config.controlTimeoutMs },
    );
    await this.core.catalogue.waitForEpoch(answer.epoch);
  }

  /** Waits until this proxy's topology tells of the generation at which it left the index. */
  async caughtUp(): Promise<void> {
    const { context } = this.core;
    await waitForTopology(context, (view) => {
      const index = view.byInstance.get(this.instance);
      const known = this.core.writerOf(this.instance).generation();
      return index === undefined || known === undefined || index.generation >= known;
    });
  }
}
