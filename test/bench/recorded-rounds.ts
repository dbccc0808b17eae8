import { configSchema } from "../../src/cli/config.js";
import { createLogger } from "../../src/cli/logger.js";
import { runProxy } from "../../src/cli/run-proxy.js";
import type { NodeTransport } from "../../src/meilisearch/transport.js";
import { createUndiciTransport } from "../../src/meilisearch/undici-transport.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import type { LoadRequest, Rounds } from "./caller.js";
import { rawRequest } from "./raw-connection.js";

interface SeenRequest {
  readonly url: string;
  readonly bytes: Buffer;
  readonly sentAt: number;
  answeredAt: number;
}

const READY_MS = 30_000;
const SEARCH = /^\/indexes\/[^/]+\/search/;

/**
 * What Miroir asks nodes for each of these requests, byte for byte: a proxy in this process sends them on, one after the other, and
 * what it sends is written down. Requests of which one was sent before another was answered belong to one round.
 */
export async function recordRounds(
  controlAddress: string,
  requests: readonly LoadRequest[],
): Promise<Rounds[]> {
  const world = createSystemWorld();
  const { logger } = createLogger(configSchema.parse({ log_level: "silent" }));
  const real = createUndiciTransport();
  let seen: SeenRequest[] = [];
  const transport: NodeTransport = {
    request: async (node, request) => {
      if (!SEARCH.test(request.path)) return real.request(node, request);
      const { method, path } = request;
      if (typeof request.body === "function") throw new Error(`${path} has a streamed body`);
      const body = String(request.body ?? "");
      const bytes = rawRequest(node.url, { method, path, body }, node.key);
      const entry = { url: node.url, bytes, sentAt: world.clock.monotonic(), answeredAt: 0 };
      seen.push(entry);
      const answer = await real.request(node, request);
      entry.answeredAt = world.clock.monotonic();
      return answer;
    },
    close: () => real.close(),
  };
  const proxy = await runProxy({
    config: configSchema.parse({ http: "127.0.0.1:0", control: [controlAddress], proxy_id: "recorder" }),
    world,
    logger,
    transport,
  });
  try {
    await proxy.whenReady(AbortSignal.timeout(READY_MS));
    const api = meilisearchHttp(proxy.url);
    const recorded: Rounds[] = [];
    for (const { method, path, body } of requests) {
      seen = [];
      const { status, text } = await api.send(method, path, body);
      if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
      recorded.push(inRounds(seen));
    }
    return recorded;
  } finally {
    await proxy.close();
    await real.close();
  }
}

function inRounds(seen: readonly SeenRequest[]): Rounds {
  const rounds: { url: string; bytes: Buffer }[][] = [];
  let until = Number.NEGATIVE_INFINITY;
  for (const { url, bytes, sentAt, answeredAt } of seen) {
    if (sentAt >= until) {
      rounds.push([]);
      until = answeredAt;
    }
    until = Math.min(until, answeredAt);
    rounds.at(-1)?.push({ url, bytes });
  }
  return rounds;
}
