import { createSharedAbort } from "../../runtime/abort.js";
import type { Admission } from "./admission.js";
import { deadlineOf } from "./deadlines.js";
import type { ReadAnswer, SearchRequest, SearchService } from "./search.js";

/** Bodies above this many bytes are not compared with others. */
const MAX_BODY_BYTES = 65_536;

/** What {@link admittedSearch} is told. */
export interface AdmittedSearchOptions {
  readonly admission: Admission;
  /** Whether equal searches that wait are answered by one. */
  readonly coalesces: boolean;
  /** Clients that may wait for searches of others. */
  readonly maxJoined: number;
  /** A search has joined another one. */
  onJoin(): void;
}

/**
 * `search` by turns: a search waits where too many run already. What waits is joined by searches of the same index that ask the same
 * and may see the same, and one is sent for all of them.
 *
 * Nothing joins a search that was sent. Each one asks nodes only after it came in, as it would alone, so it sees what was written
 * before it: a client that knows of a finished task finds its documents. Whoever leaves is not waited for, and stops the search
 * only where nobody else waits for it.
 */
export function admittedSearch(search: SearchService, options: AdmittedSearchOptions): SearchService {
  const { admission, coalesces, maxJoined, onJoin } = options;
  const waiting = new Map<string, JointSearch>();
  let joined = 0;

  const start = (key: string, indexUid: string, request: SearchRequest): JointSearch => {
    const close = (): void => {
      if (waiting.get(key) === joint) waiting.delete(key);
    };
    const joint: JointSearch = new JointSearch(
      (signal) =>
        admission.run(signal, () => {
          close();
          return search.search(indexUid, request, signal);
        }),
      close,
    );
    waiting.set(key, joint);
    return joint;
  };

  const alone: SearchService["search"] = (indexUid, request, signal) =>
    admission.run(signal, () => search.search(indexUid, request, signal));

  const inTurn: SearchService["search"] = async (indexUid, request, signal) => {
    // Who has a time of its own to wait shares it with nobody.
    const key = deadlineOf(signal) < Number.POSITIVE_INFINITY ? undefined : keyOf(indexUid, request);
    if (key === undefined) return alone(indexUid, request, signal);
    signal.throwIfAborted();
    const known = waiting.get(key);
    if (known === undefined) return start(key, indexUid, request).answerFor(signal);
    if (joined >= maxJoined) return alone(indexUid, request, signal);
    joined++;
    onJoin();
    try {
      return await known.answerFor(signal);
    } finally {
      joined--;
    }
  };

  return {
    search: (indexUid, request, signal) =>
      admission.isBusy && coalesces ? inTurn(indexUid, request, signal) : alone(indexUid, request, signal),
  };
}

/** One search for the clients that wait for it. */
class JointSearch {
  private readonly stop = createSharedAbort();
  private readonly answer: Promise<ReadAnswer>;
  private clients = 0;

  /**
   * @param run begins the search, to be stopped by the signal
   * @param close keeps others from joining
   */
  constructor(
    run: (signal: AbortSignal) => Promise<ReadAnswer>,
    private readonly close: () => void,
  ) {
    this.answer = run(this.stop.signal).finally(close);
    // Where everybody has left, nobody hears of it.
    this.answer.catch(() => undefined);
  }

  answerFor(signal: AbortSignal): Promise<ReadAnswer> {
    this.clients++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal.reason);
        if (--this.clients > 0) return;
        this.close();
        this.stop.abort(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.answer.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }
}

/**
 * Equal for searches that get the same answer at the same time: what the client sent, byte for byte, and the filter as its key's and tenant
 * token's rights have narrowed it. Undefined for a search that is answered by itself.
 */
function keyOf(
  indexUid: string,
  { parameters, original, includeMetadata }: SearchRequest,
): string | undefined {
  // What asks for metadata is told apart from others by its answer's name.
  if (parameters === undefined || includeMetadata === true) return undefined;
  const { method, path, body = "" } = original;
  if (body.length > MAX_BODY_BYTES) return undefined;
  const text = typeof body === "string" ? body : body.toString("latin1");
  return JSON.stringify([indexUid, method, path, text, parameters.filter]);
}
