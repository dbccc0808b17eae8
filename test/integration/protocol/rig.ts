import { randomBytes } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { type Logger, pino } from "pino";
import { Registry } from "prom-client";
import { createGrpcServiceClient, type GrpcDuplex } from "../../../src/client/grpc-adapter.js";
import { createClusterService } from "../../../src/control/cluster/cluster-service.js";
import type { ReplicaIdentity } from "../../../src/control/leader/replica-seats.js";
import {
  type ControlServer,
  type ControlServerOptions,
  createControlServer,
} from "../../../src/control/server/control-server.js";
import { createServerMetrics } from "../../../src/control/server/server-metrics.js";
import { createTopologyService } from "../../../src/control/topology/subscribe.js";
import {
  createTopologyControl,
  type TopologyControl,
  type TopologyControlOptions,
} from "../../../src/control/topology/topology-control.js";
import type { TaskService } from "../../../src/gen/miroir/v1/tasks_pb.js";
import {
  type Epoch,
  type NodeCredentials,
  NodeCredentialsSchema,
  type SubscribeRequestSchema,
  type SubscribeResponse,
  type SubscribeResponseSchema,
  type Topology,
  TopologyService,
} from "../../../src/gen/miroir/v1/topology_pb.js";
import { createGrpcControlTransport } from "../../../src/proxy/grpc-control-transport.js";
import { createTopologyClient, type TopologyClient } from "../../../src/proxy/topology/topology-client.js";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import type { ProtocolRange } from "../../../src/topology/protocol.js";
import { sampleTopology } from "../../support/topologies.js";

export const world = createSystemWorld();
export const silent: Logger = pino({ level: process.env.MIROIR_TEST_LOG ?? "silent" });

/** How a control plane of the suite differs from the usual one. */
export interface RigOptions {
  readonly store?: TaskStore;
  readonly initial?: Topology;
  readonly port?: number;
  readonly leaseMs?: number;
  readonly graceMs?: number;
  readonly maxProxies?: number;
  /** What the control plane speaks, and the other processes that may lead. */
  readonly protocol?: ProtocolRange;
  readonly replicas?: () => readonly ReplicaIdentity[];
  readonly server?: Partial<ControlServerOptions>;
  /** Serves tasks as the control plane does; unless given, registrations are lost and there are none to read. */
  readonly tasks?: (control: TopologyControl, store: TaskStore) => ServiceImpl<typeof TaskService>;
}

/** A control plane on a real port, with the services that this suite is not about put in by hand. */
export interface Rig {
  readonly control: TopologyControl;
  readonly server: ControlServer;
  readonly store: TaskStore;
  readonly address: string;
  readonly port: number;
  /** Hands out other node keys from now on. */
  setCredentials(keys: readonly MessageInitShape<typeof NodeCredentialsSchema>[]): void;
  /** Stops as a process that was told to stop: streams end, the leader lease is given back. */
  stop(): Promise<void>;
  /** Stops and closes the store. */
  close(): Promise<void>;
}

const openRigs = new Set<Rig>();
const openProxies = new Set<TopologyClient>();
const cleanUps: (() => void)[] = [];

