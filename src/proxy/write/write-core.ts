import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TaskStatus, type TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { MeilisearchError, type MeilisearchErrorBody } from "../../meilisearch/errors.js";
import { hideInjectedFields } from "../../merge/injected-fields.js";
import { parsePhysicalName } from "../../placement/physical-name.js";
import type { ShardHasher } from "../../placement/shard.js";
import { unguardMessage } from "../../settings/document-templates.js";
import { withClientRuleNumbers } from "../../settings/rule-numbers.js";
import { formatMoment } from "../../tasks/rfc3339.js";
import { typeName } from "../../tasks/task-names.js";
import type { IndexView, TopologyView, WritingProxy } from "../topology/topology-view.js";
import { Catalogue } from "./catalogue.js";
import type { WriterContext } from "./generation-change.js";
import { requireLease } from "./index-claim.js";
import {
  type AcceptedNodeTask,
  IndexGoneError,
  type IndexWrite,
  type SentWrite,
  type SettledWrite,
} from "./index-write.js";
import { IndexWriter } from "./index-writer.js";
import { Lane } from "./lane.js";
import { controlAway, noLease, noQuorum, outcomeUnknown, stopping, writesOverloaded } from "./refusals.js";
import type { SpoolPool } from "./spool.js";
import type { Standing } from "./standing.js";
import type { TaskFailure } from "./task-failure.js";
import type { TaskInit, TaskRegistrar } from "./task-registrar.js";
import type { TaskUids } from "./task-uids.js";
import type { WriteResult } from "./types.js";
import type { Round } from "./write-rounds.js";

/** A client's task as it is going to be registered. */
export interface TaskDraft {
  readonly type: TaskType;
  readonly indexUid: string;
  readonly detailsJson: string;
  readonly customMetadata?: string | undefined;
  /** API keys of embedders that the details mask, JSON. */
  readonly embedderSecretsJson?: string | undefined;
  readonly documentsByShard?: Readonly<Record<number, bigint>>;
}

/** A write that goes to nodes. */
export interface Dispatch {
  readonly index: IndexView;
  readonly draft: TaskDraft;
  readonly touched: readonly number[] | "all";
  /** Where the write goes out in parts, one after another: what each touches. */
  readonly rounds?: (standing: Standing) => readonly Round[];
  readonly kind: IndexWrite["kind"];
  readonly asAdmin?: IndexWrite["asAdmin"];
  readonly keys?: IndexWrite["keys"];
  readonly overwrites?: IndexWrite["overwrites"];
  readonly onlyWhereFilled?: IndexWrite["onlyWhereFilled"];
  readonly request: IndexWrite["request"];
  /** Frees what the requests need; called when nothing will be sent any more. */
  readonly release?: () => Promise<void>;
  /** Told of the node tasks once the write is accepted. */
  readonly onAccepted?: (nodeTasks: readonly AcceptedNodeTask[]) => void;
}

/** What a lane's turn ends with: the rest is done outside of the lane. */
export interface Turn {
  readonly task: TaskInit;
  readonly result: WriteResult;
}

type Timestamp = ReturnType<typeof timestampFromMs>;

/** What of a task the write's outcome decides. */
interface TaskState {
  readonly status: TaskStatus;
  readonly error?: MeilisearchErrorBody;
  readonly startedAt?: Timestamp;
  readonly finishedAt?: Timestamp;
  readonly nodeTasks?: readonly AcceptedNodeTask[];
}

type TurnOf = (nodeTasks: readonly AcceptedNodeTask[], state?: Partial<TaskState>) => Turn;

/** What all writes share: lanes, the catalogue, task uids, registration. */
export class WriteCore {
  readonly catalogue: Catalogue;
  private readonly lanes = new Map<string, Lane>();
  private readonly writers = new Map<string, IndexWriter>();
  private sequence = 0;
  private stopped = false;

  constructor(
    readonly context: WriterContext,
    readonly uids: TaskUids,
    readonly registrar: TaskRegistrar,
    readonly spools: SpoolPool,
    readonly hasher: Promise<ShardHasher>,
  ) {
    this.catalogue = new Catalogue(context);
  }

  /** Takes no more writes. */
  stop(): void {
    this.stopped = true;
  }

  /**
   * What has to hold for any write, before its body is read.
   *
   * @throws MeilisearchError 503
   */
  requireWritable(): TopologyView {
    if (this.stopped) throw stopping();
    return this.requireLease();
  }

