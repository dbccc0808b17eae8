import { formatTaskMetadata, OWN_TASK_UID } from "../../meilisearch/task-metadata.js";
import type { IndexView } from "../topology/topology-view.js";
import { type CopyGeneration, renameJoiners } from "./copy/copy-generation.js";
import { changeGeneration, type WriterContext, type WriterName } from "./generation-change.js";
import { claimIndex, lookUp, requireChoice, requireLease } from "./index-claim.js";
import {
  type IndexWrite,
  readyStanding,
  type SentWrite,
  type SettledWrite,
  type WriterState,
} from "./index-write.js";
import type { LaneWatch } from "./lane-watch.js";
import { reasonOf } from "./node-calls.js";
import { requireQuorum } from "./quorum.js";
import { controlAway, indexBlocked } from "./refusals.js";
import { keepers, losable, recipients, type Standing, standingOf, targetsOf } from "./standing.js";
import { waitForTopology } from "./topology-wait.js";
import { type Round, sendRounds } from "./write-rounds.js";
import {
  changeStanding,
  confirmed,
  isMadeNowhere,
  madeNowhere,
  neededCopies,
  type Sending,
  sendTo,
  settleWrite,
} from "./write-settlement.js";

const BEING_TAKEN_OVER = "it is being taken over from another writer";

/**
 * Sends one index's writes to its nodes, one after another (invariant 6): its caller calls one method at a time. Holds what
 * only the writer knows: the generation, and the place of the last write on each node.
 */
export class IndexWriter {
  private readonly state: WriterState;
  private claiming: Promise<void> | undefined;
  private claimingSince = 0;
  private settling: Promise<SettledWrite> | undefined;
  /** What is still to be settled, or to go out, of a write in rounds. */
  private finishing: Promise<SettledWrite> | undefined;
  private blockedBy = "";
  private watcher: LaneWatch | undefined;

  constructor(
    private readonly context: WriterContext,
    readonly instance: string,
    nextSequence: () => number,
  ) {
    this.state = {
      instance,
      standing: undefined,
      unsure: false,
      previous: new Map(),
      heard: new Map(),
      nextSequence,
    };
  }

  /** The generation at which this proxy last left the index; undefined where it is not its writer. */
  generation(): bigint | undefined {
    return this.state.standing?.generation;
  }

  /**
   * Tells `watch` of every write from now on, and no other. Only in the lane, of a writer that is prepared; ends where the index has to be
   * claimed anew.
   */
  watch(watch: LaneWatch | undefined): void {
    this.watcher = watch;
  }

  /** Whether `watch` has been told of every write since it began. */
  isWatchedBy(watch: LaneWatch): boolean {
    return this.watcher === watch;
  }

  /** Why the index takes no writes; undefined where it does. */
  blocked(): string | undefined {
    const isFree = this.settling === undefined && this.claiming === undefined && this.finishing === undefined;
    return isFree ? undefined : this.blockedBy;
  }

  /**
   * Makes sure that this proxy is the index's writer and knows where it stands (invariant 7).
   *
   * @throws MeilisearchError 503; nothing was sent
   * @throws IndexGoneError
   */
  async prepare(): Promise<Standing> {
    const { context, state } = this;
    requireLease(context);
    if (this.settling !== undefined || this.finishing !== undefined) {
      throw indexBlocked(this.uid(), this.blockedBy);
    }
    let { view, index } = lookUp(context, this.instance);
    const known = state.standing;
    if (known !== undefined && index.generation < known.generation) {
      await this.topologyWith((candidate) => candidate.generation >= known.generation);
      ({ view, index } = lookUp(context, this.instance));
    }
    const isMine = index.writer?.session === context.lease.session;
    if (known !== undefined && isMine && index.generation === known.generation) {
      state.standing = standingOf(view, index);
      return state.standing;
    }
    state.standing = undefined;
    requireChoice(context, index);
    await this.claim();
    if (state.standing === undefined) throw indexBlocked(this.uid(), this.blockedBy);
    return state.standing;
  }

