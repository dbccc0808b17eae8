import { documentDigest } from "../../../json/document-digest.js";
import { MeilisearchError } from "../../../meilisearch/errors.js";
import type { NodeTaskRecord } from "../../../meilisearch/node-client.js";
import { OWN_TASK_UID } from "../../../meilisearch/task-metadata.js";
import type { IndexWriter } from "../index-writer.js";
import type { LaneWatch } from "../lane-watch.js";
import type { Standing } from "../standing.js";
import { type CopyRun, CopyWaitsError } from "./copy-run.js";
import { type CopyRound, CopyTracker, type CopyUnit } from "./copy-tracker.js";
import { asLines, listShard, readDocuments } from "./node-documents.js";
import { queueLength, waitUntilDone } from "./node-queue.js";
import { RoundSize } from "./round-size.js";

/** Keys of listed shards held at once; the next shard is listed when fewer are left. */
const MAX_LISTED_KEYS = 1_000_000;
/** Copies on their way to one target at once. */
const MAX_FLIGHTS = 4;
/** Tasks in a node's queue beyond which it is left alone. A node runs hundreds of small writes as one. */
const MAX_QUEUE = 1_000;
/** Tasks that a node is asked about at once. */
const MAX_ASKED = 200;
/** Pause where nothing can be read for the moment. Milliseconds. */
const PAUSE_MS = 50;
/** How long writes may keep every document from being read before they are held back, and for how long at most. Milliseconds. */
const HOLD_AFTER_MS = 3_000;
const HOLD_MS = 1_000;
const HOLD_PAUSE_MS = 20;

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
  readonly #size: RoundSize;
  readonly #run: CopyRun;
  readonly #units: readonly CopyUnit[];
  #lost: Error | undefined;
  /** When further documents may be sent, in monotonic milliseconds. */
  #notBefore = 0;
  /** When documents could be read last, or none had to be. */
  #chosenAt: number;

  constructor(run: CopyRun, units: readonly CopyUnit[]) {
    const { index } = run.look();
    this.#run = run;
    this.#units = units;
    this.#size = new RoundSize();
    this.#chosenAt = run.core.context.world.clock.monotonic();
    this.#tracker = new CopyTracker(units, {
      shardOf: (key) => run.hasher.shardOf(key, index.shards),
      ...(run.faults === undefined ? {} : { faults: run.faults }),
    });
    this.#watch = this.#watchWrites();
  }

  async finish(atEnd: (writer: IndexWriter, standing: Standing) => Promise<void>): Promise<void> {
    const { core, instance, progress } = this.#run;
    progress.documentsTotal = 0;
    await this.#run.inLane(async (writer) => writer.watch(this.#watch));
    try {
      await this.#waitForNodes();
      for (;;) {
        this.#check();
        await this.#followTasks();
        await this.#listNext();
        progress.documentsLeft = this.#tracker.left();
        await progress.report();
        if (this.#tracker.isDone()) {
          if (await this.#end(atEnd)) return;
        } else if (!(await this.#round())) {
          await core.context.world.timers.sleep(PAUSE_MS, core.context.closed);
        }
      }
    } finally {
      const writer = core.writerOf(instance);
      if (writer.isWatchedBy(this.#watch)) writer.watch(undefined);
    }
  }

  #watchWrites(): LaneWatch {
    const tracker = this.#tracker;
    return {
      sending: (sequence, touch) => tracker.sending(sequence, touch),
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
    const { index, view } = this.#run.look();
    if (this.#lost !== undefined) throw new CopyWaitsError("a write was lost", { cause: this.#lost });
    if (!this.#run.core.writerOf(this.#run.instance).isWatchedBy(this.#watch)) {
      throw new CopyWaitsError("writes have passed unseen");
    }
    for (const { shard, from, to } of this.#units) {
      const isSource = [...(index.placement[shard] ?? []), ...(index.leaving[shard] ?? [])].includes(from);
      if (!isSource || index.replicas.get(from) !== "in_sync" || !view.nodes.has(from)) {
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
        waitUntilDone(this.#run.core.context, this.#run.node(nodeId), () => this.#check()),
      ),
    );
    this.#run.progress.waitingFor = "";
  }

  /** Learns which tasks have ended, and how. */
  async #followTasks(): Promise<void> {
    const { calls } = this.#run.core.context;
    await Promise.all(
      [...this.#tracker.nodesWithOpenTasks()].map(async (nodeId) => {
        const asked = this.#tracker.openTasks(nodeId).slice(0, MAX_ASKED);
        if (asked.length === 0) return;
        const client = calls.client(this.#run.node(nodeId).writeAddress);
        const page = await client.tasks({ uids: asked.join(","), limit: asked.length });
        const found = new Map(page.results.map((task) => [task.uid, task]));
        for (const uid of asked) {
          const task = found.get(uid);
          // A task that the node has forgotten ended somehow.
          if (task === undefined) this.#tracker.finished(nodeId, uid, false);
          else if (isOver(task)) this.#tracker.finished(nodeId, uid, didAll(task));
        }
      }),
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
      this.#tracker.list(listing, keys);
      progress.documentsTotal += keys.size;
    }
  }

  async #keysOn(nodeId: string, { shard, to }: CopyUnit, primaryKey: string): Promise<Iterable<string>> {
    for (let isSecond = false; ; isSecond = true) {
      try {
        return (await listShard(this.#run.documentsOn(nodeId), shard, primaryKey)).keys();
      } catch (error) {
        if (!(error instanceof MeilisearchError) || error.body.code !== "index_not_found") throw error;
        // A rename may be under way, for another reason.
        if (isSecond && nodeId === to) throw new TargetLostError(nodeId, { cause: error });
        if (isSecond) throw error;
        await waitUntilDone(this.#run.core.context, this.#run.node(nodeId), () => this.#check());
      }
    }
  }

  /** Reads some documents on both sides, and sends what differs. False where none can be read now. */
  async #round(): Promise<boolean> {
    const { clock } = this.#run.core.context.world;
    if (clock.monotonic() < this.#notBefore) return false;
    const round = this.#choose();
    if (round === undefined) {
      if (clock.monotonic() - this.#chosenAt >= HOLD_AFTER_MS) await this.#hold();
      return false;
    }
    if (await this.#isBusy(round)) return false;
    await this.#copy(round, (send) => this.#run.inLane(send));
    return true;
  }

  #choose(): CopyRound | undefined {
    const round = this.#tracker.choose(
      this.#size.documents,
      ({ to }) => this.#tracker.flightsTo(to) < MAX_FLIGHTS,
    );
    const isQuiet = this.#units.every(({ to }) => this.#tracker.flightsTo(to) === 0);
    const isWaiting = round === undefined && isQuiet && this.#tracker.left() > 0;
    if (!isWaiting) this.#chosenAt = this.#run.core.context.world.clock.monotonic();
    return round;
  }

  /**
   * Holds writes back for a moment, where they touch documents so often that these can never be read: nodes catch up meanwhile, and what
   * they have finished is copied at once.
   */
  async #hold(): Promise<void> {
    const { world, closed } = this.#run.core.context;
    await this.#run.inLane(async (writer) => {
      const until = world.clock.monotonic() + HOLD_MS;
      while (world.clock.monotonic() < until) {
        this.#check();
        await this.#followTasks();
        const round = this.#choose();
        if (round !== undefined) return this.#copy(round, (send) => send(writer));
        await world.timers.sleep(HOLD_PAUSE_MS, closed);
      }
    });
    this.#chosenAt = world.clock.monotonic();
  }

  /** @param inLane runs the sending in the lane */
  async #copy(
    round: CopyRound,
    inLane: (send: (writer: IndexWriter) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { primaryKey } = this.#run.look().index;
    if (primaryKey === undefined) return;
    const [wanted, held] = await Promise.all([
      readDocuments(this.#run.documentsOn(round.from), round.keys, primaryKey),
      readDocuments(this.#run.documentsOn(round.to), round.keys, primaryKey),
    ]);
    this.#size.read(round.keys.length, wanted);
    const differing = new Set(
      round.keys.filter((key) => digestOf(wanted.get(key)) !== digestOf(held.get(key))),
    );
    this.#tracker.equal(
      round,
      round.keys.filter((key) => !differing.has(key)),
    );
    const copied = [...differing].filter((key) => wanted.has(key));
    const deleted = [...differing].filter((key) => !wanted.has(key));
    for (const keys of [copied, deleted]) {
      if (keys.length > 0) await inLane((writer) => this.#send(writer, round, keys, wanted, primaryKey));
    }
    this.#pace(differing.size);
  }

  async #isBusy({ from, to }: CopyRound): Promise<boolean> {
    const { context } = this.#run.core;
    const lengths = await Promise.all(
      [from, to].map(async (nodeId) => [nodeId, await queueLength(context, this.#run.node(nodeId))] as const),
    );
    const [busy] = lengths.filter(([, length]) => length > MAX_QUEUE);
    this.#run.progress.waitingFor =
      busy === undefined ? "" : `node ${busy[0]}, which has ${busy[1]} tasks to run`;
    return busy !== undefined;
  }

  /** Sends documents to the target, in the lane, unless a write has touched them since they were read. */
  async #send(
    writer: IndexWriter,
    round: CopyRound,
    keys: readonly string[],
    wanted: ReadonlyMap<string, Buffer>,
    primaryKey: string,
  ): Promise<void> {
    this.#check();
    const valid = this.#tracker.stillValid(round, keys);
    if (valid.length === 0) return;
    const documents = valid.flatMap((key) => wanted.get(key) ?? []);
    const isCopy = documents.length > 0;
    const body = isCopy ? asLines(documents) : Buffer.from(JSON.stringify(valid));
    const path = isCopy
      ? `documents?primaryKey=${encodeURIComponent(primaryKey)}&`
      : "documents/delete-batch?";
    const sent = await writer.send({
      taskUid: OWN_TASK_UID,
      taskType: isCopy ? "copy" : "copyDeletion",
      touched: this.#units.filter(({ to }) => to === round.to).map(({ shard }) => shard),
      only: new Set([round.to]),
      kind: "document",
      request: (_, name, metadata) => ({
        method: "POST",
        path: `/indexes/${name}/${path}customMetadata=${encodeURIComponent(metadata)}`,
        contentType: isCopy ? "application/x-ndjson" : "application/json",
        body,
      }),
    });
    const uid = sent.kind === "accepted" ? sent.nodeTasks[0]?.nodeTaskUid : undefined;
    if (uid === undefined) {
      const why = sent.kind === "refused" ? `${sent.status} ${sent.body.code}` : sent.kind;
      throw new CopyWaitsError(`node ${round.to} did not take a copy: ${why}`);
    }
    this.#tracker.sent(round, valid, uid);
    this.#count(isCopy, valid.length, body.length);
  }

  #count(isCopy: boolean, documents: number, bytes: number): void {
    const { progress, step, core } = this.#run;
    if (step === "switched") progress.documentsDiffering += documents;
    if (isCopy) {
      progress.documentsCopied += documents;
      progress.bytesCopied += bytes;
    } else progress.documentsDeleted += documents;
    core.context.metrics.documentsCopied(isCopy ? "copied" : "deleted", documents, isCopy ? bytes : 0);
  }

  #pace(documents: number): void {
    const perSecond = this.#run.look().copy.maxDocumentsPerSecond;
    if (perSecond === 0) return;
    const { clock } = this.#run.core.context.world;
    this.#notBefore = Math.max(this.#notBefore, clock.monotonic()) + (documents * 1_000) / perSecond;
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

function isOver({ status }: NodeTaskRecord): boolean {
  return status !== "enqueued" && status !== "processing";
}

/** A task can succeed without having indexed what it was given, after a power cut. */
function didAll({ status, details }: NodeTaskRecord): boolean {
  if (status !== "succeeded") return false;
  const received = details?.receivedDocuments;
  const indexed = details?.indexedDocuments;
  return typeof received !== "number" || typeof indexed !== "number" || indexed >= received;
}

function digestOf(document: Buffer | undefined): string {
  return document === undefined ? "" : documentDigest(document);
}