/** Starts a control plane over SQLite in memory unless another store is given. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const store = options.store ?? (await openSqliteTaskStore({ path: ":memory:", clock: world.clock }));
  let keys: readonly NodeCredentials[] = [];
  const listeners = new Set<() => void>();
  const metrics = createServerMetrics(new Registry());
  const controlOptions: TopologyControlOptions = {
    store,
    world,
    logger: silent,
    initial: options.initial ?? sampleTopology(),
    observer: metrics.fleet,
    version: "0.0.0-test",
    ...(options.protocol === undefined ? {} : { protocol: options.protocol }),
    ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
    credentials: {
      current: () => keys,
      onChange(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    proxies: {
      leaseMs: options.leaseMs ?? 600,
      graceMs: options.graceMs ?? 200,
      ...(options.maxProxies === undefined ? {} : { maxProxies: options.maxProxies }),
    },
  };
  const control = createTopologyControl(controlOptions);
  metrics.follow(control);
  await control.start();
  const refuse = () => {
    throw new ConnectError("not part of this suite", Code.FailedPrecondition);
  };
  const server = createControlServer({
    services: {
      topology: createTopologyService({
        topology: control.topology,
        fleet: control.fleet,
        world,
        observer: metrics.fleet,
      }),
      cluster: createClusterService({
        topology: control.topology,
        fleet: control.fleet,
        version: "0.0.0-test",
        probe: () => ({ lastError: "", lastSeenAt: world.clock.now() }),
        openNodeTasks: () => store.tasks.countOpenNodeTasks(),
        openTasks: () => store.tasks.countOpen(),
        operations: {
          addNode: refuse,
          drainNode: refuse,
          removeNode: refuse,
          replaceNode: refuse,
          addGroup: refuse,
          removeGroup: refuse,
          setReplication: refuse,
          rebalance: refuse,
          repair: refuse,
          reshard: refuse,
        },
      }),
      tasks: options.tasks?.(control, store) ?? {
        deleteTasks: refuse,
        cancelTasks: refuse,
        countTasks: refuse,
        compactTaskStore: refuse,
        allocateTaskUids: async ({ count }) => {
          const first = await store.tasks.allocateUids(count, control.leadership.fence());
          return { firstUid: BigInt(first), count };
        },
        registerTasks: () => ({}),
        getTask: refuse,
        listTasks: () => ({ tasks: [], total: 0n }),
      },
      indexes: {
        ensureIndex: refuse,
        createIndex: refuse,
        removeIndex: refuse,
        swapIndexes: refuse,
        renameIndex: refuse,
        compactIndex: refuse,
        commitGeneration: refuse,
        electReplicas: refuse,
        getIndex: refuse,
        listIndexes: () => ({ indexes: control.topology.current().indexes, total: 0n }),
        explainDocument: refuse,
      },
      features: { getFeatures: refuse, setFeatures: refuse },
      backups: { createDump: refuse, createSnapshot: refuse },
      exports: { export: refuse },
      settings: { listDrifts: refuse },
      verify: { verify: refuse, checkShards: refuse, listShardChecks: refuse },
      copies: { advanceCopy: refuse, reportCopy: refuse },
      workflows: {
        getWorkflow: refuse,
        listWorkflows: refuse,
        cancelWorkflow: refuse,
        watchWorkflow: refuse,
      },
      resources: { setResource: refuse },
      control: { listReplicas: refuse },
      keys: { createKey: refuse, updateKey: refuse, deleteKey: refuse, listKeys: refuse },
    },
    health: {
      serving: () => control.leadership.state().kind === "leader",
      onChange: (listener) => control.leadership.onChange(listener),
    },
    world,
    logger: silent,
    metrics,
    ...options.server,
  });
  const { port } = await server.listen("127.0.0.1", options.port ?? 0);
  let stopped = false;
  const rig: Rig = {
    control,
    server,
    store,
    address: `127.0.0.1:${port}`,
    port,
    setCredentials(next) {
      keys = next.map((key) => create(NodeCredentialsSchema, key));
      for (const listener of listeners) listener();
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      await control.close();
      await server.close(500);
    },
    async close() {
      openRigs.delete(rig);
      await rig.stop();
      await store.close();
    },
  };
  openRigs.add(rig);
  return rig;
}

/** A real proxy end of the stream. */
export function startProxy(
  addresses: readonly string[],
  proxyId: string,
  options: { heartbeatMs?: number; session?: string; protocol?: ProtocolRange } = {},
): TopologyClient {
  const control = createGrpcControlTransport({ world, addresses });
  const client = createTopologyClient({
    control,
    world,
    logger: silent,
    proxyId,
    address: `http://${proxyId}.test`,
    version: "0.0.0-test",
    heartbeatMs: options.heartbeatMs ?? 100,
    backOff: { firstMs: 20, maxMs: 200 },
    ...(options.session === undefined ? {} : { session: options.session }),
    ...(options.protocol === undefined ? {} : { protocol: options.protocol }),
  });
  openProxies.add(client);
  cleanUps.push(() => control.close());
  client.start();
  return client;
}

/** Stops everything that tests have started and not stopped. */
export async function stopAll(): Promise<void> {
  await Promise.all([...openProxies].map((proxy) => proxy.close()));
  openProxies.clear();
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
  // Control planes may share a store, which must be there until the last of them has stopped.
  for (const rig of openRigs) await rig.stop();
  for (const rig of [...openRigs]) await rig.close();
}

