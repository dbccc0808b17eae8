import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { errorLink, type MeilisearchErrorBody, parseErrorBody } from "../../meilisearch/errors.js";
import {
  type OutboundHttp,
  OutboundRefusedError,
  type OutboundRequest,
  type OutboundResponse,
  OutboundUnavailableError,
} from "../../outbound/outbound-http.js";
import type { World } from "../../runtime/world.js";

const compress = promisify(gzip);

/** What a {@link RemoteMeilisearch} works with. */
export interface RemoteOptions {
  readonly outbound: OutboundHttp;
  readonly world: World;
  /** Base URL. */
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly signal: AbortSignal;
  /** How long a request is repeated that may be taken later. Milliseconds; 15 minutes unless given, as in Meilisearch. */
  readonly patienceMs?: number | undefined;
}

/** The other Meilisearch refuses what it is sent, or cannot be reached. */
export class ExportRefusedError extends Error {
  override readonly name = "ExportRefusedError";
  /** What the other one answered; undefined where it gave no error of Meilisearch's. */
  readonly body: MeilisearchErrorBody | undefined;

  constructor(message: string, body?: MeilisearchErrorBody, options?: ErrorOptions) {
    super(message, options);
    this.body = body;
  }
}

const PATIENCE_MS = 15 * 60_000;
const TIMEOUT_MS = 60_000;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;
const PAUSE_FACTOR = 1.5;
/** Answers after which a request is repeated. */
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

/** Another Meilisearch, or Miroir, that indexes are copied to through its own API. */
export class RemoteMeilisearch {
  readonly #options: RemoteOptions;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  /** @throws ExportRefusedError */
  async hasIndex(uid: string): Promise<boolean> {
    try {
      await this.#send("GET", `/indexes/${uid}`);
      return true;
    } catch (error) {
      if (error instanceof ExportRefusedError && error.body?.code === "index_not_found") return false;
      throw error;
    }
  }

  /** @throws ExportRefusedError */
  async createIndex(uid: string, primaryKey: string | undefined): Promise<void> {
    await this.#send("POST", "/indexes", json({ uid, primaryKey: primaryKey ?? null }));
  }

  /** @throws ExportRefusedError */
  async setPrimaryKey(uid: string, primaryKey: string | undefined): Promise<void> {
    await this.#send("PATCH", `/indexes/${uid}`, json({ primaryKey: primaryKey ?? null }));
  }

  /** @throws ExportRefusedError */
  async setSettings(uid: string, settings: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#send("PATCH", `/indexes/${uid}/settings`, json(settings));
  }

  /** @param documents raw JSON of each @throws ExportRefusedError */
  async addDocuments(uid: string, documents: readonly Buffer[]): Promise<void> {
    const lines = documents.flatMap((document) => [document, LINE_END]);
    await this.#send("POST", `/indexes/${uid}/documents`, {
      body: await compress(Buffer.concat(lines)),
      headers: { "content-type": "application/x-ndjson", "content-encoding": "gzip" },
    });
  }

  async #send(
    method: OutboundRequest["method"],
    path: string,
    content: Pick<OutboundRequest, "body" | "headers"> = { headers: {} },
  ): Promise<OutboundResponse> {
    const { outbound, world, url, apiKey, signal, patienceMs = PATIENCE_MS } = this.#options;
    const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const request: OutboundRequest = {
      ...content,
      method,
      url: url.replace(/\/+$/, "") + path,
      headers: { ...content.headers, ...authorization },
      timeoutMs: TIMEOUT_MS,
      signal,
    };
    const until = world.clock.monotonic() + patienceMs;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * PAUSE_FACTOR, MAX_PAUSE_MS)) {
      const outcome = await attempt(outbound, request);
      if ("response" in outcome) return outcome.response;
      if (!outcome.again || world.clock.monotonic() + pause >= until) throw outcome.error;
      await world.timers.sleep(pause * (0.5 + world.random.next()), signal);
    }
  }
}

const LINE_END = Buffer.from("\n");

function json(value: unknown): Pick<OutboundRequest, "body" | "headers"> {
  return { body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

type Outcome =
  | { readonly response: OutboundResponse }
  | { readonly error: ExportRefusedError; readonly again: boolean };

async function attempt(outbound: OutboundHttp, request: OutboundRequest): Promise<Outcome> {
  try {
    const response = await outbound.request(request);
    if (response.status >= 200 && response.status < 300) return { response };
    return { error: refusal(response), again: PASSING.has(response.status) };
  } catch (error) {
    const denied = error instanceof OutboundRefusedError;
    if (!denied && !(error instanceof OutboundUnavailableError)) throw error;
    return { error: new ExportRefusedError(error.message, undefined, { cause: error }), again: !denied };
  }
}

/** In Meilisearch's words, where it has some. */
function refusal({ status, body }: OutboundResponse): ExportRefusedError {
  const parsed = parseErrorBody(body);
  if (parsed === undefined) {
    return new ExportRefusedError(
      `the remote server answered with status ${status} and no error of Meilisearch's`,
    );
  }
  const { code, type, message, link = errorLink(code) } = parsed;
  return new ExportRefusedError(
    `Failed to export documents to remote server ${code} (${type}): ${message} <${link}>`,
    parsed,
  );
}
