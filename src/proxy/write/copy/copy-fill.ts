import { MeilisearchError } from "../../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../../meilisearch/transport.js";
import { shardCondition } from "../../../merge/shard-filter.js";
import { ControlUnavailableError } from "../../control-transport.js";
import type { IndexWriter } from "../index-writer.js";
import type { LaneWatch } from "../lane-watch.js";
import type { Standing } from "../standing.js";
import { CopyRounds } from "./copy-rounds.js";
import { type CopyRun, CopyWaitsError } from "./copy-run.js";
import { CopyTracker } from "./copy-tracker.js";
import type { CopyUnit } from "./copy-unit.js";
import { isSource } from "./fill-plan.js";
import { followTasks } from "./follow-tasks.js";
import { listShard } from "./node-documents.js";
import { waitUntilDone } from "./node-queue.js";
import { Standstill } from "./standstill.js";

/** Keys of listed shards held at once; the next shard is listed when fewer are left. */
const MAX_LISTED_KEYS = 1_000_000;
/** Pause where nothing can be read for the moment. Milliseconds. */
const PAUSE_MS = 50;
/** How long steps may fail before the copy is begun anew, and the pause behind one that did. Milliseconds. */
const PATIENCE_MS = 30_000;
const AFTER_FAILURE_MS = 500;
/** A target does not hold the index under its name, although it has run all that it was sent. */
export class TargetLostError extends Error {
  override readonly name = "TargetLostError";

  constructor(
    readonly nodeId: string,
    options: ErrorOptions,
  ) {
    super(`node ${nodeId} has lost the index`, options);
  }
}

/**
 * Makes the targets of `units` equal to their sources while the index goes on being written (design §7), and then runs `atEnd` in the lane, with
 * every document equal but for writes that both sides have received.
 *
 * @throws CopyMovedOnError, CopyWaitsError, TargetLostError, NodeUnavailableError, MeilisearchError: it is to be begun anew, which costs
 * reading, and sends only what still differs
 */
export async function fillUnits(
  run: CopyRun,
  units: readonly CopyUnit[],
  atEnd: (writer: IndexWriter, standing: Standing) => Promise<void>,
): Promise<void> {
  await new Filling(run, units).finish(atEnd);
}

class Filling {
  readonly #tracker: CopyTracker;
  readonly #watch: LaneWatch;
  readonly #rounds: CopyRounds;
  readonly #run: CopyRun;
  readonly #units: readonly CopyUnit[];
  #lost: Error | undefined;
  readonly #standstill: Standstill;
  /** When a step came through last, in monotonic milliseconds. */
  #wellAt: number;

