import { Readable } from "node:stream";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { PeerService } from "../../../src/gen/miroir/v1/peers_pb.js";
import type { Task } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { MeilisearchError, parseErrorBody } from "../../../src/meilisearch/errors.js";
import type { NodeTransport } from "../../../src/meilisearch/transport.js";
import type { ShardHasher } from "../../../src/placement/shard.js";
import type { ControlTransport } from "../../../src/proxy/control-transport.js";
import { DEFAULT_PROXY_CONFIG } from "../../../src/proxy/http/config.js";
import type { ProxyMetrics } from "../../../src/proxy/http/metrics.js";
import { createHealth } from "../../../src/proxy/http/read-services.js";
import type { RouteAnswer, RouteHandler, RouteRequest } from "../../../src/proxy/http/route-table.js";
import { WriteRouter } from "../../../src/proxy/http/write-routing.js";
import { createPeerService } from "../../../src/proxy/peers/peer-service.js";
import { documentQueryOf } from "../../../src/proxy/read/document-query.js";
import { createDocumentService, type DocumentService } from "../../../src/proxy/read/documents.js";
import { HedgeBudget } from "../../../src/proxy/read/hedge-budget.js";
import { createNodeRefusals } from "../../../src/proxy/read/node-refusals.js";
import { createReplicaLatencies } from "../../../src/proxy/read/replica-latency.js";
import { createReplicaSelection } from "../../../src/proxy/read/replica-selection.js";
import { createShardReader } from "../../../src/proxy/read/shard-reader.js";
import { createTopologyClient, type TopologyClient } from "../../../src/proxy/topology/topology-client.js";
import { WriterChoice } from "../../../src/proxy/topology/writer-choice.js";
import {
  type DocumentWriteKind,
  defaultWriteConfig,
  type WriteResult,
} from "../../../src/proxy/write/types.js";
import { WriteGates } from "../../../src/proxy/write/write-gates.js";
import { noWriteMetrics } from "../../../src/proxy/write/write-metrics.js";
import { createWriteService, type WriteService } from "../../../src/proxy/write/write-service.js";
import type { VirtualWorld } from "../virtual-world.js";
import { linkPeers, type Peer } from "./peer-link.js";
import { type PlantedFault, readersSource } from "./planted-faults.js";
import { createProcessWorld, type ProcessWorld } from "./process-world.js";

/** What a simulated proxy runs on. */
export interface SimulatedProxyOptions {
  readonly id: string;
  readonly run: number;
  readonly world: VirtualWorld;
  readonly hasher: ShardHasher;
  readonly logger: Logger;
  readonly control: (process: ProcessWorld) => ControlTransport;
  readonly transport: (process: ProcessWorld) => NodeTransport;
  /** Another proxy, by the session of its process. */
  readonly peer: (session: string) => Peer | undefined;
  readonly planted: PlantedFault;
}

/** The proxy is gone: nobody knows what became of the request. */
export class ConnectionBrokenError extends Error {
  override readonly name = "ConnectionBrokenError";
}

/** The proxy was not there when it was asked. */
export class NotConnectedError extends Error {
  override readonly name = "NotConnectedError";
}

/** A client's write. */
export interface ClientWrite {
  readonly kind: DocumentWriteKind | "settings";
  /** JSON; empty for those without a body. */
  readonly body: string;
}

/** What a read found, and whether the control plane vouched for the proxy's topology all the while. */
export interface ReadAnswer<T> {
  readonly found: T;
  readonly isCurrent: boolean;
}

const INDEX = "movies";
const CLIENT_PATIENCE_MS = 30_000;
const METRICS = {
  secondTry: () => undefined,
  hedge: () => undefined,
  sampled: () => undefined,
  gauge: () => undefined,
  writeForwarded: () => undefined,
};