  /**
   * Checks that enough copies of every touched shard can be reached (invariant 4).
   *
   * @throws MeilisearchError `miroir_no_quorum`
   */
  async checkQuorum(touched: readonly number[] | "all"): Promise<void> {
    await requireQuorum(this.context, this.state, touched);
  }

  /** Sends a write to every node that has to hold it, and settles what went wrong. */
  async send(write: IndexWrite): Promise<SentWrite> {
    const watch = write.taskUid === OWN_TASK_UID ? undefined : this.watcher;
    if (watch === undefined) return this.sendAs(write, this.state.nextSequence());
    const touch = {
      shards: write.touched,
      keys: await write.keys?.(),
      overwrites: write.overwrites === true,
      passesBy: write.onlyWhereFilled === true,
    };
    const sequence = this.state.nextSequence();
    watch.sending(sequence, touch);
    const sent = await this.sendAs(write, sequence);
    if (sent.kind !== "unknown") watch.settled(sequence, touch, sent);
    else
      sent.settled.then(
        (settled) => watch.settled(sequence, touch, settled),
        () => undefined,
      );
    return sent;
  }

  private async sendAs(write: IndexWrite, sequence: number): Promise<SentWrite> {
    const { context, state } = this;
    const targets = new Map(
      [
        ...targetsOf(readyStanding(state), write.touched, write.onlyWhereFilled ? keepers : recipients),
      ].filter(([id]) => write.only?.has(id) ?? true),
    );
    const { session } = context.lease;
    const sending: Sending = {
      write,
      sequence,
      targets,
      metadata: (nodeId) => {
        const previous = state.previous.get(nodeId) ?? 0;
        return formatTaskMetadata({ session, sequence, previous, taskUid: Number(write.taskUid) });
      },
      accepted: new Map(),
      failed: new Map(),
      doubtful: false,
    };
    await Promise.all([...targets.keys()].map((nodeId) => sendTo(context, state, sending, nodeId)));
    if (isMadeNowhere(sending)) return madeNowhere(sending);
    const isEarly = context.testFaults?.earlyAcknowledgement === true && sending.accepted.size > 0;
    const settled = sending.failed.size === 0 || isEarly ? confirmed(context, state, sending) : undefined;
    return settled ?? this.settleWithin(sending);
  }

  /** {@link send} in parts, one after another; the index takes no other write until all of them are settled. */
  async sendInRounds(write: Omit<IndexWrite, "touched">, rounds: readonly Round[]): Promise<SentWrite> {
    const sent = await sendRounds((touched) => this.send({ ...write, touched }), rounds);
    if (sent.kind !== "unknown") return sent;
    const { settled } = sent;
    this.finishing = settled;
    const clear = () => {
      if (this.finishing === settled) this.finishing = undefined;
    };
    settled.then(clear, clear);
    return sent;
  }

  /**
   * Takes replicas that the control plane holds for divergent out of the index, by a new generation without them. Does nothing
   * where no shard could spare them.
   */
  async shedSuspects(): Promise<void> {
    const standing = await this.prepare();
    const minLeft = neededCopies(this.context, standing);
    const stale = losable(standing, standing.suspects, minLeft);
    if (stale.size === 0) return;
    await changeStanding(this.context, this.state, { standing, stale, minLeft, why: "stale" });
  }

  /**
   * Passes the index on to another proxy, by a new generation of which that one is the writer: what this proxy has sent comes before all that the
   * other one sends. Only between two writes, when none is being settled.
   *
   * @returns whether the other one is the writer now
   */
  async passOn(successor: WriterName): Promise<boolean> {
    const { context, state } = this;
    const standing = await this.prepare();
    state.standing = undefined;
    // Until the outcome is certain, and for good where it never is: what is not known is fenced before this proxy writes again.
    state.unsure = true;
    const stale = new Set<string>();
    const outcome = await changeGeneration(context, { standing, stale, why: "hand-over", successor });
    if (outcome.kind === "lost") return false;
    state.unsure = false;
    return outcome.lost.size === 0;
  }

