import type { MeilisearchErrorBody } from "../../meilisearch/errors.js";
import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { formatTaskMetadata } from "../../meilisearch/task-metadata.js";
import { type NodeRequest, NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import { ControlRefusedError, ControlUnavailableError } from "../control-transport.js";
import type { IndexView, TopologyView } from "../topology/topology-view.js";
import { changeGeneration, isRecorded, type WriterContext } from "./generation-change.js";
import { type EnqueueOutcome, isClientFault, reasonOf } from "./node-calls.js";
import { controlAway, controlRefused, indexBlocked, noLease, noQuorum } from "./refusals.js";
import { allShards, copies, holders, losable, type Standing, standingOf, targetsOf } from "./standing.js";
import { claimFresh, DivergedReplicasError, takeOver } from "./take-over.js";

/** A write on its way to the nodes. */
export interface IndexWrite {
  readonly taskUid: bigint;
  /** The task's type as nodes print it. */
  readonly taskType: string;
  readonly touched: readonly number[] | "all";
  /**
   * `document` writes carry `customMetadata`; nodes take none with `settings` and `index` operations. All but the last go out with
   * the key that cannot create indexes, so that one that comes late under an old name fails (invariant 7).
   */
  readonly kind: "document" | "settings" | "index";
  /**
   * The request for one node.
   *
   * @param shards the touched shards that the node holds; empty for `touched: "all"`
   * @param metadata the `customMetadata` of a document write
   */
  request(shards: readonly number[], physicalIndex: string, metadata: string): NodeRequest;
}

/** What one node made of a write. */
export interface AcceptedNodeTask {
  readonly nodeId: string;
  readonly nodeTaskUid: number;
  readonly shards: readonly number[];
}

/** What became of a write that was sent. */
export type SettledWrite =
  /** Every in-sync replica of each touched shard holds it. */
  | {
      readonly kind: "accepted";
      readonly nodeTasks: readonly AcceptedNodeTask[];
      readonly degradedShards: readonly number[];
    }
  /** Nodes refused it for what it is; `partly` where some shards' nodes had taken their part. */
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly body: MeilisearchErrorBody;
      readonly partly: boolean;
      readonly nodeTasks: readonly AcceptedNodeTask[];
    }
  /** Another writer has the index now; what the write became shows in the nodes' logs alone. */
  | { readonly kind: "lost"; readonly cause: Error };

/** The answer to a write: settled, or `unknown` for now with the promise of its settling. */
export type SentWrite = SettledWrite | { readonly kind: "unknown"; readonly settled: Promise<SettledWrite> };

/** The index is not in the topology. */
export class IndexGoneError extends Error {
  override readonly name = "IndexGoneError";
}

interface Sending {
  readonly write: IndexWrite;
  readonly metadata: (nodeId: string) => string;
  readonly sequence: number;
  readonly targets: ReadonlyMap<string, readonly number[]>;
  readonly accepted: Map<string, number>;
  readonly failed: Map<string, EnqueueOutcome>;
}

/** How long after an answer a node is taken to be there without asking. Milliseconds. */
const RECENT_MS = 1_000;
const PROBE_TIMEOUT_MS = 1_000;
const LOG_PAGE = 50;
/** Longest pause between attempts to take an index over; each attempt uses up a generation. */
const MAX_CLAIM_PAUSE_MS = 5_000;

/**
 * Sends one index's writes to its nodes, one after another (invariant 6): its caller calls one method at a time. Holds what
 * only the writer knows: the generation, and the place of the last write on each node.
 */
export class IndexWriter {
  private standing: Standing | undefined;
  /** The nodes may stand at another generation than the catalogue says, after a change that was not recorded. */
  private unsure = false;
  private readonly previous = new Map<string, number>();
  private readonly heard = new Map<string, number>();
  private claiming: Promise<void> | undefined;
  private claimingSince = 0;
  private settling: Promise<SettledWrite> | undefined;
  private blockedBy = "";

  constructor(
    private readonly context: WriterContext,
    readonly instance: string,
    private readonly nextSequence: () => number,
  ) {}

  /** The generation at which this proxy last left the index; undefined where it is not its writer. */
  generation(): bigint | undefined {
    return this.standing?.generation;
  }

  /** Why the index takes no writes; undefined where it does. */
  blocked(): string | undefined {
    return this.settling === undefined && this.claiming === undefined ? undefined : this.blockedBy;
  }