/** A grpc-js channel that the suite closes at the end. */
export function channel(address: string): Client {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  cleanUps.push(() => client.close());
  return client;
}

/** Metadata with the admin key. */
export function bearer(key: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}

/** A topology stream driven message by message. */
export class HandDrivenProxy {
  readonly session = randomBytes(8).toString("hex");
  readonly stream: GrpcDuplex<typeof SubscribeRequestSchema, typeof SubscribeResponseSchema>;
  readonly #messages: AsyncIterator<SubscribeResponse>;
  /** A read that `quiet` gave up on; the next one goes on with it. */
  #reading: Promise<IteratorResult<SubscribeResponse>> | undefined;

  constructor(address: string) {
    this.stream = createGrpcServiceClient(TopologyService, channel(address)).subscribe();
    this.#messages = this.stream.messages[Symbol.asyncIterator]();
  }

  hello(
    proxyId: string,
    held?: { epoch?: Epoch; hash: string },
    session = this.session,
    protocol?: ProtocolRange,
    abilities: { readonly takesParts?: boolean } = {},
  ): void {
    const value = {
      ...abilities,
      proxyId,
      session,
      address: `http://${proxyId}.test`,
      version: "hand",
      ...(protocol === undefined ? {} : { protocolMin: protocol.min, protocolMax: protocol.max }),
    };
    this.stream.send({
      message: {
        case: "hello",
        value:
          held?.epoch === undefined ? value : { ...value, lastEpoch: held.epoch, lastContentHash: held.hash },
      },
    });
  }

  ack(nonce: bigint, epoch: Epoch | undefined): void {
    this.stream.send({
      message: { case: "ack", value: epoch === undefined ? { nonce } : { nonce, epoch } },
    });
  }

  nack(nonce: bigint, error: string): void {
    this.stream.send({ message: { case: "nack", value: { nonce, error } } });
  }

  heartbeat(sequence: bigint): void {
    this.stream.send({ message: { case: "heartbeat", value: { sequence } } });
  }

  goodbye(): void {
    this.stream.send({ message: { case: "goodbye", value: {} } });
  }

  /** The next message; undefined at the end of the stream. */
  async next(): Promise<SubscribeResponse["message"] | undefined> {
    const reading = this.#reading ?? this.#messages.next();
    this.#reading = undefined;
    const result = await reading;
    return result.done === true ? undefined : result.value.message;
  }

  /** The next message that is not a lease. */
  async #nextTopology() {
    for (;;) {
      const message = await this.next();
      if (message?.case !== "lease" && message?.case !== "welcome") return message;
    }
  }

  /** The next topology, which must be a snapshot. */
  async snapshot() {
    const message = await this.#nextTopology();
    if (message?.case !== "snapshot") throw new Error(`expected a snapshot, got ${message?.case}`);
    if (message.value.topology === undefined) throw new Error("the snapshot holds no topology");
    return { ...message.value, topology: message.value.topology };
  }

  /** The next topology, which must be a delta. */
  async delta() {
    const message = await this.#nextTopology();
    if (message?.case !== "delta") throw new Error(`expected a delta, got ${message?.case}`);
    return message.value;
  }

  /** The next message, which must be a lease. */
  async lease() {
    const message = await this.next();
    if (message?.case !== "lease") throw new Error(`expected a lease, got ${message?.case}`);
    return message.value;
  }

  /** Sends a heartbeat until an answer satisfies `wanted`. */
  async leaseWhere(wanted: (lease: Awaited<ReturnType<HandDrivenProxy["lease"]>>) => boolean) {
    for (let sequence = 1_000n; ; sequence += 1n) {
      this.heartbeat(sequence);
      const lease = await this.lease();
      if (wanted(lease)) return lease;
      await world.timers.sleep(20);
    }
  }

  /** Whether nothing comes for that long. */
  async quiet(ms: number): Promise<boolean> {
    this.#reading ??= this.#messages.next();
    const timeout = world.timers.sleep(ms).then(() => "quiet" as const);
    return (await Promise.race([this.#reading, timeout])) === "quiet";
  }
}

/** Resolves once `condition` holds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = world.clock.monotonic() + 10_000;
  while (!(await condition())) {
    if (world.clock.monotonic() > end) throw new Error(`waited in vain: ${what}`);
    await world.timers.sleep(10);
  }
}
