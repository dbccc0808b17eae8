/** The processes of a run: nodes, control replicas, proxies and a store, with a relay on every link between two of them. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { launchNode, type NodeProcess } from "../../src/nodes/launch.js";
import { DEFAULT_MASTER_KEY } from "../support/nodes.js";
import { type RedisServer, startRedis } from "../support/redis-server.js";
import { type FaultLink, startFaultLink } from "./fault-link.js";
import { MiroirChild } from "./miroir-child.js";
import { quietPort } from "./quiet-port.js";

/** What fleet to run. */
export interface FleetShape {
  readonly nodeKind: "real" | "embedded";
  readonly nodes: number;
  /** Nodes that run from the beginning and are no members of the fleet until an operation adds them. */
  readonly spares: number;
  readonly groups: number;
  readonly replicationFactor: number;
  readonly shards: number;
  /** One runs on SQLite, several on a Redis of their own. */
  readonly controls: number;
  readonly proxies: number;
  /** A fault to plant in every Miroir process, by name; none unless given. */
  readonly plantedFault?: string;
}

/** Anything that can be killed, stopped and started again. */
export interface ChaosProcess {
  readonly name: string;
  /** `kill -9`. */
  kill(): Promise<void>;
  start(): Promise<void>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
}

/** A Miroir process, which also has a clock that can be set, and an address past all relays. */
export interface ChaosServer extends ChaosProcess {
  readonly url: string;
  readonly runs: number;
  setClock(offsetMs: number): void;
}

export const CLIENT_KEY = "chaos-clients-key-0123456789";
export const NODE_KEY = DEFAULT_MASTER_KEY;
const HOST = "127.0.0.1";
/** Milliseconds that a node may take to accept a write: shorter than the longest pauses, so that replicas are left behind. */
const NODE_WRITE_TIMEOUT_MS = 2_000;
/** Seconds after which the replicas of a node that is away are made anew: shorter than the longest time for which a node stays killed. */
const NODE_GRACE_SECONDS = 10;

/** A running fleet. */
export class ChaosFleet {
  readonly nodes: NodeProcess[] = [];
  readonly proxies: ChaosServer[] = [];
  readonly controls: ChaosServer[] = [];
  readonly links = new Map<string, FaultLink>();
  /** Base URLs under which clients reach the proxies. */
  readonly clientUrls: string[] = [];
  /** Told when a process ended by itself; it is started again. */
  onDeath: (name: string, how: string) => void = () => undefined;
  readonly #shape: FleetShape;
  readonly #folder: string;
  #redis: RedisServer | undefined;
  #closing = false;

  private constructor(shape: FleetShape, folder: string) {
    this.#shape = shape;
    this.#folder = folder;
  }