  /** {@link requireWritable} for a write that was taken before the proxy began to stop. */
  private requireLease(): TopologyView {
    const view = this.context.topology.current();
    if (view === undefined) throw noLease("it has not received a topology from the control plane yet");
    requireLease(this.context);
    return view;
  }

  /**
   * Runs one write in the lane of its index, and then tells the control plane of the task, so that a client who has its answer finds the
   * task. The lane goes on meanwhile.
   */
  async inLane(indexUid: string, signal: AbortSignal, work: () => Promise<Turn>): Promise<WriteResult> {
    const turn = await this.inLaneUnregistered(indexUid, signal, async () => {
      const done = await work();
      return { ...done.result, task: done.task };
    });
    const { task, ...result } = turn;
    await this.registrar.register(task);
    return result;
  }

  /** {@link inLane} for a write whose task the control plane knows already. */
  async inLaneUnregistered<T extends WriteResult>(
    indexUid: string,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    return this.inLanesUnregistered([indexUid], signal, work);
  }

  /** {@link inLaneUnregistered} for a write to several indexes: it has all their lanes to itself. */
  async inLanesUnregistered<T extends WriteResult>(
    indexUids: readonly string[],
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    const started = this.context.world.clock.monotonic();
    // Always in the same order, or two such writes would wait for each other.
    const ordered = [...new Set(indexUids)].sort();
    const from = async (at: number): Promise<T> => {
      const indexUid = ordered[at];
      if (indexUid !== undefined) return this.laneOf(indexUid).run(signal, () => from(at + 1));
      this.requireLease();
      if (!this.registrar.hasRoom()) {
        throw writesOverloaded("too many accepted tasks wait for the control plane, which does not answer");
      }
      return work();
    };
    try {
      const result = await from(0);
      this.context.metrics.writeDone(result.body.type, "accepted", this.secondsSince(started));
      return result;
    } catch (error) {
      const code = error instanceof MeilisearchError ? error.body.code : "internal";
      this.context.metrics.writeDone("any", code, this.secondsSince(started));
      throw error;
    }
  }

  /**
   * Makes this proxy the writer of the index of that name, if there is one that another proxy writes: for a change that holds the lanes of
   * several indexes. Its caller holds this one's.
   *
   * @throws MeilisearchError 503; nothing was changed
   */
  async gather(indexUid: string): Promise<void> {
    const { topology, writers, world, config, closed } = this.context;
    const until = world.clock.monotonic() + config.settleHoldMs;
    for (;;) {
      const index = topology.current()?.indexes.get(indexUid);
      if (index === undefined) return;
      const choice = writers.of(index);
      if (choice.kind === "self") return;
      let reason = choice.kind === "unknown" ? choice.reason : `proxy ${choice.proxy.proxyId} keeps it`;
      if (choice.kind === "peer") reason = (await this.askFor(index.instance, choice.proxy)) ?? reason;
      else await world.timers.sleep(config.settleRetryMs, closed);
      if (world.clock.monotonic() >= until) throw noLease(`index \`${indexUid}\`: ${reason}`);
    }
  }

  /** Asks another proxy for an index; why it did not come, where it did not. */
  private async askFor(instance: string, proxy: WritingProxy): Promise<string | undefined> {
    const { lease, config, world, closed, askForIndex } = this.context;
    const { proxyId, session } = lease;
    try {
      const waitMs = config.settleHoldMs;
      const { epoch, reason } = await askForIndex(proxy, { instance, writer: { proxyId, session }, waitMs });
      if (epoch === undefined) return reason;
      await this.catalogue.waitForEpoch(epoch);
      return undefined;
    } catch (error) {
      if (error instanceof MeilisearchError) throw error;
      this.context.logger.warn(
        { err: error, instance, proxy: proxy.proxyId },
        "a proxy did not hand an index over",
      );
      await world.timers.sleep(config.settleRetryMs, closed);
      return `proxy ${proxy.proxyId} does not answer`;
    }
  }

  /** Runs other work of an index in its lane; left out where the lane is full. */
  async background(indexUid: string, work: () => Promise<void>): Promise<void> {
    await this.laneOf(indexUid).run(this.context.closed, work);
  }

  /** Runs a step of a copy in an index's lane, be it full or not: an index has one copy at a time. */
  async copyTurn(indexUid: string, work: () => Promise<void>): Promise<void> {
    await this.laneOf(indexUid).run(this.context.closed, work, true);
  }

  writerOf(instance: string): IndexWriter {
    const known = this.writers.get(instance);
    if (known !== undefined) return known;
    const writer = new IndexWriter(this.context, instance, () => ++this.sequence);
    this.writers.set(instance, writer);
    return writer;
  }

