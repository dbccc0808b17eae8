import { Agent, request } from "undici";
import { CLIENT_KEY } from "./chaos-fleet.js";

/** An answer, or what became of the request without one. */
export type ClientAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      /** Status and error code, such as `503 miroir_no_quorum`. */
      readonly told: string;
      readonly text: string;
      /** Whether it says that shards are missing. */
      readonly degraded: boolean;
    }
  | { readonly kind: "broken"; readonly told: string };

/** A client's connections to the proxies. It never repeats a request. */
export class ClientHttp {
  readonly #agent: Agent;
  readonly #urls: readonly string[];
  readonly #patienceMs: number;

  /** @param urls base URLs of the proxies, in the order of their numbers */
  constructor(urls: readonly string[], patienceMs: number) {
    this.#agent = new Agent({ connections: 8, pipelining: 1, connect: { timeout: 2_000 } });
    this.#urls = urls;
    this.#patienceMs = patienceMs;
  }

  async send(
    proxy: number,
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<ClientAnswer> {
    try {
      const response = await request(`${this.#urls[proxy]}${path}`, {
        dispatcher: this.#agent,
        method,
        headers: {
          authorization: `Bearer ${CLIENT_KEY}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(this.#patienceMs),
      });
      const text = await response.body.text();
      const status = response.statusCode;
      return {
        kind: "answered",
        status,
        told: status < 300 ? `${status}` : `${status} ${errorCode(text)}`,
        text,
        degraded: response.headers["x-miroir-degraded"] !== undefined,
      };
    } catch (error) {
      const { code, name, message } = error as NodeJS.ErrnoException;
      return { kind: "broken", told: `no answer: ${code ?? name}: ${message}` };
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

function errorCode(text: string): string {
  try {
    return String((JSON.parse(text) as { code?: unknown }).code);
  } catch {
    return text.slice(0, 80);
  }
}
