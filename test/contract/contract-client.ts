import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";

/** An answer of a node: its status, text, and JSON where it has one. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  /** The parsed body; `undefined` for an empty one. */
  readonly json: Json;
}

/** JSON as suites read it: any member may be asked for. */
// biome-ignore lint/suspicious/noExplicitAny: assertions reach into answers of any shape
export type Json = any;

/** What one request carries besides its method, path and body. */
export interface SendOptions {
  /** `null` sends none; default `application/json` where there is a body. */
  readonly contentType?: string | null;
  /** The key to send; `null` sends none; default the client's. */
  readonly key?: string | null;
}

/** A client that sees exactly what a node answers. */
export class ContractClient {
  readonly url: string;
  readonly #key: string | undefined;

  constructor(url: string, key: string | undefined) {
    this.url = url;
    this.#key = key;
  }

  /** Sends a request; a string body goes as it is, anything else as JSON. */
  async send(method: string, path: string, body?: unknown, options: SendOptions = {}): Promise<Answer> {
    const key = options.key === undefined ? this.#key : options.key;
    const type =
      options.contentType === undefined
        ? body === undefined
          ? null
          : "application/json"
        : options.contentType;
    const response = await request(this.url + path, {
      method: method as "GET",
      headers: {
        ...(typeof key === "string" && { authorization: `Bearer ${key}` }),
        ...(typeof type === "string" && { "content-type": type }),
      },
      body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.body.text();
    return { status: response.statusCode, text, json: text === "" ? undefined : JSON.parse(text) };
  }

  /** Waits for a task to end and returns it, however it ended. */
  async task(uid: number): Promise<Json> {
    for (const deadline = performance.now() + 30_000; ; await sleep(10)) {
      const { json } = await this.send("GET", `/tasks/${uid}`);
      if (json.status !== "enqueued" && json.status !== "processing") return json;
      if (performance.now() > deadline) throw new Error(`task ${uid} of ${this.url} does not end`);
    }
  }

  /** Sends a request that enqueues a task, and waits for that. */
  async run(method: string, path: string, body?: unknown, options?: SendOptions): Promise<Json> {
    const answer = await this.send(method, path, body, options);
    if (answer.json?.taskUid === undefined)
      throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return this.task(answer.json.taskUid);
  }
}