  /** Writers of indexes that this proxy has written to. */
  knownWriters(): ReadonlyMap<string, IndexWriter> {
    return this.writers;
  }

  forgetWriter(instance: string): void {
    this.writers.delete(instance);
  }

  /** Writes waiting or under way, and lanes in use. */
  queued(): { readonly lanes: number; readonly writes: number } {
    let writes = 0;
    for (const lane of this.lanes.values()) writes += lane.length;
    return { lanes: this.lanes.size, writes };
  }

  /** A task that never goes to a node: failed before anything was sent, or with nothing to do. */
  async finalTurn(draft: TaskDraft, instance: string, failure: TaskFailure | undefined): Promise<Turn> {
    return this.finalTurnAs(await this.uids.take(), draft, instance, failure);
  }

  /** {@link finalTurn} with a uid that was taken already. */
  finalTurnAs(uid: bigint, draft: TaskDraft, instance: string, failure: TaskFailure | undefined): Turn {
    const now = this.now();
    return this.turn(uid, now, draft, instance, {
      status: failure === undefined ? TaskStatus.SUCCEEDED : TaskStatus.FAILED,
      ...(failure === undefined ? {} : { error: failure.error }),
      startedAt: now,
      finishedAt: now,
    });
  }

  /** A task that nodes have accepted. */
  enqueuedTurn(
    uid: bigint,
    draft: TaskDraft,
    instance: string,
    nodeTasks: readonly AcceptedNodeTask[],
  ): Turn {
    return this.turn(uid, this.now(), draft, instance, { status: TaskStatus.ENQUEUED, nodeTasks });
  }

  /** Sends a write to its nodes and says what the client gets. */
  async dispatch(dispatch: Dispatch): Promise<Turn> {
    const { index, draft } = dispatch;
    const release = dispatch.release ?? (async () => undefined);
    let kept = false;
    try {
      const writer = this.writerOf(index.instance);
      const wasWriter = writer.generation() !== undefined;
      const standing = await this.prepare(writer, draft.indexUid);
      // The uids of an index's tasks go on growing when it comes from another proxy.
      if (!wasWriter && standing.generation > 1n) this.uids.renew();
      await writer.checkQuorum(dispatch.touched);
      const taskUid = await this.uids.take();
      const now = this.now();
      const turnOf: TurnOf = (nodeTasks, state = {}) =>
        this.turn(taskUid, now, draft, index.instance, { status: TaskStatus.ENQUEUED, nodeTasks, ...state });
      const write = {
        taskUid,
        taskType: typeName(draft.type),
        touched: dispatch.touched,
        kind: dispatch.kind,
        asAdmin: dispatch.asAdmin,
        keys: dispatch.keys,
        overwrites: dispatch.overwrites,
        onlyWhereFilled: dispatch.onlyWhereFilled,
        request: dispatch.request,
      };
      const sent = await writer.sendInRounds(write, dispatch.rounds?.(standing) ?? [dispatch.touched]);
      kept = sent.kind === "unknown";
      return this.conclude(dispatch, taskUid, sent, turnOf, writer.blocked() ?? "nodes do not answer");
    } finally {
      if (!kept) await release();
    }
  }

  private conclude(
    dispatch: Dispatch,
    taskUid: bigint,
    sent: SentWrite,
    turnOf: TurnOf,
    blockedBy: string,
  ): Turn {
    switch (sent.kind) {
      case "accepted": {
        dispatch.onAccepted?.(sent.nodeTasks);
        const turn = turnOf(sent.nodeTasks);
        if (sent.degradedShards.length === 0) return turn;
        return { task: turn.task, result: { ...turn.result, degradedShards: sent.degradedShards } };
      }
      case "refused": {
        const body = this.clean(sent.body, dispatch.draft.indexUid);
        if (!sent.partly) throw new MeilisearchError(sent.status, body);
        const at = this.now();
        return turnOf(sent.nodeTasks, {
          status: TaskStatus.FAILED,
          error: body,
          startedAt: at,
          finishedAt: at,
        });
      }
      case "not-made":
        throw noQuorum(sent.why, sent.cause === undefined ? {} : { cause: sent.cause });
      case "lost":
        // Not registered: the control plane finds in the nodes' logs what became of it. A task that is registered by its writer
        // is one that every replica took, and the next writer relies on that.
        throw outcomeUnknown(taskUid, sent.cause.message, { cause: sent.cause });
      case "unknown": {
        const release = dispatch.release ?? (async () => undefined);
        this.registerWhenSettled(dispatch, taskUid, sent.settled, turnOf)
          .then(release, release)
          .catch((error: unknown) =>
            this.context.logger.warn({ err: error }, "a temporary file was not freed"),
          );
        throw outcomeUnknown(taskUid, blockedBy);
      }
    }
  }

