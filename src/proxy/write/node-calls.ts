import { MeilisearchError, type MeilisearchErrorBody, parseErrorBody } from "../../meilisearch/errors.js";
import {
  createNodeClient,
  type NodeClient,
  type NodeTaskRecord,
  parseAnswer,
} from "../../meilisearch/node-client.js";
import {
  type NodeAddress,
  type NodeRequest,
  type NodeTransport,
  NodeUnavailableError,
} from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import type { WriteConfig, WriteLogger } from "./types.js";
import type { WriteMetrics } from "./write-metrics.js";

/** What became of a request that enqueues a task on a node. */
export type EnqueueOutcome =
  /** The node holds the task. */
  | { readonly kind: "accepted"; readonly nodeTaskUid: number }
  /** The node answered that it will not do it; nothing was executed. */
  | { readonly kind: "refused"; readonly status: number; readonly body: MeilisearchErrorBody }
  /** Nothing reached the node. */
  | { readonly kind: "not-sent"; readonly cause: Error }
  /** It may have been executed, or may be executed later. */
  | { readonly kind: "unknown"; readonly cause: Error };

/** Requests of the write path to nodes: each outcome told apart as finely as it can be known. */
export interface NodeCalls {
  /**
   * Sends a request that enqueues a task. Repeats it only while it certainly was not executed: nothing was
   * sent, or the node refused with 429 or 5xx in Meilisearch's own shape.
   *
   * @param attempts in all; one more than there are pauses unless given
   */
  enqueue(
    address: NodeAddress,
    operation: string,
    request: NodeRequest,
    attempts?: number,
  ): Promise<EnqueueOutcome>;
  /** Renames a physical index; repeating it is harmless, for the name is gone then. */
  rename(address: NodeAddress, from: string, to: string): Promise<EnqueueOutcome>;
  /**
   * The body of a 2xx answer to a request that changes nothing, as bytes.
   *
   * @throws MeilisearchError the node's refusal
   * @throws NodeUnavailableError
   */
  read(address: NodeAddress, request: NodeRequest): Promise<Buffer>;
  /** Typed requests that change nothing. */
  client(address: NodeAddress): NodeClient;
  /**
   * Waits until a node's task is done, however long its queue is. Undefined where the node has given no answer for
   * `maxSilenceMs`. Rejects when `signal` aborts.
   */
  waitForTask(
    address: NodeAddress,
    uid: number,
    signal: AbortSignal,
    maxSilenceMs: number,
  ): Promise<NodeTaskRecord | undefined>;
}

/** Statuses with which a node says that it cannot now, rather than that the request is wrong. */
const WRONG_NOW = new Set([401, 403, 404, 408, 429]);

/** A node that takes in a body more slowly than this is taken for silent. */
const SLOWEST_BYTES_PER_MS = 1_000;

/** Pause between looks at a task, growing to this many milliseconds. */
const MAX_POLL_MS = 500;

/** Whether a refusal is about the request, so that every node would give it. */
export function isClientFault(
  outcome: EnqueueOutcome,
): outcome is EnqueueOutcome & { readonly kind: "refused" } {
  return outcome.kind === "refused" && outcome.status < 500 && !WRONG_NOW.has(outcome.status);
}

/** A reason fit for messages; never with a physical name in it. */
export function reasonOf(outcome: EnqueueOutcome): string {
  switch (outcome.kind) {
    case "accepted":
      return "accepted";
    case "refused":
      return `it answered with status ${outcome.status} and code ${outcome.body.code}`;
    case "not-sent":
      return "it cannot be reached";
    case "unknown":
      return "it gave no answer";
  }
}