  /**
   * Makes sure that this proxy is the index's writer and knows where it stands (invariant 7).
   *
   * @throws MeilisearchError 503; nothing was sent
   * @throws IndexGoneError
   */
  async prepare(): Promise<Standing> {
    this.requireLease();
    if (this.settling !== undefined) throw indexBlocked(this.uid(), this.blockedBy);
    let { view, index } = this.look();
    if (this.standing !== undefined && index.generation < this.standing.generation) {
      const { generation } = this.standing;
      await this.topologyWith((candidate) => candidate.generation >= generation);
      ({ view, index } = this.look());
    }
    const mine = index.writer?.session === this.context.lease.session;
    if (this.standing !== undefined && mine && index.generation === this.standing.generation) {
      this.standing = standingOf(view, index);
      return this.standing;
    }
    this.standing = undefined;
    await this.claim();
    if (this.standing === undefined)
      throw indexBlocked(this.uid(), "it is being taken over from another writer");
    return this.standing;
  }

  /**
   * Checks that enough copies of every touched shard can be reached (invariant 4).
   *
   * @throws MeilisearchError `miroir_no_quorum`
   */
  async checkQuorum(touched: readonly number[] | "all"): Promise<void> {
    const standing = this.ready();
    const targets = targetsOf(standing, touched);
    const silent = await this.silentAmong(standing, targets.keys(), targets.size > 1);
    const minLeft = this.minLeft(standing);
    for (const shard of touched === "all" ? allShards(standing) : touched) {
      const inSync = holders(standing, shard).filter((nodeId) => !standing.suspects.has(nodeId));
      const counted = inSync.length > 0 ? inSync : holders(standing, shard);
      const reachable = counted.filter((nodeId) => !silent.has(nodeId)).length;
      const needed = minLeft(shard);
      if (reachable >= needed) continue;
      throw noQuorum(
        `shard ${shard} has ${reachable} in-sync ${reachable === 1 ? "copy" : "copies"} on nodes that answer, of ${needed} needed`,
      );
    }
  }

  /** Sends a write to every node that has to hold it, and settles what went wrong. */
  async send(write: IndexWrite): Promise<SentWrite> {
    const standing = this.ready();
    const targets = targetsOf(standing, write.touched);
    const sequence = this.nextSequence();
    const { session } = this.context.lease;
    const sending: Sending = {
      write,
      sequence,
      targets,
      metadata: (nodeId) =>
        formatTaskMetadata({
          session,
          sequence,
          previous: this.previous.get(nodeId) ?? 0,
          taskUid: Number(write.taskUid),
        }),
      accepted: new Map(),
      failed: new Map(),
    };
    await Promise.all([...targets.keys()].map((nodeId) => this.sendTo(sending, nodeId)));
    if (sending.failed.size === 0) return this.confirmed(sending);
    const unknown = [...sending.failed.values()].some((outcome) => outcome.kind === "unknown");
    if (sending.accepted.size === 0 && !unknown) return this.refusedByAll(sending);
    return this.settleWithin(sending);
  }

  /**
   * Takes replicas that the control plane holds for divergent out of the index, by a new generation without them. Does nothing
   * where no shard could spare them.
   */
  async shedSuspects(): Promise<void> {
    const standing = await this.prepare();
    const stale = losable(standing, standing.suspects, this.minLeft(standing));
    if (stale.size === 0) return;
    await this.change({ standing, stale, minLeft: this.minLeft(standing), why: "stale" });
  }

  /** Resolves when nothing of this index is being settled. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.settling, this.claiming]);
  }

  /** Copies of a shard that a write needs: as configured, else 2 where there are three or more, else 1 (invariant 4). */
  private minLeft(standing: Standing): (shard: number) => number {
    const configured = this.context.topology.current()?.minInSync ?? 0;
    return (shard) => (configured > 0 ? configured : copies(standing, shard) >= 3 ? 2 : 1);
  }

  private uid(): string {
    return this.context.topology.current()?.byInstance.get(this.instance)?.uid ?? this.instance;
  }

  private ready(): Standing {
    if (this.standing === undefined) throw new Error("the index's writer has not been prepared");
    return this.standing;
  }

  private requireLease(): void {
    const lease = this.context.lease.state();
    if (lease.kind === "held") return;
    throw noLease(lease.kind === "none" ? lease.reason : `another proxy is the writer, at ${lease.address}`);
  }

  private look(): { readonly view: TopologyView; readonly index: IndexView } {
    const view = this.context.topology.current();
    const index = view?.byInstance.get(this.instance);
    if (view === undefined || index === undefined)
      throw new IndexGoneError("the index is not in the topology");
    return { view, index };
  }

