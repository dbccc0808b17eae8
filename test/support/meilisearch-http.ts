import { request } from "undici";

/** A minimal Meilisearch client for suites and benchmarks: it sees exactly what any client sees. */
export interface MeilisearchHttp {
  readonly url: string;
  /** Sends a request; resolves whatever the status. Objects are sent as JSON. */
  send(method: string, path: string, body?: unknown, contentType?: string): Promise<HttpAnswer>;
  /** As {@link send}, but rejects unless the status is 2xx; resolves with the parsed body. */
  ok<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<T>;
  /** Resolves with the finished task, asked for every `pollMs` (25); rejects when it did not succeed or after `timeoutMs` (120,000). */
  waitForTask(taskUid: number, timeoutMs?: number, pollMs?: number): Promise<Record<string, unknown>>;
}

/** Status, headers and body of an answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A client for the server at `url`. */
export function meilisearchHttp(url: string, key?: string): MeilisearchHttp {
  const base = url.replace(/\/+$/, "");
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<HttpAnswer> => {
    const raw = body === undefined || typeof body === "string" || Buffer.isBuffer(body);
    const response = await request(base + path, {
      method: method as "GET",
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "content-type": contentType }),
      },
      body: raw ? ((body as string | Buffer | undefined) ?? null) : JSON.stringify(body),
      headersTimeout: 120_000,
    });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  };
  const ok = async <T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T> => {
    const answer = await send(method, path, body, contentType);
    if (answer.status >= 300)
      throw new Error(`${method} ${base}${path} answered ${answer.status}: ${answer.text}`);
    return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
  };
  return {
    url: base,
    send,
    ok,
    waitForTask: async (taskUid, timeoutMs = 120_000, pollMs = 25) => {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const task = await ok<Record<string, unknown>>("GET", `/tasks/${taskUid}`);
        if (task.status === "succeeded") return task;
        if (task.status === "failed" || task.status === "canceled") {
          throw new Error(`task ${taskUid} of ${base} ${task.status}: ${JSON.stringify(task.error)}`);
        }
        if (performance.now() > deadline)
          throw new Error(`task ${taskUid} of ${base} is still ${task.status} after ${timeoutMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    },
  };
}