/** One proxy process, composed of the real parts behind the HTTP routes. */
export class SimulatedProxy implements Peer {
  readonly process: ProcessWorld;
  readonly topology: TopologyClient;
  readonly writes: WriteService;
  readonly peerService: ServiceImpl<typeof PeerService>;
  readonly broken: Promise<never>;
  private readonly route: RouteHandler;
  private readonly documents: DocumentService;
  private readonly control: ControlTransport;
  private readonly signal = new AbortController().signal;
  private breakConnections: (error: Error) => void = () => undefined;
  private isStopping = false;

  constructor(private readonly options: SimulatedProxyOptions) {
    const { id, world, hasher, logger } = options;
    this.process = createProcessWorld(world);
    this.broken = new Promise((_, reject) => {
      this.breakConnections = reject;
    });
    this.broken.catch(() => undefined);
    this.control = options.control(this.process);
    const transport = options.transport(this.process);
    const session = `${id}r${options.run}`;
    const common = { world: this.process, control: this.control, logger };
    const topology = createTopologyClient({
      ...common,
      proxyId: id,
      session,
      address: `http://${id}`,
      peer: { address: () => id, key: session },
      version: "simulated",
      testFaults: options.planted.proxies ?? {},
      backOff: { firstMs: 50, maxMs: 500 },
    });
    this.topology = topology;
    const peers = linkPeers(world, this.process, options.peer);
    const gates = new WriteGates(this.process);
    const writing = { ...common, topology, lease: topology, directory: topology, gates, peers };
    this.writes = createWriteService({
      ...writing,
      transport,
      config: { ...defaultWriteConfig("/nowhere"), nodeTimeoutMs: 2_000, controlTimeoutMs: 1_000 },
      metrics: noWriteMetrics,
      testFaults: options.planted.proxies ?? {},
      copies: options.planted.copies === undefined ? {} : { faults: options.planted.copies },
      hasher,
    });
    const writers = new WriterChoice({
      session,
      proxyId: id,
      state: () => topology.state(),
      directory: topology,
    });
    // The routes' metrics; no more of them is used here.
    const metrics = METRICS as unknown as ProxyMetrics;
    const router = new WriteRouter({ ...writing, writers, config: DEFAULT_PROXY_CONFIG, metrics });
    this.route = router.handle((request) => this.submit(request));
    this.peerService = createPeerService({
      ...writing,
      writers,
      answer: async (request) => printed(this.submit(request)),
      handOver: (...request) => this.writes.handOver(...request),
      isStopping: () => this.isStopping,
    });
    const { readersView } = options.planted;
    const source = readersView === undefined ? topology : readersSource(topology, readersView);
    const health = createHealth(this.process, source, transport);
    const latencies = createReplicaLatencies(this.process.clock);
    const selection = createReplicaSelection({ health, latencies, random: this.process.random });
    const hedges = new HedgeBudget(DEFAULT_PROXY_CONFIG.hedgePercent);
    const reader = createShardReader(
      { world: this.process, topology: source, transport, health, selection, latencies, hedges, metrics },
      { ...DEFAULT_PROXY_CONFIG, nodeTimeoutMs: 2_000, readTimeoutMs: 5_000 },
    );
    this.documents = createDocumentService({
      topology: source,
      reader,
      refusals: createNodeRefusals(transport, source, health),
      hasher,
      unavailableShardPolicy: "error",
    });
    topology.start();
  }

  get id(): string {
    return this.options.id;
  }

  get session(): string {
    return this.topology.session;
  }

  kill(): void {
    this.process.kill();
    this.breakConnections(new ConnectionBrokenError(`${this.id} was killed`));
  }

  /** As on SIGTERM: writes under way are finished and the lease is given back, then the process ends. */
  async shutDown(): Promise<void> {
    this.isStopping = true;
    const stop = new AbortController();
    this.process.timers.after(10_000, () => stop.abort(new Error("drained for too long")));
    await this.writes.drain(stop.signal);
    await this.topology.close();
    this.kill();
  }