  /** Sees to it that the task of a write whose client got no certain answer shows what became of it. */
  private async registerWhenSettled(
    dispatch: Dispatch,
    taskUid: bigint,
    settling: Promise<SettledWrite>,
    turnOf: TurnOf,
  ): Promise<void> {
    const { indexUid } = dispatch.draft;
    try {
      const settled = await settling;
      const at = this.now();
      const failed = (body: MeilisearchErrorBody) => ({
        status: TaskStatus.FAILED,
        error: this.clean(body, indexUid),
        startedAt: at,
        finishedAt: at,
      });
      if (settled.kind === "lost" || settled.kind === "not-made") return;
      if (settled.kind === "accepted") dispatch.onAccepted?.(settled.nodeTasks);
      const state = settled.kind === "refused" ? failed(settled.body) : {};
      await this.registrar.register(turnOf(settled.nodeTasks, state).task);
    } catch (error) {
      this.context.logger.error(
        { err: error, index: indexUid, task: String(taskUid) },
        "the outcome of a write was not settled before the proxy stopped; the next writer compares the replicas",
      );
    }
  }

  /** A node's error as the client is to see it (invariant 11). */
  clean(body: MeilisearchErrorBody, indexUid: string): MeilisearchErrorBody {
    const message = hideInjectedFields(unguardMessage(body.message)).replaceAll(
      /\bm[a-z2-7]{8}_\d+\b/g,
      (name) => (parsePhysicalName(name) === undefined ? name : indexUid),
    );
    const rules = this.catalogue.find(indexUid)?.settings.filterableAttributes;
    return { ...body, message: withClientRuleNumbers(message, rules) };
  }

  /** Makes this proxy the index's writer; an index that is gone by now is as one that never was. */
  private async prepare(writer: IndexWriter, indexUid: string): Promise<Standing> {
    try {
      return await writer.prepare();
    } catch (error) {
      if (!(error instanceof IndexGoneError)) throw error;
      this.forgetWriter(writer.instance);
      throw controlAway(`index \`${indexUid}\`, which was just removed,`, error);
    }
  }

  private turn(uid: bigint, now: Timestamp, draft: TaskDraft, instance: string, state: TaskState): Turn {
    const { nodeTasks = [], error, startedAt, finishedAt, status } = state;
    return {
      task: {
        uid,
        indexUid: draft.indexUid,
        instance,
        type: draft.type,
        status,
        detailsJson: draft.detailsJson,
        enqueuedAt: now,
        customMetadata: draft.customMetadata ?? "",
        emptyCustomMetadata: draft.customMetadata === "",
        embedderSecretsJson: draft.embedderSecretsJson ?? "",
        documentsByShard: { ...draft.documentsByShard },
        nodeTasks: nodeTasks.map((task) => ({
          nodeId: task.nodeId,
          nodeTaskUid: task.nodeTaskUid,
          status: TaskStatus.ENQUEUED,
          shards: [...task.shards],
        })),
        ...(error === undefined ? {} : { error: { ...error } }),
        ...(startedAt === undefined ? {} : { startedAt }),
        ...(finishedAt === undefined ? {} : { finishedAt }),
      },
      result: {
        status: 202,
        body: {
          taskUid: Number(uid),
          indexUid: draft.indexUid,
          status: "enqueued",
          type: typeName(draft.type),
          enqueuedAt: formatMoment(now),
        },
      },
    };
  }

  private laneOf(indexUid: string): Lane {
    const known = this.lanes.get(indexUid);
    if (known !== undefined) return known;
    for (const [uid, lane] of this.lanes) if (lane.length === 0) this.lanes.delete(uid);
    const lane = new Lane(this.context.config.maxLaneQueue);
    if (this.context.testFaults?.unorderedWrites === true) return lane;
    this.lanes.set(indexUid, lane);
    return lane;
  }

  /** The wall-clock time. */
  now(): Timestamp {
    return timestampFromMs(this.context.world.clock.now());
  }

  private secondsSince(monotonic: number): number {
    return (this.context.world.clock.monotonic() - monotonic) / 1_000;
  }
}
