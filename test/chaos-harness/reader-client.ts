/** A client that reads. */
import { setTimeout as sleep } from "node:timers/promises";
import type { SeededRandom } from "../support/random.js";
import type { ClientAnswer, ClientHttp } from "./client-http.js";
import { GROUPS, INDEXES, keysOfGroup, keysOfIndex, markerOf } from "./documents.js";
import type { ReadRecord, ReadVia } from "./history.js";
import type { Recorder } from "./recorder.js";

/** What readers of one run share. */
export interface ReaderContext {
  readonly http: ClientHttp;
  readonly proxies: number;
  readonly recorder: Recorder;
  /** A set that was acknowledged not long ago. */
  recentSet(index: number): number | undefined;
  /** Longest pause between two reads, in milliseconds. */
  readonly pauseMs: number;
}

/** One read, ready to be sent. */
interface Ask {
  readonly via: ReadVia;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  /** Keys that the answer shows if they exist. */
  readonly expected: readonly string[];
  readonly marker?: number;
}

const EVERYTHING = 1_000;

/** Reads until told to stop, and records every answer. */
export async function runReader(
  client: number,
  random: SeededRandom,
  context: ReaderContext,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    await read(client, random.below(context.proxies), draw(random, context), context);
    await sleep(random.below(context.pauseMs));
  }
}

/** Reads every document of every index through every proxy; rejects where one does not answer in full. */
export async function readEverything(
  context: Pick<ReaderContext, "http" | "proxies" | "recorder">,
): Promise<void> {
  for (let proxy = 0; proxy < context.proxies; proxy++) {
    for (const index of INDEXES.keys()) {
      for (const ask of [listing(index, "final"), search(index)]) {
        const whole = await read(-1, proxy, ask, context);
        if (!whole) throw new Error(`proxy ${proxy} does not answer ${ask.method} ${ask.path} in full`);
      }
    }
  }
}

function draw(random: SeededRandom, context: ReaderContext): Ask {
  const index = random.below(INDEXES.length);
  const path = `/indexes/${INDEXES[index]}`;
  const via = random.pick([
    "document",
    "document",
    "fetch",
    "search",
    "search",
    "group-search",
    "marker",
    "listing",
  ] as const);
  switch (via) {
    case "document": {
      const key = random.pick(keysOfIndex(index));
      return { via, method: "GET", path: `${path}/documents/${key}`, expected: [key] };
    }
    case "fetch": {
      const ids = [...new Set(Array.from({ length: 6 }, () => random.pick(keysOfIndex(index))))];
      return {
        via,
        method: "POST",
        path: `${path}/documents/fetch`,
        body: { ids, limit: EVERYTHING },
        expected: ids,
      };
    }
    case "search":
      return search(index);
    case "group-search": {
      const group = random.below(GROUPS);
      const body = { filter: `g = ${group}`, limit: EVERYTHING };
      return { via, method: "POST", path: `${path}/search`, body, expected: keysOfGroup(index, group) };
    }
    case "marker": {
      const marker = context.recentSet(index);
      if (marker === undefined) return search(index);
      const body = { q: `"${markerOf(marker)}"`, limit: EVERYTHING };
      return { via, method: "POST", path: `${path}/search`, body, expected: [], marker };
    }
    case "listing":
      return listing(index, via);
  }
}

function search(index: number): Ask {
  const path = `/indexes/${INDEXES[index]}/search`;
  return { via: "search", method: "POST", path, body: { limit: EVERYTHING }, expected: keysOfIndex(index) };
}

function listing(index: number, via: "listing" | "final"): Ask {
  const path = `/indexes/${INDEXES[index]}/documents?limit=${EVERYTHING}`;
  return { via, method: "GET", path, expected: keysOfIndex(index) };
}

/** Resolves with whether the answer was a whole one. */
async function read(
  client: number,
  proxy: number,
  ask: Ask,
  { http, recorder }: Pick<ReaderContext, "http" | "recorder">,
): Promise<boolean> {
  const start = recorder.now();
  const answer = await http.send(proxy, ask.method, ask.path, ask.body);
  const end = recorder.now();
  const made = { client, via: ask.via, proxy, start, end };
  const found = foundIn(ask, answer);
  if (found === undefined) {
    recorder.add({ kind: "failed-read", ...made, answer: answer.told });
    return false;
  }
  const degraded = answer.kind === "answered" && answer.degraded;
  const marker = ask.marker === undefined ? {} : { marker: ask.marker };
  recorder.add({ kind: "read", ...made, found, expected: degraded ? [] : ask.expected, ...marker });
  return !degraded;
}

/** The documents of an answer with their keys; undefined where it says nothing of them. */
function foundIn(ask: Ask, answer: ClientAnswer): ReadRecord["found"] | undefined {
  if (answer.kind === "broken") return undefined;
  if (ask.via === "document" && answer.told === "404 document_not_found") return [];
  if (answer.status !== 200) return undefined;
  const body = JSON.parse(answer.text) as { hits?: unknown[]; results?: unknown[] };
  const documents = body.hits ?? body.results ?? [body];
  return documents.map(
    (document) => [String((document as { id: unknown }).id), JSON.stringify(document)] as const,
  );
}