  /** A client's write as it comes in at this proxy. */
  async write({ kind, body }: ClientWrite): Promise<WriteResult["body"]> {
    const answer = await this.asked(() => {
      const request: Partial<RouteRequest> = {
        id: "simulated",
        method: "POST",
        route: "POST /simulated",
        isForwarded: false,
        url: `/simulated?${kind}`,
        query: kind,
        params: { indexUid: INDEX },
        headers: { "content-length": String(body.length) },
        contentType: "application/json",
        stream: Readable.from(body === "" ? [] : [Buffer.from(body)]),
        signal: this.signal,
      };
      return this.route(request as RouteRequest);
    });
    const text = Buffer.from((answer.body ?? "") as string | Buffer);
    if (answer.status < 400) return JSON.parse(text.toString()) as WriteResult["body"];
    const refusal = parseErrorBody(text);
    throw refusal === undefined ? new Error(text.toString()) : new MeilisearchError(answer.status, refusal);
  }

  private submit({ query, stream }: Pick<RouteRequest, "query" | "stream">): Promise<WriteResult> {
    const kind = query as ClientWrite["kind"];
    if (kind === "settings") return this.updateSettings(stream);
    return this.writes.submit(
      {
        kind,
        indexUid: INDEX,
        contentType: "application/json",
        body: stream,
        primaryKey: kind === "replace" || kind === "update" ? "id" : undefined,
      },
      this.signal,
    );
  }

  private async updateSettings(stream: Readable): Promise<WriteResult> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as unknown;
    return this.writes.updateSettings({ indexUid: INDEX, route: "all", method: "PATCH", body }, this.signal);
  }

  /** The document's text; undefined where there is none. Rejects where it cannot be read. */
  document(key: string): Promise<ReadAnswer<string | undefined>> {
    return this.read(async () => {
      try {
        return (await this.documents.get(INDEX, key, "", this.signal)).body.toString();
      } catch (error) {
        if (error instanceof MeilisearchError && error.body.code === "document_not_found") return undefined;
        throw error;
      }
    });
  }

  /** All documents, as `documents/fetch` lists them; `query` is its body. */
  list(query: object): Promise<ReadAnswer<readonly Readonly<Record<string, unknown>>[]>> {
    return this.read(async () => {
      const body = Buffer.from(JSON.stringify(query));
      const original = { method: "POST", path: "/documents/fetch", body } as const;
      const answer = await this.documents.list(INDEX, documentQueryOf(body), original, this.signal);
      return (JSON.parse(answer.body.toString()) as { results: Readonly<Record<string, unknown>>[] }).results;
    });
  }

  /** The task as the control plane shows it. */
  task(uid: number): Promise<Task | undefined> {
    return this.asked(async () => (await this.control.getTask({ uid: BigInt(uid) })).task);
  }

  /** A proxy without a lease may have a topology that the others have left behind: it goes on with reads and says nothing for their being new. */
  private read<T>(work: () => Promise<T>): Promise<ReadAnswer<T>> {
    return this.asked(async () => {
      const before = this.topology.state().kind;
      const found = await work();
      return { found, isCurrent: before === "held" && this.topology.state().kind === "held" };
    });
  }

  private async asked<T>(work: () => Promise<T>): Promise<T> {
    const { world } = this.options;
    await world.timers.sleep(1 + world.seeded.below(3));
    if (!this.process.alive()) throw new NotConnectedError(`${this.id} is not there`);
    const answered = new AbortController();
    const patience = world.timers.sleep(CLIENT_PATIENCE_MS, answered.signal).then(
      () => {
        throw new ConnectionBrokenError("the client has given up");
      },
      () => new Promise<never>(() => undefined),
    );
    try {
      return await Promise.race([this.process.timers.sleep(0).then(work), this.broken, patience]);
    } finally {
      answered.abort(new Error("answered"));
      await world.timers.sleep(1 + world.seeded.below(3));
    }
  }
}

/** The answer to a write as a server prints it. */
async function printed(result: Promise<WriteResult>): Promise<RouteAnswer> {
  try {
    const { status, body } = await result;
    return { status, body: JSON.stringify(body) };
  } catch (error) {
    if (error instanceof MeilisearchError) return { status: error.status, body: JSON.stringify(error.body) };
    throw error;
  }
}
