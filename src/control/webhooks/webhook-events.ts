import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { TaskRow } from "../../store/task-store.js";
import { printTask } from "../../tasks/print-task.js";
import { taskToProto } from "../tasks/task-codec.js";

const compress = promisify(gzip);

/** Bytes of events that one request carries at most, unless a single one has more. */
const MAX_BYTES = 8 * 1024 * 1024;

/** The body of a request to a webhook, and how many of the tasks are in it. */
export interface EventBody {
  /** Gzip. */
  readonly body: Buffer;
  readonly tasks: number;
}

/** As many of the tasks, from the first one on, as one request carries: a line each, as the tasks API prints them. */
export async function eventBody(rows: readonly TaskRow[]): Promise<EventBody> {
  const lines: Buffer[] = [];
  let bytes = 0;
  for (const row of rows) {
    const line = Buffer.from(`${printTask(taskToProto(row))}\n`);
    if (lines.length > 0 && bytes + line.length > MAX_BYTES) break;
    lines.push(line);
    bytes += line.length;
  }
  return { body: await compress(Buffer.concat(lines)), tasks: lines.length };
}
