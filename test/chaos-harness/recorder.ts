import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";
import type { HistoryRecord } from "./history.js";

/** Keeps the history of a run, in memory for the checker and line by line in a file for people. */
export class Recorder {
  readonly history: HistoryRecord[] = [];
  readonly #file: WriteStream;
  readonly #began = performance.now();

  constructor(folder: string) {
    this.#file = createWriteStream(join(folder, "history.jsonl"));
  }

  /** Milliseconds since the run began. */
  now(): number {
    return performance.now() - this.#began;
  }

  add(record: HistoryRecord): void {
    this.history.push(record);
    this.#file.write(`${JSON.stringify(record)}\n`);
  }

  /** Records that something happened now. */
  event(what: string): void {
    this.add({ kind: "event", at: this.now(), what });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#file.end(resolve));
  }
}
