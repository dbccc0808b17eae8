import { Readable } from "node:stream";
import type { Logger } from "pino";
import type { Task } from "../../../src/gen/miroir/v1/tasks_pb.js";
import { MeilisearchError } from "../../../src/meilisearch/errors.js";
import type { NodeTransport } from "../../../src/meilisearch/transport.js";
import type { ShardHasher } from "../../../src/placement/shard.js";
import type { ControlTransport } from "../../../src/proxy/control-transport.js";
import { noWriteLease, writeForwardingLoop } from "../../../src/proxy/http/api-errors.js";
import { DEFAULT_PROXY_CONFIG } from "../../../src/proxy/http/config.js";
import { createHealth } from "../../../src/proxy/http/read-services.js";
import { documentQueryOf } from "../../../src/proxy/read/document-query.js";
import { createDocumentService, type DocumentService } from "../../../src/proxy/read/documents.js";
import { createNodeRefusals } from "../../../src/proxy/read/node-refusals.js";
import { createReplicaSelection } from "../../../src/proxy/read/replica-selection.js";
import { createShardReader } from "../../../src/proxy/read/shard-reader.js";
import { createTopologyClient, type TopologyClient } from "../../../src/proxy/topology/topology-client.js";
import type { TopologySource } from "../../../src/proxy/topology/topology-view.js";
import { type DocumentWriteKind, defaultWriteConfig, type WriteResult } from "../../../src/proxy/write/types.js";
import { noWriteMetrics } from "../../../src/proxy/write/write-metrics.js";
import { createWriteService, type WriteService } from "../../../src/proxy/write/write-service.js";
import type { VirtualWorld } from "../virtual-world.js";
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
  /** Carries a write to the proxy at an address. */
  readonly forward: (address: string, write: ClientWrite) => Promise<WriteResult>;
  /** What readers go by; the proxy's own topology unless given. */
  readonly readersSource?: (source: TopologySource) => TopologySource;
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

const INDEX = "movies";
const CLIENT_PATIENCE_MS = 30_000;

/** One proxy process, composed of the real parts behind the HTTP routes. */
export class SimulatedProxy {
  readonly process: ProcessWorld;
  readonly topology: TopologyClient;
  readonly writes: WriteService;
  private readonly documents: DocumentService;
  private readonly control: ControlTransport;
  private readonly signal = new AbortController().signal;
  private breakConnections: (error: Error) => void = () => undefined;
  private readonly broken: Promise<never>;

  constructor(private readonly options: SimulatedProxyOptions) {
    const { id, world, hasher, logger } = options;
    this.process = createProcessWorld(world);
    this.broken = new Promise((_, reject) => {
      this.breakConnections = reject;
    });
    this.broken.catch(() => undefined);
    this.control = options.control(this.process);
    const transport = options.transport(this.process);
    const common = { world: this.process, control: this.control, logger };
    this.topology = createTopologyClient({
      ...common,
      proxyId: id,
      session: `${id}r${options.run}`,
      address: `http://${id}`,
      version: "simulated",
      backOff: { firstMs: 50, maxMs: 500 },
    });
    this.writes = createWriteService({
      ...common,
      topology: this.topology,
      lease: this.topology,
      transport,
      config: { ...defaultWriteConfig("/nowhere"), nodeTimeoutMs: 2_000, controlTimeoutMs: 1_000 },
      metrics: noWriteMetrics,
      hasher,
    });
    const source = options.readersSource?.(this.topology) ?? this.topology;
    const health = createHealth(this.process, source, transport);
    const selection = createReplicaSelection(health, "few");
    const metrics = { secondTry: () => undefined };
    const reader = createShardReader(
      { world: this.process, topology: source, transport, health, selection, metrics },
      { ...DEFAULT_PROXY_CONFIG, nodeTimeoutMs: 2_000, readTimeoutMs: 5_000 },
    );
    this.documents = createDocumentService({
      topology: source,
      reader,
      refusals: createNodeRefusals(transport, source, health),
      hasher,
      unavailableShardPolicy: "error",
    });
    this.topology.start();
  }

  get id(): string {
    return this.options.id;
  }

  get run(): number {
    return this.options.run;
  }

  kill(): void {
    this.process.kill();
    this.breakConnections(new ConnectionBrokenError(`${this.id} was killed`));
  }

  /** As on SIGTERM: writes under way are finished and the lease is given back, then the process ends. */
  async shutDown(): Promise<void> {
    const stop = new AbortController();
    this.process.timers.after(10_000, () => stop.abort(new Error("drained for too long")));
    await this.writes.drain(stop.signal);
    await this.topology.close();
    this.kill();
  }

  /** A client's write as it comes in at this proxy. */
  write(write: ClientWrite): Promise<WriteResult> {
    return this.asked(async () => {
      const state = this.topology.state();
      switch (state.kind) {
        case "held":
          return this.submit(write);
        case "none":
          throw noWriteLease(state.reason);
        case "elsewhere":
          return this.options.forward(state.address, write);
      }
    });
  }

  /** A write that another proxy passes on. */
  forwarded(write: ClientWrite): Promise<WriteResult> {
    return this.asked(async () => {
      const state = this.topology.state();
      if (state.kind === "held") return this.submit(write);
      throw state.kind === "none" ? noWriteLease(state.reason) : writeForwardingLoop();
    });
  }

  private submit({ kind, body }: ClientWrite): Promise<WriteResult> {
    if (kind === "settings") {
      const settings = { indexUid: INDEX, route: "all", method: "PATCH", body: JSON.parse(body) as unknown } as const;
      return this.writes.updateSettings(settings, this.signal);
    }
    return this.writes.submit(
      {
        kind,
        indexUid: INDEX,
        contentType: "application/json",
        body: Readable.from([Buffer.from(body)]),
        primaryKey: kind === "replace" || kind === "update" ? "id" : undefined,
      },
      this.signal,
    );
  }

  /** The document's text; undefined where there is none. Rejects where it cannot be read. */
  document(key: string): Promise<string | undefined> {
    return this.asked(async () => {
      try {
        return (await this.documents.get(INDEX, key, "", this.signal)).body.toString();
      } catch (error) {
        if (error instanceof MeilisearchError && error.body.code === "document_not_found") return undefined;
        throw error;
      }
    });
  }

  /** All documents, as `documents/fetch` lists them; `query` is its body. */
  list(query: object): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return this.asked(async () => {
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