  /** Starts everything; logs and data of all of it are in `folder`. */
  static async start(shape: FleetShape, folder: string): Promise<ChaosFleet> {
    const fleet = new ChaosFleet(shape, folder);
    try {
      await fleet.#start();
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  /** Nodes, proxies and control replicas. */
  processes(): readonly ChaosProcess[] {
    return [...this.nodes.map(nodeAsProcess), ...this.proxies, ...this.controls];
  }

  /** Starts a node again without anything of what it held. */
  async emptyNode(at: number): Promise<void> {
    await this.nodes[at]?.kill("SIGKILL");
    rmSync(join(this.#folder, `node-${at}`, "data.ms"), { recursive: true, force: true });
    await this.nodes[at]?.restart();
  }

  async stop(): Promise<void> {
    this.#closing = true;
    for (const { kill } of [...this.proxies, ...this.controls]) await kill();
    await Promise.all(this.nodes.map((node) => node.kill("SIGKILL")));
    await this.#redis?.stop();
    await Promise.all([...this.links.values()].map((link) => link.close()));
  }

  async #start(): Promise<void> {
    const { nodes, spares, controls, proxies, nodeKind } = this.#shape;
    const count = nodes + spares;
    this.nodes.push(
      ...(await Promise.all(
        Array.from({ length: count }, (_, at) =>
          launchNode({
            kind: nodeKind === "real" ? "binary" : "embedded",
            dataDir: join(this.#folder, `node-${at}`),
            masterKey: NODE_KEY,
          }),
        ),
      )),
    );
    if (controls > 1) this.#redis = await startRedis();
    const grpcPorts = await Promise.all(Array.from({ length: controls }, () => quietPort()));
    const httpPorts = await Promise.all(Array.from({ length: proxies }, () => quietPort()));
    const peerUrls = await Promise.all(httpPorts.map((port, at) => this.#link(`proxies-proxy-${at}`, port)));
    for (const [at, port] of grpcPorts.entries()) this.controls.push(await this.#control(at, port));
    for (const [at, port] of httpPorts.entries()) {
      this.clientUrls.push(`http://${await this.#link(`clients-proxy-${at}`, port)}`);
      this.proxies.push(await this.#proxy(at, port, grpcPorts, `http://${peerUrls[at] ?? ""}`));
    }
    await Promise.all(this.controls.map((control) => control.start()));
    await Promise.all(this.proxies.map((proxy) => proxy.start()));
  }

  async #control(at: number, port: number): Promise<ChaosServer> {
    const { groups, nodes, replicationFactor, shards } = this.#shape;
    const name = `control-${at}`;
    const store =
      this.#redis === undefined
        ? {}
        : { store: `redis://${await this.#link(`${name}-store`, this.#redis.port)}?key_prefix=chaos` };
    return this.#server(name, port, "control", {
      grpc: `${HOST}:${port}`,
      ...store,
      control_replicas: this.#shape.controls,
      groups,
      replication_factor: replicationFactor,
      shards,
      node_grace_seconds: NODE_GRACE_SECONDS,
      repair_delay_seconds: 1,
      nodes: this.nodes.slice(0, nodes).map((node, position) => ({
        id: `node-${position}`,
        url: node.url,
        key: NODE_KEY,
        group: position % groups,
      })),
    });
  }

  async #proxy(
    at: number,
    port: number,
    grpcPorts: readonly number[],
    advertise: string,
  ): Promise<ChaosServer> {
    const name = `proxy-${at}`;
    const control = await Promise.all(
      grpcPorts.map((grpc, position) => this.#link(`${name}-control-${position}`, grpc)),
    );
    return this.#server(name, port, "proxy", {
      http: `${HOST}:${port}`,
      proxy_id: name,
      control,
      advertise,
      master_key: CLIENT_KEY,
      node_write_timeout_ms: NODE_WRITE_TIMEOUT_MS,
    });
  }

  async #server(
    name: string,
    port: number,
    role: "control" | "proxy",
    config: Readonly<Record<string, unknown>>,
  ): Promise<ChaosServer> {
    const dataDir = join(this.#folder, name);
    mkdirSync(dataDir, { recursive: true });
    const nodeUrls = await Promise.all(
      this.nodes.map(
        async ({ url }, at) =>
          [url, `http://${await this.#link(`${name}-node-${at}`, Number(new URL(url).port))}`] as const,
      ),
    );
    const spec = {
      role,
      config: { ...config, data_dir: dataDir, log_level: "debug" },
      nodeUrls: Object.fromEntries(nodeUrls),
      ...(this.#shape.plantedFault === undefined ? {} : { plantedFault: this.#shape.plantedFault }),
    };
    const child = new MiroirChild(spec, join(this.#folder, `${name}.log`), (how) => {
      if (this.#closing) return;
      this.onDeath(name, how);
      child.start().catch((error: unknown) => this.onDeath(name, `did not start again: ${String(error)}`));
    });
    return {
      name,
      url: `http://${HOST}:${port}`,
      get runs() {
        return child.runs;
      },
      kill: () => child.end("SIGKILL"),
      start: () => child.start(),
      signal: (signal) => child.signal(signal),
      setClock: (offsetMs) => child.setClock(offsetMs),
    };
  }

  /** Makes a relay; resolves with its `host:port`. */
  async #link(name: string, targetPort: number): Promise<string> {
    const link = await startFaultLink(name, targetPort);
    this.links.set(name, link);
    return `${HOST}:${link.port}`;
  }
}

function nodeAsProcess(node: NodeProcess, at: number): ChaosProcess {
  return {
    name: `node-${at}`,
    kill: () => node.kill("SIGKILL"),
    start: () => node.restart(),
    signal: (signal) => {
      void node.kill(signal);
    },
  };
}