  constructor(run: CopyRun, units: readonly CopyUnit[]) {
    const { index } = run.look();
    this.#run = run;
    this.#units = units;
    this.#tracker = new CopyTracker(units, {
      shardOf: (key) => run.hasher.shardOf(key, index.shards),
      ...(run.faults === undefined ? {} : { faults: run.faults }),
    });
    this.#rounds = new CopyRounds(run, this.#tracker, () => this.#check());
    this.#watch = this.#watchWrites();
    const { clock } = run.core.context.world;
    this.#standstill = new Standstill(clock);
    this.#wellAt = clock.monotonic();
  }

  async finish(atEnd: (writer: IndexWriter, standing: Standing) => Promise<void>): Promise<void> {
    const { core, instance, progress } = this.#run;
    progress.documentsTotal = 0;
    await this.#run.inLane(async (writer) => writer.watch(this.#watch));
    try {
      await this.#waitForNodes();
      while (!(await this.#patiently(() => this.#step(atEnd)))) {
        progress.documentsLeft = this.#tracker.left();
        this.#tellStandstill();
        await progress.report();
      }
    } finally {
      const writer = core.writerOf(instance);
      if (writer.isWatchedBy(this.#watch)) writer.watch(undefined);
    }
  }

  /** One step; true once it was the last. */
  async #step(atEnd: (writer: IndexWriter, standing: Standing) => Promise<void>): Promise<boolean> {
    const { world, closed } = this.#run.core.context;
    this.#check();
    await followTasks(this.#run, this.#tracker);
    await this.#listNext();
    if (this.#tracker.isDone()) return this.#end(atEnd);
    if (this.#rounds.isRestless()) return this.#holdToEnd(atEnd);
    if (!(await this.#rounds.next())) await world.timers.sleep(PAUSE_MS, closed);
    return false;
  }

  /**
   * Takes what a node or the control plane fails to answer for what passes, for a while: what was learnt so far stays true as long as no
   * write has passed unseen.
   */
  async #patiently(step: () => Promise<boolean>): Promise<boolean> {
    const { world, closed } = this.#run.core.context;
    try {
      const isLast = await step();
      this.#wellAt = world.clock.monotonic();
      return isLast;
    } catch (error) {
      this.#check();
      const passes =
        error instanceof NodeUnavailableError ||
        error instanceof MeilisearchError ||
        error instanceof ControlUnavailableError ||
        error instanceof CopyWaitsError;
      if (!passes || world.clock.monotonic() - this.#wellAt >= PATIENCE_MS) throw error;
      this.#run.progress.lastError = error.message;
      await world.timers.sleep(AFTER_FAILURE_MS, closed);
      return false;
    }
  }

  #watchWrites(): LaneWatch {
    const tracker = this.#tracker;
    return {
      sending: (sequence, touch) => {
        // Behind the switch the targets are filled, and get it.
        const passesBy = touch.passesBy && this.#run.step === "copying";
        if (passesBy) this.#rounds.unsettled();
        tracker.sending(sequence, { ...touch, passesBy });
      },
      settled: (sequence, touch, outcome) => {
        if (outcome.kind === "lost") {
          this.#lost = outcome.cause;
          return;
        }
        const nodeTasks = outcome.kind === "not-made" ? [] : outcome.nodeTasks;
        const tasks = new Map(nodeTasks.map(({ nodeId, nodeTaskUid }) => [nodeId, nodeTaskUid]));
        tracker.settled(sequence, touch, tasks, outcome.kind === "refused" && outcome.partly);
      },
    };
  }

  /** @throws CopyMovedOnError, CopyWaitsError where what was learnt so far is not the whole truth any more */
  #check(): void {
    const state = this.#run.look();
    const { index, view } = state;
    if (this.#lost !== undefined) throw new CopyWaitsError("a write was lost", { cause: this.#lost });
    if (!this.#run.core.writerOf(this.#run.instance).isWatchedBy(this.#watch)) {
      throw new CopyWaitsError("writes have passed unseen");
    }
    for (const unit of this.#units) {
      const { shard, from, to } = unit;
      if (!isSource(state, unit)) {
        throw new CopyWaitsError(`node ${from} is not a copy of shard ${shard} in sync any more`);
      }
      if (!view.nodes.has(to) || (index.replicas.get(to) ?? "stale") === "stale") {
        throw new CopyWaitsError(`node ${to} does not receive writes any more`);
      }
    }
  }

  /** Until all that was sent before the copy began has been run on both sides; renames come before it. */
  async #waitForNodes(): Promise<void> {
    const nodeIds = new Set(this.#units.flatMap(({ from, to }) => [from, to]));
    this.#run.progress.waitingFor = "nodes to finish what they were sent before";
    await Promise.all(
      [...nodeIds].map((nodeId) =>
        waitUntilDone(this.#run.core.context, this.#run.node(nodeId), () => {
          this.#check();
          this.#tellStandstill();
        }),
      ),
    );
    this.#run.progress.waitingFor = "";
  }

  /** Failures of steps that are only taken again, and nodes that run nothing, are seen here if they last. */
  #tellStandstill(): void {
    const { core, copyId, step, progress } = this.#run;
    const { documentsTotal, documentsLeft, documentsCopied, documentsDeleted } = progress;
    const { waitingFor, lastError } = progress;
    const stillMs = this.#standstill.look(
      `${documentsTotal} ${documentsLeft} ${documentsCopied} ${documentsDeleted} ${waitingFor}`,
    );
    if (stillMs === undefined) return;
    const openTasks = Object.fromEntries(
      [...this.#tracker.nodesWithOpenTasks()].map((id) => [id, this.#tracker.openTasks(id).length]),
    );
    core.context.logger.warn(
      { copy: copyId, step, stillMs, documentsLeft, openTasks, waitingFor, lastError },
      "a copy stands still",
    );
  }

  async #listNext(): Promise<void> {
    const { progress } = this.#run;
    for (const listing of this.#tracker.unlisted()) {
      const { unit } = listing;
      if (this.#tracker.left() > MAX_LISTED_KEYS) return;
      const primaryKey = this.#run.look().index.primaryKey;
      const keys = new Set<string>();
      if (primaryKey !== undefined) {
        for (const nodeId of [unit.from, unit.to]) {
          for (const key of await this.#keysOn(nodeId, unit, primaryKey)) keys.add(key);
        }
      }
      this.#check();
      const strays = this.#tracker.list(listing, keys);
      if (strays.length > 0) await this.#rounds.remove(unit.to, strays);
      progress.documentsTotal += keys.size;
    }
  }

  async #keysOn(nodeId: string, { shard, to }: CopyUnit, primaryKey: string): Promise<Iterable<string>> {
    for (let isSecond = false; ; isSecond = true) {
      try {
        return (await listShard(this.#run.documentsOn(nodeId), shardCondition([shard]), primaryKey)).keys();
      } catch (error) {
        if (!(error instanceof MeilisearchError) || error.body.code !== "index_not_found") throw error;
        // A rename may be under way, for another reason.
        if (isSecond && nodeId === to) throw new TargetLostError(nodeId, { cause: error });
        if (isSecond) throw error;
        await waitUntilDone(this.#run.core.context, this.#run.node(nodeId), () => this.#check());
      }
    }
  }

  /** Holds writes back for a moment, where they bring as much to copy as is copied meanwhile. */
  async #holdToEnd(atEnd: (writer: IndexWriter, standing: Standing) => Promise<void>): Promise<boolean> {
    return this.#run.inLane(async (writer, standing) => {
      if (!(await this.#rounds.holding(writer))) return false;
      await atEnd(writer, standing);
      return true;
    });
  }

  async #end(atEnd: (writer: IndexWriter, standing: Standing) => Promise<void>): Promise<boolean> {
    return this.#run.inLane(async (writer, standing) => {
      this.#check();
      if (!this.#tracker.isDone()) return false;
      await atEnd(writer, standing);
      return true;
    });
  }
}
