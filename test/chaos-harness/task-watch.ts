/** Asks for the tasks of acknowledged writes until they are over. */
import { setTimeout as sleep } from "node:timers/promises";
import type { SeededRandom } from "../support/random.js";
import type { ClientHttp } from "./client-http.js";
import type { SeenTask, WriteRecord } from "./history.js";
import type { Recorder } from "./recorder.js";

/** Tasks that are asked for at once. */
const MOST_UIDS = 50;
const LOOK_MS = 100;

interface TaskRow {
  readonly uid: number;
  readonly status: SeenTask["status"] | "enqueued" | "processing";
  readonly error?: unknown;
}

/** Watches tasks through whichever proxy, and records each write once its task has ended. */
export class TaskWatch {
  readonly #open = new Map<number, WriteRecord>();
  readonly #http: ClientHttp;
  readonly #proxies: number;
  readonly #recorder: Recorder;

  constructor(http: ClientHttp, proxies: number, recorder: Recorder) {
    this.#http = http;
    this.#proxies = proxies;
    this.#recorder = recorder;
  }

  /** How many tasks have not ended yet. */
  get open(): number {
    return this.#open.size;
  }

  watch(write: WriteRecord & { readonly taskUid: number }): void {
    this.#open.set(write.taskUid, write);
  }

  /** Asks until told to stop. */
  async run(random: SeededRandom, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      if (this.#open.size > 0) await this.#look(random);
      await sleep(LOOK_MS);
    }
  }

  /** Records the writes whose tasks nobody saw end. */
  giveUp(): void {
    for (const write of this.#open.values()) this.#recorder.add(write);
    this.#open.clear();
  }

  async #look(random: SeededRandom): Promise<void> {
    const open = [...this.#open.keys()];
    // A random part of them, so that one that never ends does not hide the others.
    const first = open.length > MOST_UIDS ? random.below(open.length - MOST_UIDS) : 0;
    const uids = open.slice(first, first + MOST_UIDS);
    const path = `/tasks?limit=${MOST_UIDS}&uids=${uids.join(",")}`;
    const answer = await this.#http.send(random.below(this.#proxies), "GET", path);
    if (answer.kind === "broken" || answer.status !== 200) return;
    const at = this.#recorder.now();
    for (const { uid, status, error } of (JSON.parse(answer.text) as { results: TaskRow[] }).results) {
      const write = this.#open.get(uid);
      if (write === undefined || status === "enqueued" || status === "processing") continue;
      this.#open.delete(uid);
      const shown = error === undefined || error === null ? {} : { error: JSON.stringify(error) };
      this.#recorder.add({ ...write, task: { status, at, ...shown } });
    }
  }
}