  private async topologyWith(predicate: (index: IndexView) => boolean): Promise<void> {
    const { world, topology, config, closed } = this.context;
    const giveUp = new AbortController();
    const timer = world.timers.after(config.topologyWaitMs, () => giveUp.abort());
    try {
      await topology.waitFor(
        (view) => {
          const index = view.byInstance.get(this.instance);
          return index === undefined || predicate(index);
        },
        AbortSignal.any([giveUp.signal, closed]),
      );
    } catch (error) {
      throw controlAway("the index's newest topology", error);
    } finally {
      timer.cancel();
    }
  }

  /** Waits for the claim, but no longer than a client may be kept waiting; it goes on by itself. */
  private async claim(): Promise<void> {
    const now = this.context.world.clock.monotonic();
    if (this.claiming !== undefined && now - this.claimingSince >= this.context.config.settleHoldMs) return;
    if (this.claiming === undefined) {
      this.claimingSince = now;
      this.blockedBy = "it is being taken over from another writer";
      this.claiming = this.claimUntilDone().finally(() => {
        this.claiming = undefined;
      });
      // Whoever waits below sees the failure; without a handler it would count as unhandled when nobody does any more.
      this.claiming.catch(() => undefined);
    }
    await this.withinHold(this.claiming);
  }

  /** Claims until it has the index, or certainly will not get it. Nodes and control plane may be away for as long as they like. */
  private async claimUntilDone(): Promise<void> {
    const { world, config, closed, logger } = this.context;
    for (let pause = config.settleRetryMs; ; pause = Math.min(pause * 2, MAX_CLAIM_PAUSE_MS)) {
      closed.throwIfAborted();
      this.requireLease();
      try {
        await this.claimOnce();
        return;
      } catch (error) {
        if (error instanceof DivergedReplicasError) {
          this.blockedBy = error.message;
          logger.error({ err: error, instance: this.instance }, "an index cannot be taken over");
        } else if (error instanceof NodeUnavailableError || error instanceof ControlUnavailableError) {
          logger.warn({ err: error, instance: this.instance }, "taking an index over takes another attempt");
        } else {
          throw error;
        }
      }
      await world.timers.sleep(pause, closed);
    }
  }

  private async claimOnce(): Promise<void> {
    const { view, index } = this.look();
    const standing = standingOf(view, index);
    this.previous.clear();
    if (index.writer === undefined) {
      await this.claimFresh(standing);
      return;
    }
    if (index.writer.session === this.context.lease.session && !this.unsure) {
      // Recorded as the writer by a call whose answer was lost: nothing has been sent since.
      this.standing = standing;
      return;
    }
    this.unsure = true;
    const outcome = await takeOver(this.context, standing, this.nextSequence);
    if (outcome.kind === "lost")
      throw noLease(`the index was taken over by another proxy: ${outcome.cause.message}`);
    this.unsure = false;
    this.standing = outcome.standing;
  }

