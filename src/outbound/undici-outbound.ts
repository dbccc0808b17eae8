import { lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, request as undiciRequest } from "undici";
import type { IpPolicy } from "./ip-policy.js";
import {
  type OutboundHttp,
  OutboundRefusedError,
  type OutboundRequest,
  type OutboundResponse,
  OutboundUnavailableError,
} from "./outbound-http.js";

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Sends over HTTP/1.1 to what `policy` allows. The addresses of a name are looked at when it is resolved, so that no name leads elsewhere. */
export function createUndiciOutbound(policy: IpPolicy): OutboundHttp {
  const agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MS, lookup: guardedLookup(policy) },
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    request: (request) => send(agent, policy, request),
    close: () => agent.close(),
  };
}

async function send(agent: Agent, policy: IpPolicy, request: OutboundRequest): Promise<OutboundResponse> {
  const url = checkedUrl(request.url, policy);
  // A signal composed of one that lives as long as the process would never be let go.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), request.timeoutMs);
  const onAbort = (): void => controller.abort();
  if (request.signal?.aborted === true) onAbort();
  else request.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const response = await undiciRequest(url, {
      dispatcher: agent,
      method: request.method,
      headers: request.headers,
      body: request.body ?? null,
      signal: controller.signal,
    });
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= MAX_ANSWER_BYTES) break;
    }
    return { status: response.statusCode, body: Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES) };
  } catch (error) {
    request.signal?.throwIfAborted();
    const refused = refusalIn(error);
    if (refused !== undefined) throw refused;
    const reason = controller.signal.aborted
      ? `no whole answer within ${request.timeoutMs} ms`
      : reasonOf(error);
    throw new OutboundUnavailableError(`${url.origin} did not answer: ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
    request.signal?.removeEventListener("abort", onAbort);
  }
}

function checkedUrl(text: string, policy: IpPolicy): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new OutboundRefusedError("the URL does not begin with http:// or https://");
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && !policy.allows(host)) throw refusal(host);
  return url;
}

function guardedLookup(policy: IpPolicy): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const denied = addresses?.find(({ address }) => !policy.allows(address));
      const [first] = addresses ?? [];
      if (error !== null) callback(error, "");
      else if (denied !== undefined) callback(refusal(hostname), "");
      else if (options.all === true) callback(null, addresses);
      else callback(null, first?.address ?? "", first?.family);
    });
  };
}

function refusal(host: string): OutboundRefusedError {
  return new OutboundRefusedError(
    `${host} is an address of a local network; those in allowed_ip_networks alone are called`,
  );
}

function refusalIn(error: unknown): OutboundRefusedError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof OutboundRefusedError) return at;
  return undefined;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ("code" in error ? String(error.code) : error.name);
}
