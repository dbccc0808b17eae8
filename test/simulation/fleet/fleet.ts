import { fromBinary } from "@bufbuild/protobuf";
import { type Logger, pino } from "pino";
import { configSchema } from "../../../src/cli/config.js";
import { type Topology, TopologySchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import type { ShardHasher } from "../../../src/placement/shard.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import type { EpochRecord } from "../../chaos-harness/history.js";
import type { VirtualWorld } from "../virtual-world.js";
import {
  type ControlFaults,
  type ControlLink,
  invoke,
  linkControl,
  RELIABLE_CONTROL,
} from "./control-link.js";
import { ControlReplica } from "./control-replica.js";
import { SimulatedMeilisearch } from "./node.js";
import { NodeNetwork } from "./node-network.js";
import type { PlantedFault } from "./planted-faults.js";
import { SimulatedProxy } from "./proxy.js";
import { linkStore, RELIABLE_STORE, type StoreLink } from "./store-link.js";
import { StoreWatch } from "./store-watch.js";
import { editTopology } from "./topology-editor.js";
import { withoutFence } from "./unfenced-store.js";

/** How a fleet is laid out. */
export interface FleetShape {
  readonly nodes: number;
  /** Servers beside them, which operators may add. */
  readonly spares: number;
  readonly groups: number;
  readonly copies: number;
  readonly shards: number;
  readonly proxies: number;
  readonly controls: number;
  readonly maxBatchMs: number;
}

/** A whole deployment in one virtual world: nodes, control processes on one store, proxies. */
export class Fleet {
  readonly nodes: ReadonlyMap<string, SimulatedMeilisearch>;
  readonly network: NodeNetwork;
  readonly storeLink: StoreLink = { faults: RELIABLE_STORE };
  readonly controlLink: ControlLink;
  readonly watch: StoreWatch;
  /** Every topology that a proxy has taken. */
  readonly epochs: EpochRecord[] = [];
  private readonly controls: ControlReplica[] = [];
  private readonly proxies: SimulatedProxy[] = [];
  private readonly links: { breakStreams(): void }[] = [];
  /** Whether clients have written enough. */
  quiet = false;
  private runs = 0;

  private constructor(
    readonly world: VirtualWorld,
    readonly shape: FleetShape,
    private readonly hasher: ShardHasher,
    private readonly store: TaskStore,
    private readonly say: (line: string) => void,
    readonly planted: PlantedFault,
  ) {
    this.nodes = new Map(
      Array.from({ length: shape.nodes + shape.spares }, (_, at) => {
        const id = `node-${at}`;
        const tuning = { maxBatchMs: shape.maxBatchMs, maxBatch: 8 };
        const { sameNames = false, hiddenLosses = false } = planted;
        return [
          id,
          new SimulatedMeilisearch(id, `master-key-of-${id}`, world, tuning, { sameNames, hiddenLosses }),
        ] as const;
      }),
    );
    const { masterKeys = false, blindComparisons = false } = planted;
    this.network = new NodeNetwork(world, this.nodes, masterKeys, blindComparisons);
    this.watch = new StoreWatch(planted.unfencedStore === true ? withoutFence(store) : store);
    this.controlLink = {
      faults: RELIABLE_CONTROL,
      forgesAcks: planted.forgedAcks === true,
      replicas: () => this.controls,
    };
    for (let at = 0; at < shape.controls; at++) this.startControl(at);
    for (let at = 0; at < shape.proxies; at++) this.startProxy(at);
  }

  /** A fleet whose processes have just been started. `say` is told of what they log. */
  static async start(
    world: VirtualWorld,
    shape: FleetShape,
    hasher: ShardHasher,
    say: (line: string) => void,
    planted: PlantedFault = {},
  ): Promise<Fleet> {
    const store = await openSqliteTaskStore({ path: ":memory:", clock: world.clock, timers: world.timers });
    return new Fleet(world, shape, hasher, store, say, planted);
  }

  /** The proxy in a place, dead or alive. */
  proxy(at: number): SimulatedProxy {
    const proxy = this.proxies[at % this.proxies.length];
    if (proxy === undefined) throw new Error("the fleet has no proxies");
    return proxy;
  }

  control(at: number): ControlReplica {
    const control = this.controls[at % this.controls.length];
    if (control === undefined) throw new Error("the fleet has no control processes");
    return control;
  }

  /** Starts a proxy in the place of one that has ended. */
  startProxy(at: number): SimulatedProxy {
    const id = `proxy-${at}`;
    const run = ++this.runs;
    const proxy = new SimulatedProxy({
      id,
      run,
      world: this.world,
      hasher: this.hasher,
      logger: this.logger(`${id}r${run}`),
      control: (process) => {
        const { transport, breakStreams } = linkControl(this.controlLink, this.world, process);
        this.links[at] = { breakStreams };
        return transport;
      },
      transport: (process) => this.network.transport(id, process),
      peer: (session) => this.proxies.find((proxy) => proxy.session === session),
      planted: this.planted,
    });
    this.proxies[at] = proxy;
    proxy.topology.onChange(({ epoch }) => {
      const now = this.world.clock.monotonic();
      const { clusterId: cluster, term, counter } = epoch;
      this.epochs.push({
        kind: "epoch",
        process: id,
        run,
        start: now,
        end: now,
        cluster,
        term: Number(term),
        counter: Number(counter),
        contentHash: proxy.topology.topology()?.contentHash ?? "",
      });
    });
    return proxy;
  }

  startControl(at: number): void {
    const name = `control-${at}`;
    const { shape } = this;
    this.controls[at] = new ControlReplica({
      name,
      world: this.world,
      config: configSchema.parse({
        nodes: [...this.nodes.values()]
          .slice(0, shape.nodes)
          .map(({ id, masterKey }) => ({ url: `http://${id}`, key: masterKey })),
        groups: shape.groups,
        replication_factor: shape.copies,
        shards: shape.shards,
        settings_check_seconds: 0,
        leader_lease_ms: 3_000,
        repair_delay_seconds: 0,
      }),
      logger: this.logger(name),
      store: (process) => linkStore(this.watch.store, this.storeLink, this.world, process),
      transport: (process) => this.network.transport(name, process),
    });
  }

  /** An operator's call to whoever leads; rejects where nobody does, and where it is refused. */
  async operate(method: string, request: object): Promise<unknown> {
    await this.world.timers.sleep(1);
    const leader = this.controls.find((control) => control.services() !== undefined);
    const services = leader?.services();
    if (leader === undefined || services === undefined) throw new Error("no control process leads");
    await leader.process.timers.sleep(0);
    return invoke(services, method, request);
  }

  /** A server that the fleet was started without; undefined where there is none. */
  spare(): SimulatedMeilisearch | undefined {
    return [...this.nodes.values()][this.shape.nodes];
  }

  /** Edits the stored topology as the planted fault says; resolves true where there was anything to edit. */
  async editTopology(): Promise<boolean> {
    const { topologyEdit } = this.planted;
    return topologyEdit !== undefined && editTopology(this.watch.store, topologyEdit);
  }

  /** Ends all topology streams, as a network that was interrupted does. */
  breakStreams(): void {
    for (const link of this.links) link.breakStreams();
  }

  setControlFaults(faults: ControlFaults): void {
    this.controlLink.faults = faults;
  }

  /** The topology as it is stored. */
  async storedTopology(): Promise<Topology | undefined> {
    const row = await this.store.topology.load();
    return row === undefined ? undefined : fromBinary(TopologySchema, row.document);
  }

  async close(): Promise<void> {
    for (const proxy of this.proxies) proxy.kill();
    for (const control of this.controls) control.kill();
    await this.store.close();
  }

  private logger(name: string): Logger {
    if (this.say === silent) return SILENT;
    return pino(
      { level: "debug", base: null, timestamp: false },
      { write: (line: string) => this.say(`${name}: ${readable(line)}`) },
    );
  }
}

/** A line of the log as a person reads it. */
function readable(line: string): string {
  const { level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const told = Object.entries(fields).map(([name, value]) => {
    const { message } = (value ?? {}) as { readonly message?: unknown };
    return ` ${name}=${message === undefined ? JSON.stringify(value) : String(message)}`;
  });
  return `${Number(level) >= 40 ? "! " : ""}${String(msg)}${told.join("")}`;
}

const SILENT = pino({ level: "silent" });

/** For runs that nobody watches. */
export function silent(): void {}
