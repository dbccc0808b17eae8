import { request } from "undici";
import { CommandError, ExitCode } from "../exit-codes.js";

/** The proxy's HTTP API, as `miroir dev` uses it on its own fleet. */
export interface ProxyApi {
  readonly url: string;
  /** Parsed body of a 2xx answer; rejects with {@link CommandError} for any other. */
  call<T>(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T>;
  /** Resolves once the task has succeeded; rejects with its error, or after `timeoutMs`. */
  taskDone(taskUid: number, timeoutMs: number): Promise<void>;
}

/** The answer to a write. */
export interface EnqueuedAnswer {
  readonly taskUid: number;
}

/** A client of the proxy at `url`. `sleep` waits between two looks at a task. */
export function createProxyApi(
  url: string,
  masterKey: string | undefined,
  sleep: (delayMs: number) => Promise<void>,
): ProxyApi {
  const call = async <T>(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<T> => {
    const response = await request(url + path, {
      method,
      headers: {
        ...(masterKey === undefined ? {} : { authorization: `Bearer ${masterKey}` }),
        ...(body === undefined
          ? {}
          : { "content-type": typeof body === "string" ? "application/x-ndjson" : "application/json" }),
      },
      body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) {
      throw new CommandError(ExitCode.failure, `${method} ${path} answered ${response.statusCode}: ${text}`);
    }
    return (text === "" ? undefined : JSON.parse(text)) as T;
  };
  return {
    url,
    call,
    taskDone: async (taskUid, timeoutMs) => {
      for (let waited = 0; ; waited += 50) {
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
        await sleep(50);
      }
    },
  };
}
