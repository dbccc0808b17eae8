import type {
  NodeAddress,
  NodeRequest,
  NodeResponse,
  NodeTransport,
} from "../../src/meilisearch/transport.js";
import { NodeUnavailableError } from "../../src/meilisearch/transport.js";
import { refusal, type SimulatedNode } from "./simulated-node.js";
import type { VirtualWorld } from "./virtual-world.js";

/** Probabilities of what goes wrong with one request. */
export interface NetworkFaults {
  /** The node answers 503 or 429 in Meilisearch's shape. */
  readonly refuse: number;
  /** No connection. */
  readonly notSent: number;
  /** Executed, but the answer is lost. */
  readonly loseAnswer: number;
  /** No answer; executed later, or never. */
  readonly delay: number;
  /** Longest delay of a late execution, in milliseconds. */
  readonly maxDelayMs: number;
}

export const NO_FAULTS: NetworkFaults = { refuse: 0, notSent: 0, loseAnswer: 0, delay: 0, maxDelayMs: 0 };

/** Carries requests between proxies and nodes, and loses them as told. */
export class SimulatedNetwork {
  faults: NetworkFaults = NO_FAULTS;
  /** Nodes that take requests and answer none; executed when resumed. */
  private readonly stopped = new Map<string, (() => void)[]>();
  /** Late executions that have not happened yet. */
  late = 0;

  constructor(
    private readonly world: VirtualWorld,
    readonly nodes: ReadonlyMap<string, SimulatedNode>,
  ) {}

  /** SIGSTOP. */
  stop(nodeId: string): void {
    if (!this.stopped.has(nodeId)) this.stopped.set(nodeId, []);
  }

  /** SIGCONT: the requests of closed sockets are executed now. */
  resume(nodeId: string): void {
    const held = this.stopped.get(nodeId) ?? [];
    this.stopped.delete(nodeId);
    for (const execute of held) execute();
  }

  /** The transport of one proxy; after `cut` nothing of it reaches a node any more. */
  transport(): NodeTransport & { cut(): void } {
    let cut = false;
    return {
      request: async (address, request) => {
        if (cut) await new Promise(() => undefined);
        const answer = await this.carry(address, request);
        if (cut) await new Promise(() => undefined);
        return answer;
      },
      close: async () => undefined,
      cut: () => {
        cut = true;
      },
    };
  }

  private async carry(address: NodeAddress, request: NodeRequest): Promise<NodeResponse> {
    const { seeded, timers } = this.world;
    const node = this.nodes.get(address.id);
    if (node === undefined) throw new Error(`no node ${address.id}`);
    await timers.sleep(1 + seeded.below(3));
    const held = this.stopped.get(address.id);
    if (held !== undefined) return this.hold(held, node, address, request);
    if (!node.up) throw new NodeUnavailableError(address.id, "not-sent", "connection refused");
    const { refuse, notSent, loseAnswer, delay, maxDelayMs } = this.faults;
    const dice = seeded.next();
    if (dice < refuse) return refusal(seeded.chance(0.5) ? 503 : 429, "too_busy", "the node is busy");
    if (dice < refuse + notSent) throw new NodeUnavailableError(address.id, "not-sent", "no connection");
    if (dice < refuse + notSent + delay) {
      if (seeded.chance(0.7)) this.executeLater(node, address, request, seeded.below(maxDelayMs + 1));
      throw new NodeUnavailableError(address.id, "unknown", "no answer in time");
    }
    const answer = await node.execute(request, mayCreate(address));
    await timers.sleep(1 + seeded.below(3));
    if (!node.up || dice < refuse + notSent + delay + loseAnswer) {
      throw new NodeUnavailableError(address.id, "unknown", "the connection broke");
    }
    return answer;
  }

  private async hold(
    held: (() => void)[],
    node: SimulatedNode,
    address: NodeAddress,
    request: NodeRequest,
  ): Promise<NodeResponse> {
    held.push(() => this.executeLater(node, address, request, 0));
    await this.world.timers.sleep(request.timeoutMs ?? 30_000);
    throw new NodeUnavailableError(address.id, "unknown", "no answer in time");
  }

  private executeLater(
    node: SimulatedNode,
    address: NodeAddress,
    request: NodeRequest,
    delayMs: number,
  ): void {
    // What arrived is executed as it was sent, whatever the sender does meanwhile.
    const body = typeof request.body === "function" ? request.body() : undefined;
    const kept = body === undefined ? request : { ...request, body: () => body };
    this.late++;
    this.world.timers.after(delayMs, () => {
      this.late--;
      if (node.up) node.execute(kept, mayCreate(address)).catch(() => undefined);
    });
  }
}

function mayCreate(address: NodeAddress): boolean {
  return address.key === "admin";
}