  private async claimFresh(standing: Standing): Promise<void> {
    const refusal = await claimFresh(this.context, standing);
    if (refusal === undefined) {
      this.standing = standing;
      return;
    }
    if (!(refusal instanceof ControlRefusedError)) throw controlAway("recording the index's writer", refusal);
    if (refusal.code === "aborted" && (await isRecorded(this.context, this.instance, standing.generation))) {
      this.standing = standing;
      return;
    }
    throw controlRefused("recording the index's writer", refusal);
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

  private async sendTo(sending: Sending, nodeId: string): Promise<void> {
    const standing = this.ready();
    const node = standing.nodes.get(nodeId);
    if (node === undefined) {
      sending.failed.set(nodeId, {
        kind: "not-sent",
        cause: new Error(`node ${nodeId} is not in the topology`),
      });
      return;
    }
    const { write } = sending;
    const name = physicalName(this.instance, standing.generation);
    const shards = sending.targets.get(nodeId) ?? [];
    const address = write.kind === "index" ? node.adminAddress : node.writeAddress;
    const request = write.request(shards, name, sending.metadata(nodeId));
    const outcome = await this.context.calls.enqueue(address, write.taskType, request);
    this.noteOutcome(sending, nodeId, outcome);
  }

  private noteOutcome(sending: Sending, nodeId: string, outcome: EnqueueOutcome): void {
    if (outcome.kind !== "accepted") {
      sending.failed.set(nodeId, outcome);
      return;
    }
    sending.failed.delete(nodeId);
    sending.accepted.set(nodeId, outcome.nodeTaskUid);
    if (sending.write.kind === "document") this.previous.set(nodeId, sending.sequence);
    this.heard.set(nodeId, this.context.world.clock.monotonic());
  }

  /**
   * The write is accepted only if no other writer can have come in between: a lease that still holds now held while the nodes
   * took the write, so that no fence of another's stands in front of it.
   */
  private confirmed(sending: Sending): SettledWrite {
    const generation = this.context.topology.current()?.byInstance.get(this.instance)?.generation;
    const standing = this.ready();
    const overtaken = generation !== undefined && generation > standing.generation;
    if (!overtaken && this.context.lease.state().kind === "held") return this.acceptedBy(sending);
    return { kind: "lost", cause: new Error("the write lease ended while the write was on its way") };
  }

  private acceptedBy(sending: Sending): SettledWrite {
    const standing = this.ready();
    const touched = sending.write.touched === "all" ? allShards(standing) : sending.write.touched;
    return {
      kind: "accepted",
      nodeTasks: nodeTasksOf(sending, standing),
      degradedShards: touched.filter((shard) => {
        const inSync = holders(standing, shard).filter((nodeId) => !standing.suspects.has(nodeId));
        return inSync.length < this.wantedCopies(standing, shard);
      }),
    };
  }

  /** Placed copies of a shard that should be in sync: all but those that are joining. */
  private wantedCopies(standing: Standing, shard: number): number {
    const replicas = this.context.topology.current()?.byInstance.get(this.instance)?.replicas;
    return (standing.placement[shard] ?? []).filter((nodeId) => replicas?.get(nodeId) !== "joining").length;
  }

  private refusedByAll(sending: Sending): SettledWrite {
    const outcomes = [...sending.failed];
    const fault = outcomes.map(([, outcome]) => outcome).find(isClientFault);
    if (fault !== undefined) {
      return { kind: "refused", status: fault.status, body: fault.body, partly: false, nodeTasks: [] };
    }
    const [nodeId, outcome] = outcomes[0] ?? ["", undefined];
    const why =
      outcome === undefined ? "no node holds any of its shards" : `node ${nodeId}: ${reasonOf(outcome)}`;
    throw noQuorum(why, outcome !== undefined && "cause" in outcome ? { cause: outcome.cause } : {});
  }

  private async settleWithin(sending: Sending): Promise<SentWrite> {
    const nodes = [...sending.failed]
      .map(([nodeId, outcome]) => `node ${nodeId}: ${reasonOf(outcome)}`)
      .join("; ");
    this.blockedBy = nodes;
    const settling = this.settle(sending);
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

  /**
   * Rolls a write forward that some nodes have, or may have, and others have not (invariant 4): nodes that can be spared go stale; the
   * others are asked until they answer. Whether a node that gave no answer has the write is read from its log, behind a rename that
   * keeps a late execution out (invariant 7).
   */
  private async settle(sending: Sending): Promise<SettledWrite> {
    const { world, config, closed } = this.context;
    for (;;) {
      closed.throwIfAborted();
      const standing = this.ready();
      const pending = [...sending.failed.keys()].filter((nodeId) => standing.members.has(nodeId));
      if (pending.length === 0) return this.confirmed(sending);
      const stale = losable(standing, pending, this.minLeft(standing));
      const needed = pending.filter((nodeId) => !stale.has(nodeId));
      const outcomes = needed.map((nodeId) => [nodeId, sending.failed.get(nodeId)] as const);
      const unknown = outcomes.filter(([, outcome]) => outcome?.kind === "unknown").map(([nodeId]) => nodeId);
      const fault = outcomes
        .map(([, outcome]) => outcome)
        .find((outcome) => outcome && isClientFault(outcome));
      if (needed.length === 0 || unknown.length > 0) {
        const lost = await this.fence(sending, standing, stale, unknown);
        if (lost !== undefined) return lost;
        continue;
      }
      if (
        fault !== undefined &&
        isClientFault(fault) &&
        outcomes.every(([, o]) => o !== undefined && isClientFault(o))
      ) {
        // Sole copies refuse it for good, so that no replica can contradict them: the write ends here, partly made.
        if (stale.size > 0) {
          const lost = await this.fence(sending, standing, stale, []);
          if (lost !== undefined) return lost;
        }
        const nodeTasks = nodeTasksOf(sending, this.ready());
        return {
          kind: "refused",
          status: fault.status,
          body: fault.body,
          partly: sending.accepted.size > 0,
          nodeTasks,
        };
      }
      await Promise.all(needed.map((nodeId) => this.sendTo(sending, nodeId)));
      const stillNeeded = needed.some((nodeId) => sending.failed.has(nodeId));
      if (stillNeeded) await world.timers.sleep(config.settleRetryMs, closed);
    }
  }

  /** A new generation without `stale`; then reads from the logs of `unknown` nodes whether they have the write. */
  private async fence(
    sending: Sending,
    standing: Standing,
    stale: ReadonlySet<string>,
    unknown: readonly string[],
  ): Promise<SettledWrite | undefined> {
    const why = unknown.length > 0 ? "settle" : "stale";
    const outcome = await this.change({ standing, stale, minLeft: this.minLeft(standing), why });
    if (outcome.kind === "lost") {
      return { kind: "lost", cause: outcome.cause };
    }
    for (const nodeId of outcome.lost) {
      sending.failed.delete(nodeId);
      sending.accepted.delete(nodeId);
    }
    const open = unknown.filter((nodeId) => outcome.standing.members.has(nodeId));
    await Promise.all(
      open.map(async (nodeId) => {
        const rename = outcome.renames.get(nodeId);
        if (rename === undefined) return;
        const found = await this.findInLog(sending, outcome.standing, nodeId, rename);
        if (found !== undefined) this.noteOutcome(sending, nodeId, { kind: "accepted", nodeTaskUid: found });
        else
          sending.failed.set(nodeId, {
            kind: "not-sent",
            cause: new Error("the node's log does not hold the write"),
          });
      }),
    );
    return undefined;
  }

  private async change(change: Parameters<typeof changeGeneration>[1]) {
    this.unsure = true;
    const outcome = await changeGeneration(this.context, change);
    if (outcome.kind === "lost") {
      this.standing = undefined;
      return outcome;
    }
    this.unsure = false;
    this.standing = outcome.standing;
    for (const nodeId of outcome.lost) this.previous.delete(nodeId);
    return outcome;
  }

  /**
   * The uid of the node's task for this write, if the node took it before the rename `fence`. Settings and index operations carry no
   * metadata and are not looked for: made twice, they come to the same.
   */
  private async findInLog(
    sending: Sending,
    standing: Standing,
    nodeId: string,
    { fence, last }: { readonly fence: number; readonly last: number },
  ): Promise<number | undefined> {
    const { calls, world, config, closed, logger } = this.context;
    const node = standing.nodes.get(nodeId);
    if (node === undefined) return undefined;
    await calls.waitForTask(node.adminAddress, last, closed);
    if (sending.write.kind !== "document") return undefined;
    const wanted = sending.metadata(nodeId);
    const isIt = (task: NodeTaskRecord) => task.uid < fence && task.customMetadata === wanted;
    for (;;) {
      closed.throwIfAborted();
      try {
        const page = await calls.client(node.adminAddress).tasks({
          indexUids: physicalName(this.instance, standing.generation),
          from: fence,
          limit: LOG_PAGE,
        });
        return page.results.find(isIt)?.uid;
      } catch (error) {
        logger.warn({ err: error, node: nodeId }, "a node's task log cannot be read yet");
      }
      await world.timers.sleep(config.settleRetryMs, closed);
    }
  }

  /**
   * Nodes that do not answer, of those for which it matters before anything is sent: whom the topology calls unreachable, and, where others
   * are written to at the same time, whoever holds the last good copy of a shard.
   */
  private async silentAmong(
    standing: Standing,
    nodeIds: Iterable<string>,
    several: boolean,
  ): Promise<ReadonlySet<string>> {
    const now = this.context.world.clock.monotonic();
    const asked = [...nodeIds].filter((nodeId) => {
      if (standing.nodes.get(nodeId)?.state === "unreachable") return true;
      if (!several || now - (this.heard.get(nodeId) ?? Number.NEGATIVE_INFINITY) < RECENT_MS) return false;
      return losable(standing, [nodeId]).size === 0;
    });
    const silent = new Set<string>();
    await Promise.all(
      asked.map(async (nodeId) => {
        const node = standing.nodes.get(nodeId);
        if (node === undefined) return;
        try {
          await this.context.calls.client(node.writeAddress).health(PROBE_TIMEOUT_MS);
          this.heard.set(nodeId, this.context.world.clock.monotonic());
        } catch (error) {
          this.context.logger.warn(
            { err: error, node: nodeId, index: standing.uid },
            "a node that a write needs does not answer",
          );
          silent.add(nodeId);
        }
      }),
    );
    return silent;
  }
}

function nodeTasksOf(sending: Sending, standing: Standing): readonly AcceptedNodeTask[] {
  return [...sending.accepted]
    .filter(([nodeId]) => standing.members.has(nodeId))
    .map(([nodeId, nodeTaskUid]) => ({
      nodeId,
      nodeTaskUid,
      shards: sending.targets.get(nodeId) ?? [],
    }));
}
