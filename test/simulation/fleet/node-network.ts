import type {
  NodeAddress,
  NodeRequest,
  NodeResponse,
  NodeTransport,
} from "../../../src/meilisearch/transport.js";
import { NodeUnavailableError } from "../../../src/meilisearch/transport.js";
import type { VirtualWorld } from "../virtual-world.js";
import { refusal, type SimulatedMeilisearch } from "./node.js";
import type { ProcessWorld } from "./process-world.js";

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

/** A network on which nothing goes wrong. */
export const NO_FAULTS: NetworkFaults = { refuse: 0, notSent: 0, loseAnswer: 0, delay: 0, maxDelayMs: 0 };

/** Longest way of a message, in milliseconds. */
const MAX_LATENCY_MS = 3;

const NOTHING_THERE: NodeResponse = {
  status: 200,
  contentType: "application/json",
  body: Buffer.from('{"results":[],"offset":0,"limit":20,"total":0}'),
};

/** Carries requests between processes and nodes, and loses them as told. */
export class NodeNetwork {
  faults: NetworkFaults = NO_FAULTS;
  /** Late executions that have not happened yet. */
  late = 0;
  /** Whether some node fails tasks that its peers do not fail, which reads from there show until that is known. */
  showsFailures = false;
  /** Requests of stopped nodes, executed when they go on. */
  private readonly stopped = new Map<string, (() => void)[]>();
  /** Pairs `client>node` between which nothing passes. */
  private readonly cut = new Set<string>();

  constructor(
    private readonly world: VirtualWorld,
    private readonly nodes: ReadonlyMap<string, SimulatedMeilisearch>,
    /** Whether proxies show the master key with everything, as a planted fault. */
    private readonly givesMasterKeys = false,
    /** Whether control processes are shown indexes as empty, as a planted fault. */
    private readonly blindsControl = false,
  ) {}

  /** SIGSTOP: the node takes requests and answers none. */
  stop(nodeId: string): void {
    if (!this.stopped.has(nodeId)) this.stopped.set(nodeId, []);
  }

  /** SIGCONT: the requests of closed sockets are executed now. */
  resume(nodeId: string): void {
    const held = this.stopped.get(nodeId) ?? [];
    this.stopped.delete(nodeId);
    for (const execute of held) execute();
  }

  part(client: string, nodeId: string): void {
    this.cut.add(`${client}>${nodeId}`);
  }

  joinAll(): void {
    this.cut.clear();
  }

  /** What `client` reaches nodes by. */
  transport(client: string, process: ProcessWorld): NodeTransport {
    return {
      request: (address, request) => this.carry(client, process, address, request),
      close: async () => undefined,
    };
  }

  private async carry(
    client: string,
    { timers }: ProcessWorld,
    sent: NodeAddress,
    request: NodeRequest,
  ): Promise<NodeResponse> {
    const { seeded } = this.world;
    // By its address: an id is only what Miroir calls it.
    const id = sent.url.slice("http://".length);
    const node = this.nodes.get(id);
    const key = this.givesMasterKeys && client.startsWith("proxy") ? node?.masterKey : sent.key;
    const address = key === undefined ? sent : { ...sent, key };
    if (node === undefined) throw new NodeUnavailableError(sent.id, "not-sent", "no such host");
    await timers.sleep(1 + seeded.below(MAX_LATENCY_MS), request.signal).catch((cause: unknown) => {
      throw new NodeUnavailableError(address.id, "not-sent", "given up", { cause });
    });
    const body = await wholeBody(request);
    const held = this.stopped.get(id);
    if (held !== undefined) {
      this.late++;
      held.push(() => this.executeLater(node, address, request, body, 0));
      await timers.sleep(request.timeoutMs ?? 30_000, request.signal).catch(() => undefined);
      throw new NodeUnavailableError(address.id, "unknown", "no answer in time");
    }
    if (!node.up || this.cut.has(`${client}>${id}`)) {
      throw new NodeUnavailableError(address.id, "not-sent", "connection refused");
    }
    const { refuse, notSent, loseAnswer, delay, maxDelayMs } = this.faults;
    const dice = seeded.next();
    if (dice < refuse) return refusal(seeded.chance(0.5) ? 503 : 429, "too_busy", "the node is busy");
    if (dice < refuse + notSent) throw new NodeUnavailableError(address.id, "not-sent", "no connection");
    if (dice < refuse + notSent + delay) {
      if (seeded.chance(0.7)) {
        this.late++;
        this.executeLater(node, address, request, body, seeded.below(maxDelayMs + 1));
      }
      throw new NodeUnavailableError(address.id, "unknown", "no answer in time");
    }
    const isBlind =
      this.blindsControl && client.startsWith("control") && request.path.endsWith("/documents/fetch");
    const answer = isBlind ? NOTHING_THERE : node.execute(request, body, address.key ?? "");
    await timers.sleep(1 + seeded.below(MAX_LATENCY_MS));
    if (!node.up || request.signal?.aborted || dice < refuse + notSent + delay + loseAnswer) {
      throw new NodeUnavailableError(address.id, "unknown", "the connection broke");
    }
    return answer;
  }

  /** What arrived is executed as it was sent, whatever the sender does meanwhile. */
  private executeLater(
    node: SimulatedMeilisearch,
    address: NodeAddress,
    request: NodeRequest,
    body: string,
    delayMs: number,
  ): void {
    this.world.timers.after(delayMs, () => {
      this.late--;
      if (node.up) node.execute(request, body, address.key ?? "");
    });
  }
}

async function wholeBody({ body, contentLength }: NodeRequest): Promise<string> {
  if (body === undefined) return "";
  if (typeof body !== "function") return body.toString();
  const chunks: Buffer[] = [];
  for await (const chunk of body()) chunks.push(chunk as Buffer);
  const whole = Buffer.concat(chunks);
  if (contentLength !== whole.length) {
    throw new Error(`a body of ${whole.length} bytes was announced as ${contentLength}`);
  }
  return whole.toString();
}
