import { Pool } from "undici";

/** A request of a load; made fresh for each turn so that runs can vary it. */
export interface LoadRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
}

/** What a closed loop measured. */
export interface LoadResult {
  readonly requests: number;
  /** Answers with another status than expected. */
  readonly failures: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Settings of {@link closedLoop}. */
export interface LoadOptions {
  readonly url: string;
  readonly key?: string;
  /** Clients; each sends its next request when it has the whole answer to the last one. */
  readonly clients: number;
  readonly durationMs: number;
  /** Gives the request of a turn. */
  request(turn: number): LoadRequest;
}

/** Loads a server with `clients` callers for `durationMs` and measures every answer. */
export async function closedLoop(options: LoadOptions): Promise<LoadResult> {
  const pool = new Pool(options.url, { connections: options.clients });
  const latencies: number[] = [];
  let failures = 0;
  let turn = 0;
  const headers = {
    "content-type": "application/json",
    ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
  };
  const started = performance.now();
  const end = started + options.durationMs;
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const { method, path, body } = options.request(turn++);
      const sent = performance.now();
      const answer = await pool.request({ method, path, headers, body: body ?? null });
      await answer.body.arrayBuffer();
      latencies.push(performance.now() - sent);
      if (answer.statusCode !== 200) failures++;
    }
  };
  await Promise.all(Array.from({ length: options.clients }, client));
  const elapsed = performance.now() - started;
  await pool.close();
  latencies.sort((left, right) => left - right);
  return {
    requests: latencies.length,
    failures,
    perSecond: (latencies.length * 1_000) / elapsed,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
  };
}

/** The value below which `fraction` of the ascending `values` lie; NaN where there are none. */
export function quantile(values: readonly number[], fraction: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * fraction))] ?? Number.NaN;
}

/** The middle one of `values`. */
export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((left, right) => left - right),
    0.5,
  );
}