  /**
   * Gives the index a new generation for a step of its copy. Only in the lane, of a writer that is prepared.
   *
   * @returns why a node that was to join did not take the new name; nothing has changed then
   */
  async stepCopy(step: CopyGeneration): Promise<Error | undefined> {
    const standing = readyStanding(this.state);
    const refusal = await renameJoiners(this.context, standing, step);
    if (refusal !== undefined) return refusal;
    const minLeft = neededCopies(this.context, standing);
    const change = { standing, stale: new Set<string>(), minLeft, why: "copy", step } as const;
    await changeStanding(this.context, this.state, change);
    return undefined;
  }

  /** Takes a replica out of the index, by a new generation without it. False where some shard could not spare it. Only in the lane. */
  async shed(nodeId: string): Promise<boolean> {
    const standing = readyStanding(this.state);
    const minLeft = neededCopies(this.context, standing);
    const stale = losable(standing, [nodeId], minLeft);
    if (stale.size === 0) return false;
    await changeStanding(this.context, this.state, { standing, stale, minLeft, why: "stale" });
    return true;
  }

  private uid(): string {
    return this.context.topology.current()?.byInstance.get(this.instance)?.uid ?? this.instance;
  }

  private async topologyWith(predicate: (index: IndexView) => boolean): Promise<void> {
    try {
      await waitForTopology(this.context, (view) => {
        const index = view.byInstance.get(this.instance);
        return index === undefined || predicate(index);
      });
    } catch (error) {
      throw controlAway("the index's newest topology", error);
    }
  }

  /** Waits for the claim, but no longer than a client may be kept waiting; it goes on by itself. */
  private async claim(): Promise<void> {
    const now = this.context.world.clock.monotonic();
    if (this.claiming !== undefined && now - this.claimingSince >= this.context.config.settleHoldMs) return;
    if (this.claiming === undefined) {
      this.claimingSince = now;
      this.watcher = undefined;
      this.blockedBy = BEING_TAKEN_OVER;
      const blockedBy = (why: string) => {
        this.blockedBy = why;
      };
      this.claiming = claimIndex(this.context, this.state, blockedBy).finally(() => {
        this.claiming = undefined;
      });
      // Whoever waits below sees the failure; without a handler it would count as unhandled when nobody does any more.
      this.claiming.catch(() => undefined);
    }
    await this.withinHold(this.claiming);
  }

  private async withinHold<T>(work: Promise<T>): Promise<T | undefined> {
    const { world, config } = this.context;
    const done = new AbortController();
    const held = world.timers.sleep(config.settleHoldMs, done.signal).then(
      () => undefined,
      () => undefined,
    );
    try {
      return await Promise.race([work, held]);
    } finally {
      done.abort(new Error("done"));
    }
  }

  private async settleWithin(sending: Sending): Promise<SentWrite> {
    const lease = this.context.lease.state();
    const reasons = [...sending.failed].map(([nodeId, outcome]) => `node ${nodeId}: ${reasonOf(outcome)}`);
    this.blockedBy = [...reasons, ...(lease.kind === "none" ? [lease.reason] : [])].join("; ");
    const settling = settleWrite(this.context, this.state, sending);
    this.settling = settling;
    const clear = () => {
      if (this.settling === settling) this.settling = undefined;
    };
    settling.then(clear, clear);
    try {
      return (await this.withinHold(settling)) ?? { kind: "unknown", settled: settling };
    } catch (error) {
      // The proxy gave up in the middle: all that is known is that nothing is known.
      this.context.logger.warn({ err: error, instance: this.instance }, "settling a write was broken off");
      return { kind: "unknown", settled: settling };
    }
  }
}
