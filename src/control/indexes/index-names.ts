import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import { createSharedAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import {
  isFinalStatus,
  type TaskErrorRow,
  type TaskRow,
  type TaskStore,
  taskUid,
} from "../../store/task-store.js";
import { enqueuedTask } from "../tasks/enqueued-task.js";
import type { TaskRegistry } from "../tasks/task-registry.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { changeNames, changeOf, detailsOf, type NameChange, namesOf } from "./name-changes.js";

/** What {@link IndexNames} works with. */
export interface IndexNamesOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly registry: TaskRegistry;
  readonly world: World;
  readonly logger: Logger;
  /** Resolves when the connected proxies know an epoch, or cannot be waited for any longer. */
  readonly acknowledged?: (epoch: Epoch) => Promise<void>;
  /** How long earlier tasks on the indexes are waited for. Milliseconds; 60,000 unless given. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 60_000;
const POLL_MS = 25;
const MAX_POLL_MS = 500;
const RETRY_MS = 500;
const MAX_RUNNING = 1_000;
/** Open tasks looked at for one that is in front: the others among them change names themselves. */
const LOOKED_AT = 100;

/**
 * Runs the tasks that change names of indexes. Names live in the catalogue, so each is one epoch (design §8). As on one
 * Meilisearch the names change once the tasks in front are final, so that whoever waits for the task finds what was written before it;
 * a node that stays away holds it up for {@link IndexNamesOptions.patienceMs} at most, after which only what is seen of those tasks
 * is late, not their order. A task is recorded before it runs, and safe to run again: the topology tells which task gave a name.
 */
export class IndexNames {
  readonly #options: IndexNamesOptions;
  readonly #running = new Map<
    number,
    { readonly names: ReadonlySet<string>; readonly done: Promise<Epoch | undefined> }
  >();
  readonly #stopping = createSharedAbort();

  constructor(options: IndexNamesOptions) {
    this.#options = options;
  }

  /** Records the task and runs it; resolves with the epoch that holds its outcome, or with nothing after `waitMs`. */
  async run(uid: number, change: NameChange, waitMs: number): Promise<Epoch | undefined> {
    const { store, topology, registry, world } = this.#options;
    let running = this.#running.get(uid)?.done;
    if (running === undefined) {
      let row = await store.tasks.get(taskUid(uid));
      if (row !== undefined && isFinalStatus(row.status)) return topology.current().epoch;
      if (row === undefined) {
        row = rowOf(uid, change, world.clock.now());
        await registry.register([row]);
      }
      running = this.#start(row, change);
    }
    const waited = new AbortController();
    const timeout = world.timers.sleep(waitMs, waited.signal).then(
      () => undefined,
      () => undefined,
    );
    try {
      return await Promise.race([running, timeout]);
    } finally {
      waited.abort();
    }
  }

  /** Takes up the tasks that were open when the control plane stopped. */
  async resume(): Promise<void> {
    const page = await this.#options.store.tasks.list(
      { types: ["indexSwap", "indexUpdate"], statuses: ["enqueued", "processing"] },
      { limit: 10_000, reverse: true },
    );
    for (const row of page.tasks) {
      const change = changeOf(row);
      if (change === undefined) continue;
      this.#start(row, change).catch((error: unknown) => {
        this.#options.logger.error({ err: error, task: row.uid }, "names of indexes were not changed");
      });
    }
  }

  /** Ends what is under way; it is taken up again by {@link resume}. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the control plane stops"));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /**
   * Resolves once no change is under way that gives or takes this name. An index that is made for a write waits for it: the writer of another
   * index holds back only what it is sent itself.
   */
  async settled(indexUid: string): Promise<void> {
    const changes = [...this.#running.values()].filter(({ names }) => names.has(indexUid));
    await Promise.all(changes.map(({ done }) => done));
  }

  #start(row: TaskRow, change: NameChange): Promise<Epoch | undefined> {
    const held = this.#running.get(row.uid)?.done;
    if (held !== undefined) return held;
    if (this.#running.size >= MAX_RUNNING) {
      throw new ConnectError(`${MAX_RUNNING} changes of names are under way`, Code.ResourceExhausted);
    }
    const running = this.#untilDone(row, change).finally(() => this.#running.delete(row.uid));
    this.#running.set(row.uid, { names: new Set(namesOf(change)), done: running });
    return running;
  }

  async #untilDone(row: TaskRow, change: NameChange): Promise<Epoch | undefined> {
    const { world, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#inFrontDone(row, change);
        return await this.#apply(row, change);
      } catch (error) {
        if (signal.aborted) break;
        logger.warn({ err: error, task: row.uid }, "names of indexes could not be changed yet");
      }
      await world.timers.sleep(RETRY_MS, signal).catch(() => undefined);
    }
    return undefined;
  }

  async #inFrontDone(row: TaskRow, change: NameChange): Promise<void> {
    const { store, world, logger, patienceMs = PATIENCE_MS } = this.#options;
    const indexUids = [...new Set(namesOf(change))];
    if (indexUids.length === 0) return;
    const until = world.clock.monotonic() + patienceMs;
    for (let pause = POLL_MS; ; pause = Math.min(pause * 1.5, MAX_POLL_MS)) {
      const open = await store.tasks.list(
        { indexUids, statuses: ["enqueued", "processing"] },
        { limit: LOOKED_AT, reverse: true },
      );
      // Of those that change names themselves only the earlier ones are waited for, or two would wait for each other.
      const inFront = open.tasks.find((task) => changeOf(task) === undefined || task.uid < row.uid);
      if (inFront === undefined) return;
      if (world.clock.monotonic() >= until) {
        logger.warn(
          { task: row.uid, waitedFor: inFront.uid },
          "names of indexes change before earlier tasks are final",
        );
        return;
      }
      await world.timers.sleep(pause, this.#stopping.signal);
    }
  }

  async #apply(row: TaskRow, change: NameChange): Promise<Epoch | undefined> {
    const { topology, registry, world, acknowledged } = this.#options;
    const startedAt = world.clock.now();
    const outcome: { error: TaskErrorRow | null } = { error: null };
    const next = await topology.change(`names of indexes by task ${row.uid}`, (draft) => {
      outcome.error = null;
      if (draft.indexes.some((index) => index.namedByTask === BigInt(row.uid))) return;
      outcome.error = changeNames(draft, change, row.uid, startedAt) ?? null;
    });
    if (next.epoch !== undefined) await acknowledged?.(next.epoch);
    const { error } = outcome;
    await registry.conclude([
      {
        row,
        verdict: {
          status: error === null ? "succeeded" : "failed",
          error,
          detailsJson: row.detailsJson,
          startedAt,
          finishedAt: world.clock.now(),
          divergent: [],
        },
      },
    ]);
    return next.epoch;
  }
}

function rowOf(uid: number, change: NameChange, now: number): TaskRow {
  return enqueuedTask({
    uid: taskUid(uid),
    indexUid: change.kind === "swap" ? null : change.uid,
    instance: null,
    type: change.kind === "swap" ? "indexSwap" : "indexUpdate",
    detailsJson: detailsOf(change),
    enqueuedAt: now,
  });
}
