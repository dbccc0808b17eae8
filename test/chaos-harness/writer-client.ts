/** A client that writes. */
import { setTimeout as sleep } from "node:timers/promises";
import type { SeededRandom } from "../support/random.js";
import type { ClientAnswer, ClientHttp } from "./client-http.js";
import { documentOf, GROUPS, groupOf, INDEXES, keysOfGroup, keysOfIndex, SLOTS } from "./documents.js";
import type { WriteKind, WriteOutcome, WriteRecord } from "./history.js";
import type { Recorder } from "./recorder.js";
import type { TaskWatch } from "./task-watch.js";

/** What writers of one run share. */
export interface WriterContext {
  readonly http: ClientHttp;
  readonly proxies: number;
  readonly recorder: Recorder;
  readonly tasks: TaskWatch;
  /** The next write's number. */
  nextWrite(): number;
  /** Told of sets, so that readers can search for their words. */
  onSet(index: number, write: number): void;
  /** Longest pause between two writes, in milliseconds. */
  readonly pauseMs: number;
}

type Drawn = Pick<WriteRecord, "id" | "write" | "keys" | "slot" | "proxy"> & { readonly index: number };

/** Writes until told to stop; each write is recorded when its answer came, and again with its task by whoever watches that. */
export async function runWriter(
  client: number,
  random: SeededRandom,
  context: WriterContext,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    const drawn = draw(random, context);
    const start = context.recorder.now();
    const answer = await send(context.http, drawn);
    const end = context.recorder.now();
    const { index, ...write } = drawn;
    const outcome = outcomeOf(answer);
    const record = { kind: "write", client, ...write, start, end, outcome, answer: answer.told } as const;
    if (answer.kind === "answered" && outcome === "acknowledged") {
      const { taskUid } = JSON.parse(answer.text) as { taskUid: number };
      context.tasks.watch({ ...record, taskUid });
      if (write.write === "set") context.onSet(index, write.id);
    } else {
      context.recorder.add(record);
    }
    await sleep(random.below(context.pauseMs));
  }
}

function draw(random: SeededRandom, context: WriterContext): Drawn {
  const index = random.below(INDEXES.length);
  const write: WriteKind = random.pick([
    ...(["set", "set", "set", "set", "update", "update", "update"] as const),
    ...(["delete", "delete", "delete-by-filter"] as const),
  ]);
  const some = Array.from({ length: 1 + random.below(5) }, () => random.pick(keysOfIndex(index)));
  const group = random.below(GROUPS);
  return {
    id: context.nextWrite(),
    index,
    write,
    keys: write === "delete-by-filter" ? keysOfGroup(index, group) : [...new Set(some)],
    slot: random.below(SLOTS),
    proxy: random.below(context.proxies),
  };
}

function send(http: ClientHttp, { id, index, write, keys, slot, proxy }: Drawn): Promise<ClientAnswer> {
  const path = `/indexes/${INDEXES[index]}/documents`;
  const [first, ...others] = keys;
  switch (write) {
    case "set":
    case "update": {
      const documents = keys.map((key) => documentOf(write, key, id, slot));
      return http.send(proxy, write === "set" ? "POST" : "PUT", path, documents);
    }
    case "delete":
      return others.length === 0
        ? http.send(proxy, "DELETE", `${path}/${first}`)
        : http.send(proxy, "POST", `${path}/delete-batch`, keys);
    case "delete-by-filter":
      return http.send(proxy, "POST", `${path}/delete`, { filter: `g = ${groupOf(first ?? "")}` });
  }
}

/** A 503 promises that nothing was changed; 504, 500 and no answer promise nothing. */
function outcomeOf(answer: ClientAnswer): WriteOutcome {
  if (answer.kind === "broken") return "unknown";
  if (answer.status === 202) return "acknowledged";
  return answer.status === 503 || answer.status < 500 ? "refused" : "unknown";
}
