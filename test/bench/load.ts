import { quantile } from "./quantiles.js";
import { RawConnection, rawRequest } from "./raw-connection.js";

/** A request of a load. */
export interface LoadRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
}

/** What a load measured. */
export interface LoadResult {
  readonly requests: number;
  /** Answers with another status than 200. */
  readonly failures: number;
  /** Answers with status 200 that the load's check refused. */
  readonly wrong: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** What is sent where, and what has to come back. */
export interface Load {
  readonly url: string;
  readonly key?: string;
  /** Sent one after the other, round and round. */
  readonly requests: readonly LoadRequest[];
  readonly durationMs: number;
  /** Whether the answer to request `at` is right; every answer is, unless given. */
  readonly isRight?: (at: number, body: Buffer) => boolean;
}

/** Loads a server with `clients` callers, each of which sends its next request when it has the whole answer to the last one. */
export async function closedLoop(load: Load & { readonly clients: number }): Promise<LoadResult> {
  const record = new Record(load);
  const connections = await connectAll(load.url, load.clients);
  const started = performance.now();
  const end = started + load.durationMs;
  let turn = 0;
  const client = async (connection: RawConnection): Promise<void> => {
    while (performance.now() < end) await record.send(connection, turn++, performance.now());
  };
  try {
    await Promise.all(connections.map(client));
    return record.result(performance.now() - started);
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Requests that may be under way at once in an open loop; what is due beyond it waits, and its time runs. */
const MAX_OPEN = 256;

/**
 * Loads a server at a constant rate, whatever it takes to answer. A request's time runs from when it was due, not from when it
 * was sent: a server that stalls pays for every request that it kept waiting (no coordinated omission).
 */
export async function openLoop(load: Load & { readonly perSecond: number }): Promise<LoadResult> {
  const record = new Record(load);
  const idle = await connectAll(load.url, Math.min(MAX_OPEN, Math.max(16, Math.ceil(load.perSecond / 20))));
  const connections = [...idle];
  const underWay = new Set<Promise<void>>();
  const started = performance.now();
  const total = Math.floor((load.durationMs / 1_000) * load.perSecond);
  const dueAt = (turn: number): number => started + (turn * 1_000) / load.perSecond;
  const sendOne = async (connection: RawConnection, turn: number): Promise<void> => {
    await record.send(connection, turn, dueAt(turn));
    idle.push(connection);
  };
  try {
    for (let turn = 0; turn < total; ) {
      const now = performance.now();
      while (turn < total && dueAt(turn) <= now) {
        const connection = idle.pop() ?? (await anotherConnection(load.url, connections, underWay, idle));
        const sent = sendOne(connection, turn++);
        underWay.add(sent);
        void sent.finally(() => underWay.delete(sent));
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(underWay);
    return record.result(performance.now() - started);
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function anotherConnection(
  url: string,
  connections: RawConnection[],
  underWay: ReadonlySet<Promise<void>>,
  idle: RawConnection[],
): Promise<RawConnection> {
  while (connections.length >= MAX_OPEN) {
    await Promise.race(underWay);
    const free = idle.pop();
    if (free !== undefined) return free;
  }
  const [added] = await connectAll(url, 1);
  if (added === undefined) throw new Error(`no connection to ${url}`);
  connections.push(added);
  return added;
}

async function connectAll(url: string, count: number): Promise<RawConnection[]> {
  const connections = Array.from({ length: count }, () => new RawConnection(url));
  await Promise.all(connections.map((connection) => connection.opened()));
  return connections;
}

/** What came back of a load. */
class Record {
  readonly #requests: readonly Buffer[];
  readonly #latencies: number[] = [];
  #failures = 0;
  #wrong = 0;

  constructor(private readonly load: Load) {
    this.#requests = load.requests.map((request) => rawRequest(load.url, request, load.key));
  }

  async send(connection: RawConnection, turn: number, since: number): Promise<void> {
    const at = turn % this.#requests.length;
    const request = this.#requests[at];
    if (request === undefined) throw new Error("a load needs requests");
    const { status, body } = await connection.send(request);
    this.#latencies.push(performance.now() - since);
    if (status !== 200) this.#failures++;
    else if (this.load.isRight?.(at, body) === false) this.#wrong++;
  }

  result(elapsedMs: number): LoadResult {
    const latencies = Float64Array.from(this.#latencies).sort();
    return {
      requests: latencies.length,
      failures: this.#failures,
      wrong: this.#wrong,
      perSecond: (latencies.length * 1_000) / elapsedMs,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
    };
  }
}