/** Calls over a transport. */
export function createNodeCalls(
  transport: NodeTransport,
  world: World,
  config: WriteConfig,
  logger: WriteLogger,
  metrics: WriteMetrics,
): NodeCalls {
  const enqueue: NodeCalls["enqueue"] = async (address, operation, request, attempts) => {
    const limit = attempts ?? config.nodeRetryDelaysMs.length + 1;
    for (let attempt = 1; ; attempt++) {
      const started = world.clock.monotonic();
      const outcome = await enqueueOnce(transport, address, {
        timeoutMs: config.nodeTimeoutMs + Math.ceil((request.contentLength ?? 0) / SLOWEST_BYTES_PER_MS),
        ...request,
      });
      metrics.nodeRequestDone(
        address.id,
        operation,
        outcome.kind,
        (world.clock.monotonic() - started) / 1_000,
      );
      if (outcome.kind === "accepted" || outcome.kind === "unknown") return outcome;
      const later = outcome.kind === "not-sent" || outcome.status === 429 || outcome.status >= 500;
      const delay = config.nodeRetryDelaysMs[attempt - 1];
      if (!later || attempt >= limit || delay === undefined) return outcome;
      logger.warn(
        { node: address.id, operation, attempt, outcome: outcome.kind, reason: reasonOf(outcome) },
        "node did not take a request, trying again",
      );
      await world.timers.sleep(delay);
    }
  };
  const client = (address: NodeAddress) => createNodeClient(transport, address);
  return {
    enqueue,
    client,
    read: async (address, request) => {
      const response = await transport.request(address, request);
      // Only for its refusal: the body is wanted as it is.
      if (response.status < 200 || response.status >= 300) parseAnswer(address, response);
      return response.body;
    },
    rename: (address, from, to) =>
      enqueue(address, "rename", {
        method: "POST",
        path: "/swap-indexes",
        contentType: "application/json",
        body: JSON.stringify([{ indexes: [from, to], rename: true }]),
      }),
    waitForTask: async (address, uid, signal, maxSilenceMs) => {
      let pause = 5;
      let heard = world.clock.monotonic();
      for (;;) {
        signal.throwIfAborted();
        const task = await readTask(client(address), uid);
        if (task !== undefined) {
          if (task.status !== "enqueued" && task.status !== "processing") return task;
          heard = world.clock.monotonic();
        } else if (world.clock.monotonic() - heard >= maxSilenceMs) {
          return undefined;
        }
        await world.timers.sleep(pause, signal);
        pause = Math.min(pause * 2, MAX_POLL_MS);
      }
    },
  };
}

/** The task, or undefined while the node does not tell. */
async function readTask(client: NodeClient, uid: number): Promise<NodeTaskRecord | undefined> {
  try {
    return await client.task(uid);
  } catch (error) {
    if (error instanceof NodeUnavailableError || error instanceof MeilisearchError) return undefined;
    throw error;
  }
}

async function enqueueOnce(
  transport: NodeTransport,
  address: NodeAddress,
  request: NodeRequest,
): Promise<EnqueueOutcome> {
  let response: Awaited<ReturnType<NodeTransport["request"]>>;
  try {
    response = await transport.request(address, request);
  } catch (error) {
    if (!(error instanceof NodeUnavailableError)) throw error;
    return { kind: error.outcome, cause: error };
  }
  if (response.status >= 200 && response.status < 300) {
    const nodeTaskUid = readTaskUid(response.body);
    if (nodeTaskUid !== undefined) return { kind: "accepted", nodeTaskUid };
    return {
      kind: "unknown",
      cause: new Error(`node ${address.id} accepted a request without naming its task`),
    };
  }
  const body = parseErrorBody(response.body);
  if (body !== undefined) return { kind: "refused", status: response.status, body };
  // Not Meilisearch's own answer: something in between gave it, and cannot know what the node did.
  const cause = new Error(`node ${address.id} answered with status ${response.status} and no error body`);
  return { kind: "unknown", cause };
}

function readTaskUid(body: Buffer): number | undefined {
  try {
    const answer: unknown = JSON.parse(body.toString("utf8"));
    if (typeof answer !== "object" || answer === null) return undefined;
    const { taskUid } = answer as { taskUid?: unknown };
    return typeof taskUid === "number" && Number.isInteger(taskUid) ? taskUid : undefined;
  } catch {
    return undefined;
  }
}
