import { documentDigest } from "../../../json/document-digest.js";
import { OWN_TASK_UID } from "../../../meilisearch/task-metadata.js";
import type { IndexWriter } from "../index-writer.js";
import { type CopyRun, CopyWaitsError } from "./copy-run.js";
import type { CopyRound, CopyTracker } from "./copy-tracker.js";
import { followTasks } from "./follow-tasks.js";
import { asLines, readDocuments } from "./node-documents.js";
import { queueLength } from "./node-queue.js";
import { RoundSize } from "./round-size.js";

/** Copies on their way to one target at once. */
const MAX_FLIGHTS = 4;
/** Tasks in a node's queue beyond which it is left alone. A node runs hundreds of small writes as one. */
const MAX_QUEUE = 1_000;
/** How long writes may keep every document from being read before they are held back, and for how long at most. Milliseconds. */
const HOLD_AFTER_MS = 3_000;
const HOLD_MS = 1_000;
const HOLD_PAUSE_MS = 20;
/** Documents that count as little. */
const LITTLE = 1_000;

/** Compares documents of sources and targets, some at a time, and sends the targets what differs. */
export class CopyRounds {
  readonly #run: CopyRun;
  readonly #tracker: CopyTracker;
  readonly #check: () => void;
  readonly #size = new RoundSize();
  /** When further documents may be sent, in monotonic milliseconds. */
  #notBefore = 0;
  /** When documents could be read last, or none had to be. */
  #chosenAt: number;
  #passedBy = false;
  /** Since when little has been left. */
  #littleSince: number;

  /** @param check throws where what the tracker knows is not the whole truth any more */
  constructor(run: CopyRun, tracker: CopyTracker, check: () => void) {
    this.#run = run;
    this.#tracker = tracker;
    this.#check = check;
    this.#chosenAt = run.core.context.world.clock.monotonic();
    this.#littleSince = this.#chosenAt;
  }

  /** Reads some documents on both sides, and sends what differs. False where none can be read now. */
  async next(): Promise<boolean> {
    const { clock } = this.#run.core.context.world;
    if (clock.monotonic() < this.#notBefore) return false;
    const round = this.#choose();
    if (round === undefined) {
      if (clock.monotonic() - this.#chosenAt < HOLD_AFTER_MS) return false;
      await this.#run.inLane((writer) => this.holding(writer));
      return true;
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
    const isQuiet = this.#tracker.units.every(({ to }) => this.#tracker.flightsTo(to) === 0);
    const isWaiting = round === undefined && isQuiet && this.#tracker.left() > 0;
    if (!isWaiting) this.#chosenAt = this.#run.core.context.world.clock.monotonic();
    return round;
  }

  /** A write passed the targets by, so that what it touched has to be copied. */
  unsettled(): void {
    this.#passedBy = true;
  }

  /** Whether little is left for a while, and writes bring more all the time. */
  isRestless(): boolean {
    const { clock } = this.#run.core.context.world;
    if (!this.#passedBy || this.#tracker.left() > LITTLE || this.#tracker.unlisted().length > 0) {
      this.#littleSince = clock.monotonic();
    }
    return clock.monotonic() - this.#littleSince >= HOLD_AFTER_MS;
  }

  /**
   * Copies for a moment what nodes have finished, in the lane, where writes would touch documents so often that these could never be read:
   * nodes catch up meanwhile.
   *
   * @returns whether nothing is left
   */
  async holding(writer: IndexWriter): Promise<boolean> {
    const { world, closed } = this.#run.core.context;
    const until = world.clock.monotonic() + HOLD_MS;
    while (world.clock.monotonic() < until) {
      this.#check();
      await followTasks(this.#run, this.#tracker);
      if (this.#tracker.isDone()) return true;
      const round = this.#choose();
      if (round === undefined) await world.timers.sleep(HOLD_PAUSE_MS, closed);
      else await this.#copy(round, (send) => send(writer));
    }
    this.#chosenAt = world.clock.monotonic();
    this.#littleSince = world.clock.monotonic();
    return false;
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
    const uid = await this.#deliver(writer, round.to, isCopy ? primaryKey : undefined, body);
    this.#tracker.sent(round, valid, uid);
    this.#count(isCopy, valid.length, body.length);
  }

  /** Deletes documents of a target that belong to none of its shards: they were filed under one before the index was cut. */
  async remove(nodeId: string, keys: readonly string[]): Promise<void> {
    await this.#run.inLane(async (writer, _, { index }) => {
      const held = index.heldByNode.get(nodeId);
      const strays = keys.filter((key) => held?.has(this.#run.hasher.shardOf(key, index.shards)) !== true);
      if (strays.length === 0) return;
      await this.#deliver(writer, nodeId, undefined, Buffer.from(JSON.stringify(strays)));
    });
  }

  /**
   * Sends documents to a target, or deletes some there; gives the node's task.
   *
   * @param primaryKey undefined for a deletion
   */
  async #deliver(
    writer: IndexWriter,
    nodeId: string,
    primaryKey: string | undefined,
    body: Buffer,
  ): Promise<number> {
    const path =
      primaryKey === undefined
        ? "documents/delete-batch?"
        : `documents?primaryKey=${encodeURIComponent(primaryKey)}&`;
    const sent = await writer.send({
      taskUid: OWN_TASK_UID,
      taskType: primaryKey === undefined ? "copyDeletion" : "copy",
      touched: this.#tracker.units.filter(({ to }) => to === nodeId).map(({ shard }) => shard),
      only: new Set([nodeId]),
      kind: "document",
      request: (_, name, metadata) => ({
        method: "POST",
        path: `/indexes/${name}/${path}customMetadata=${encodeURIComponent(metadata)}`,
        contentType: primaryKey === undefined ? "application/json" : "application/x-ndjson",
        body,
      }),
    });
    const uid = sent.kind === "accepted" ? sent.nodeTasks[0]?.nodeTaskUid : undefined;
    if (uid !== undefined) return uid;
    const why = sent.kind === "refused" ? `${sent.status} ${sent.body.code}` : sent.kind;
    throw new CopyWaitsError(`node ${nodeId} did not take a copy: ${why}`);
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
}

function digestOf(document: Buffer | undefined): string {
  return document === undefined ? "" : documentDigest(document);
}
