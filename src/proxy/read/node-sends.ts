import { type NodeRequest, type NodeResponse, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { NodeView } from "../topology/topology-view.js";
import type { IndexLatency } from "./replica-latency.js";
import { NOT_NEEDED, TOO_SLOW } from "./second-try.js";
import type { IndexRequest } from "./shard-read.js";
import type { ShardReaderDependencies, ShardReaderOptions } from "./shard-reader.js";

/** Pauses before the only replica is asked again after a connection broke. Milliseconds. */
const SAME_NODE_PAUSES_MS = [0, 50, 200] as const;

/** The requests of one read, each with what it tells of its node. */
export class NodeSends {
  constructor(
    private readonly dependencies: Pick<ShardReaderDependencies, "world" | "transport" | "health">,
    private readonly options: Pick<ShardReaderOptions, "hedgeDelayMs" | "nodeTimeoutMs">,
    private readonly latency: IndexLatency,
    /** On the monotonic clock: nothing is sent, and nothing is waited for, after it. */
    private readonly deadline: number,
  ) {}

  /**
   * One request; to the last replica once more where a connection broke before the node could answer.
   *
   * @param name the node's name for the index
   * @param isLast whether there is no other replica to ask
   * @throws NodeUnavailableError where no answer is to be had, the signal's reason where it was aborted
   */
  async send(
    node: NodeView,
    name: string,
    request: IndexRequest,
    isLast: boolean,
    signal: AbortSignal,
  ): Promise<NodeResponse> {
    // A node that has been failing for a while is asked, but not pressed: clients wait for it on every read.
    const isPatient = isLast && !this.dependencies.health.isAvoided(node.id);
    const pauses = isPatient ? SAME_NODE_PAUSES_MS : SAME_NODE_PAUSES_MS.slice(0, 1);
    let failure: unknown;
    for (const pauseMs of pauses) {
      if (pauseMs > 0) await this.dependencies.world.timers.sleep(pauseMs, signal);
      const startedAt = this.now();
      try {
        return await this.sendOnce(node, name, request, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        failure = error;
        // A node that was waited for once is not waited for again.
        if (this.now() - startedAt > this.options.hedgeDelayMs) break;
      }
    }
    throw failure;
  }

  private async sendOnce(
    node: NodeView,
    name: string,
    request: IndexRequest,
    signal: AbortSignal,
  ): Promise<NodeResponse> {
    const { health } = this.dependencies;
    const patienceMs = health.isAvoided(node.id) ? this.options.hedgeDelayMs * 2 : this.options.nodeTimeoutMs;
    const timeoutMs = Math.min(patienceMs, this.remainingMs());
    if (timeoutMs <= 0) throw new NodeUnavailableError(node.id, "not-sent", "the read's time is over");
    const call = health.begin(node.id);
    const startedAt = this.now();
    try {
      const response = await this.dependencies.transport.request(
        request.asAdmin === true ? node.adminAddress : node.writeAddress,
        nodeRequest(name, request, Math.ceil(timeoutMs), signal),
      );
      if (saysNodeIsUnfit(response)) {
        throw new NodeUnavailableError(node.id, "unknown", `it answered with status ${response.status}`);
      }
      call.succeeded();
      this.latency.answered(node.id, this.now() - startedAt);
      return response;
    } catch (error) {
      const tookMs = this.now() - startedAt;
      if (isLostRace(signal, tookMs < this.latency.overdueMs(this.options.hedgeDelayMs))) {
        call.abandoned();
        const isTelling = signal.reason === TOO_SLOW || tookMs > this.latency.expectedMs(node.id);
        if (isTelling) this.latency.outrun(node.id, tookMs);
      } else if (signal.aborted && signal.reason !== TOO_SLOW) call.abandoned();
      else if (!signal.aborted && timeoutMs < patienceMs && tookMs >= timeoutMs) {
        // The read's time is over, of which the node knows nothing.
        call.abandoned();
        this.latency.outrun(node.id, tookMs);
      } else if (!signal.aborted && error instanceof NodeUnavailableError && error.isBroken) call.brokeOff();
      else call.failed();
      throw error;
    }
  }

  /** Milliseconds until the read's time is over. */
  remainingMs(): number {
    return Math.max(0, this.deadline - this.now());
  }

  private now(): number {
    return this.dependencies.world.clock.monotonic();
  }
}

function nodeRequest(
  name: string,
  { method, path, body, headers = NO_HEADERS }: IndexRequest,
  timeoutMs: number,
  signal: AbortSignal,
): NodeRequest {
  const nodePath = `/indexes/${name}${path}`;
  if (body === undefined) return { method, path: nodePath, headers, timeoutMs, signal };
  // Not spread from the one above: what is added to a spread object gives each its own hidden class, which only full collections take away.
  return { method, path: nodePath, headers, timeoutMs, signal, body, contentType: "application/json" };
}

const NO_HEADERS: NonNullable<IndexRequest["headers"]> = {};

/** Whether a call was given up because another replica had answered, and was not so slow that it counts as failed. */
function isLostRace({ aborted, reason }: AbortSignal, isInTime: boolean): boolean {
  return aborted && (reason === NOT_NEEDED || (reason === TOO_SLOW && isInTime));
}

/** Broken, overloaded, or not taking Miroir's key: another replica may do better. */
function saysNodeIsUnfit(response: NodeResponse): boolean {
  return (
    response.status >= 500 || response.status === 401 || response.status === 403 || response.status === 429
  );
}
