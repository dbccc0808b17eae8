import { request } from "undici";
import { CommandError, ExitCode } from "./exit-codes.js";

/** A proxy's HTTP API, as commands use it. */
export interface ProxyApi {
  readonly url: string;
  /**
   * Parsed body of a 2xx answer. A body that is a text or a buffer goes as NDJSON, anything else as JSON.
   *
   * @throws ProxyRefusalError for any other answer; CommandError (unreachable) where there is none
   */
  call<T>(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T>;
  /** Resolves once the task has succeeded; rejects with its error, or after `timeoutMs`. */
  taskDone(taskUid: number, timeoutMs: number): Promise<void>;
}

/** The answer to a write. */
export interface EnqueuedAnswer {
  readonly taskUid: number;
}

/** The proxy refused a request. */
export class ProxyRefusalError extends CommandError {
  readonly status: number;
  /** Meilisearch's error code; empty where the answer has none. */
  readonly code: string;

  constructor(what: string, status: number, text: string) {
    const isAuth = status === 401 || status === 403;
    super(isAuth ? ExitCode.refused : ExitCode.failure, `${what} answered ${status}: ${text}`);
    this.status = status;
    this.code = /"code":"([a-z_]+)"/.exec(text)?.[1] ?? "";
  }
}

const POLL_MS = 50;

/** A client of the proxy at `url`. `sleep` waits between two looks at a task. */
export function createProxyApi(
  url: string,
  key: string | undefined,
  sleep: (delayMs: number) => Promise<void>,
): ProxyApi {
  const call = async <T>(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<T> => {
    const isNdjson = typeof body === "string" || Buffer.isBuffer(body);
    const response = await request(url + path, {
      method,
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined
          ? {}
          : { "content-type": isNdjson ? "application/x-ndjson" : "application/json" }),
      },
      body: body === undefined ? null : isNdjson ? body : JSON.stringify(body),
    }).catch((error: unknown) => {
      throw new CommandError(ExitCode.unreachable, `${url} does not answer`, { cause: error });
    });
    const text = await response.body.text();
    if (response.statusCode >= 300)
      throw new ProxyRefusalError(`${method} ${path}`, response.statusCode, text);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  };
  return {
    url,
    call,
    taskDone: async (taskUid, timeoutMs) => {
      for (let waited = 0; ; waited += POLL_MS) {
        const task = await call<{ status: string; error: { message: string } | null }>(
          "GET",
          `/tasks/${taskUid}`,
        );
        if (task.status === "succeeded") return;
        if (task.status === "failed" || task.status === "canceled") {
          throw new CommandError(
            ExitCode.failure,
            `task ${taskUid} ${task.status}: ${task.error?.message ?? "no error given"}`,
          );
        }
        if (waited > timeoutMs)
          throw new CommandError(
            ExitCode.failure,
            `task ${taskUid} is still ${task.status} after ${timeoutMs} ms`,
          );
        await sleep(POLL_MS);
      }
    },
  };
}

/** Statuses after which the same request may succeed: the fleet is busy, or between two writers. */
const PASSING = new Set([408, 429, 503, 504]);
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;

/**
 * An API that repeats what a busy or changing fleet could not do at once, until `patienceMs` have passed without success. Only for requests
 * that have the same effect twice as once.
 */
export function withPatience(
  api: ProxyApi,
  patienceMs: number,
  time: { now(): number; sleep(delayMs: number): Promise<void> },
): ProxyApi {
  const patiently = async <T>(work: () => Promise<T>): Promise<T> => {
    const until = time.now() + patienceMs;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
      try {
        return await work();
      } catch (error) {
        const isPassing =
          error instanceof ProxyRefusalError
            ? PASSING.has(error.status)
            : error instanceof CommandError && error.exitCode === ExitCode.unreachable;
        if (!isPassing || time.now() + pause > until) throw error;
      }
      await time.sleep(pause);
    }
  };
  return {
    url: api.url,
    call: (method, path, body) => patiently(() => api.call(method, path, body)),
    taskDone: (taskUid, timeoutMs) => patiently(() => api.taskDone(taskUid, timeoutMs)),
  };
}
