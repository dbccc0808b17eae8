import type { Logger } from "pino";
import {
  type OutboundHttp,
  OutboundRefusedError,
  OutboundUnavailableError,
} from "../../outbound/outbound-http.js";
import { createSharedAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import {
  type FencingToken,
  isFinalStatus,
  type SinkName,
  sinkName,
  type TaskRow,
  type TaskStore,
  type TaskUid,
} from "../../store/task-store.js";
import type { Webhook } from "../../webhooks/stored-webhooks.js";
import { EventQueue, type FinishedTask } from "./event-queue.js";
import { eventBody } from "./webhook-events.js";
import type { WebhookMetrics } from "./webhook-metrics.js";

/** What deliveries work with. */
export interface WebhookDeliveryOptions {
  readonly store: TaskStore;
  readonly outbound: OutboundHttp;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: WebhookMetrics;
  readonly tuning?: WebhookTuning | undefined;
}

/** Times of deliveries, in milliseconds. */
export interface WebhookTuning {
  /** Before each further attempt; 1, 5, 15 and 60 seconds unless given. */
  readonly retriesMs?: readonly number[];
  /** For one attempt; 30 seconds unless given, as in Meilisearch. */
  readonly timeoutMs?: number;
}

/** Under which events are counted in the store, for all indexes. */
const ALL_INDEXES = "*";
const RETRIES_MS = [1_000, 5_000, 15_000, 60_000];
const TIMEOUT_MS = 30_000;
/** Tasks in one request at most. */
const MAX_TASKS = 1_000;
/** Nodes' clocks, by which tasks finish, may differ by so much from this one's; what is told twice after a change of leader. */
const CLOCK_SKEW_MS = 10_000;
/**
 * How far back a webhook looks for which nothing is stored yet: longer than it takes until another process leads. A webhook that comes from
 * a dump is old, and is not told of what the dump brings along.
 */
const FIRST_LOOK_MS = 60_000;
/** Before the store is asked again that did not answer. */
const STORE_RETRY_MS = 1_000;

/**
 * Tells one webhook of finished tasks, in the background: each at least once, many in one request, with several attempts. How far it has
 * come is stored, so that another leader goes on from there and only the last seconds are told twice.
 */
export class WebhookDelivery {
  readonly #options: WebhookDeliveryOptions;
  readonly #sink: SinkName;
  readonly #stopping = createSharedAbort();
  readonly #running: Promise<void>;
  #webhook: Webhook;
  #queue: EventQueue | undefined;
  /** What is announced before the stored cursor is read is found by it. */
  #wake: () => void = () => undefined;

  constructor(webhook: Webhook, options: WebhookDeliveryOptions) {
    this.#webhook = webhook;
    this.#options = options;
    this.#sink = sinkName(`webhook ${webhook.uuid}`);
    this.#running = this.#run();
  }

  /** Goes on under another URL or with other headers. */
  update(webhook: Webhook): void {
    this.#webhook = webhook;
  }

  /** Tasks have become final. */
  announce(tasks: readonly FinishedTask[]): void {
    this.#queue?.add(tasks.filter((task) => this.#isNew(task)));
    this.#count();
    this.#wake();
  }

  /** Breaks off; what waits is told by the next leader. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the control plane stops"));
    this.#wake();
    await this.#running;
    this.#options.metrics.waiting.remove({ webhook: this.#webhook.uuid });
  }

  /** Breaks off, and forgets how far it has come: the webhook was deleted. */
  async remove(): Promise<void> {
    await this.stop();
    await this.#options.store.cdcCursors.delete(this.#sink, undefined, this.#options.fence());
  }

  async #run(): Promise<void> {
    const { world, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        this.#queue ??= new EventQueue(await this.#startingPoint());
        await this.#tellAll(this.#queue);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error, webhook: this.#webhook.uuid }, "a webhook's events could not be read");
        await world.timers.sleep(STORE_RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async #startingPoint(): Promise<number> {
    const { store, world } = this.#options;
    const cursor = await store.cdcCursors.get(this.#sink, ALL_INDEXES);
    const since =
      cursor === undefined ? world.clock.now() - FIRST_LOOK_MS : cursor.lastEventSeq - CLOCK_SKEW_MS;
    return Math.max(this.#webhook.createdAt, since);
  }

  async #tellAll(queue: EventQueue): Promise<void> {
    const { store } = this.#options;
    while (!this.#stopping.signal.aborted) {
      const uids = queue.first(MAX_TASKS);
      if (uids.length > 0) {
        await this.#tell(queue, uids, await store.tasks.getMany(uids));
      } else if (queue.hasMissed) {
        await this.#lookUp(queue);
      } else {
        await this.#storeCursor(queue);
        await this.#announced(queue);
      }
    }
  }

  /** Takes up what finished while nobody listened, or there was no room. */
  async #lookUp(queue: EventQueue): Promise<void> {
    const from = queue.takeMissed();
    if (from === undefined) return;
    let next: TaskUid | undefined;
    do {
      const page = await this.#options.store.tasks.list(
        { afterFinishedAt: from - 1 },
        { limit: MAX_TASKS, reverse: true, ...(next === undefined ? {} : { from: next }) },
      );
      queue.add(page.tasks.filter((task) => this.#isNew(task)));
      next = page.next;
    } while (next !== undefined && !queue.hasMissed && !this.#stopping.signal.aborted);
  }

  async #tell(queue: EventQueue, uids: readonly TaskUid[], rows: readonly TaskRow[]): Promise<void> {
    const finished = rows.filter(({ status }) => isFinalStatus(status));
    const { body, tasks } = await eventBody(finished);
    const told = new Set(finished.slice(0, tasks).map(({ uid }) => uid));
    const left = new Set(finished.slice(tasks).map(({ uid }) => uid));
    if (told.size > 0) {
      const outcome = (await this.#send(body)) ? "delivered" : "dropped";
      if (this.#stopping.signal.aborted && outcome === "dropped") return;
      this.#options.metrics.events.inc({ outcome }, told.size);
    }
    // A task that was deleted meanwhile cannot be told.
    queue.done(uids.filter((uid) => !left.has(uid)));
    this.#count();
    await this.#storeCursor(queue);
  }

  /** True where the webhook took it. */
  async #send(body: Buffer): Promise<boolean> {
    const { world, logger, tuning } = this.#options;
    const { signal } = this.#stopping;
    for (const pause of [...(tuning?.retriesMs ?? RETRIES_MS), undefined]) {
      const { uuid } = this.#webhook;
      const failure = await this.#attempt(body);
      if (failure === undefined) return true;
      if (signal.aborted) return false;
      if (!failure.again || pause === undefined) {
        logger.warn({ webhook: uuid, reason: failure.reason }, "a webhook was not told of finished tasks");
        return false;
      }
      logger.info({ webhook: uuid, reason: failure.reason }, "a webhook is told once more");
      await world.timers.sleep(pause, signal).catch(() => undefined);
    }
    return false;
  }

  async #attempt(body: Buffer): Promise<{ readonly reason: string; readonly again: boolean } | undefined> {
    const { outbound, metrics, tuning } = this.#options;
    const { url, headers } = this.#webhook;
    try {
      const { status } = await outbound.request({
        method: "POST",
        url,
        headers: requestHeaders(headers),
        body,
        timeoutMs: tuning?.timeoutMs ?? TIMEOUT_MS,
        signal: this.#stopping.signal,
      });
      const taken = status >= 200 && status < 300;
      metrics.requests.inc({ outcome: taken ? "taken" : "refused" });
      if (taken) return undefined;
      return { reason: `status ${status}`, again: status === 408 || status === 429 || status >= 500 };
    } catch (error) {
      if (this.#stopping.signal.aborted) return { reason: "the control plane stops", again: false };
      const denied = error instanceof OutboundRefusedError;
      if (!denied && !(error instanceof OutboundUnavailableError)) throw error;
      metrics.requests.inc({ outcome: denied ? "denied" : "unanswered" });
      return { reason: error.message, again: !denied };
    }
  }

  async #storeCursor(queue: EventQueue): Promise<void> {
    const { store, fence, world } = this.#options;
    const now = world.clock.now();
    const row = {
      sink: this.#sink,
      indexUid: ALL_INDEXES,
      lastEventSeq: queue.toldUntil(now),
      updatedAt: now,
    };
    await store.cdcCursors.advance([row], fence());
  }

  #announced(queue: EventQueue): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (queue.size > 0 || queue.hasMissed || this.#stopping.signal.aborted) resolve();
    });
  }

  #count(): void {
    this.#options.metrics.waiting.set({ webhook: this.#webhook.uuid }, this.#queue?.size ?? 0);
  }

  #isNew({ finishedAt }: FinishedTask): boolean {
    return finishedAt !== null && finishedAt >= this.#webhook.createdAt;
  }
}

/** Those of the connection and of the body are not the client's to set. */
const OWN_HEADERS = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function requestHeaders(headers: Webhook["headers"]): Record<string, string> {
  const given = headers
    .map(([name, value]) => [name.toLowerCase(), asBytes(value)] as const)
    .filter(([name]) => !OWN_HEADERS.has(name));
  return {
    accept: "*/*",
    "user-agent": "Miroir",
    ...Object.fromEntries(given),
    "content-encoding": "gzip",
    "content-type": "application/x-ndjson",
  };
}

/** A header's value goes out in UTF-8, and is given as one character for each byte. */
function asBytes(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}
