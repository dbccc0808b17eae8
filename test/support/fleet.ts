import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configSchema } from "../../src/cli/config.js";
import { createLogger } from "../../src/cli/logger.js";
import { type RunningControl, runControl } from "../../src/cli/run-control.js";
import { type RunningProxy, runProxy } from "../../src/cli/run-proxy.js";
import type { NodeProcess } from "../../src/nodes/launch.js";
import type { LogOutput } from "../../src/runtime/log-output.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { type MeilisearchHttp, meilisearchHttp } from "./meilisearch-http.js";
import { startNodes } from "./nodes.js";
import { type Relay, startRelay } from "./relay.js";

/** What fleet to start. */
export interface FleetOptions {
  readonly nodes: number;
  /** Further command-line arguments of each node, by its position; none unless given. */
  readonly nodeArgs?: readonly string[] | ((at: number) => readonly string[]);
  /** Puts something where the control plane keeps what it has, before it starts. */
  readonly prepare?: (dataDir: string) => Promise<void>;
  /** 1 unless given. */
  readonly groups?: number;
  readonly replicationFactor: number;
  /** 16 unless given. */
  readonly shards?: number;
  /** Puts a relay in front of every node; false unless given. */
  readonly relays?: boolean;
  /** Milliseconds that a node may take to accept a write; the proxy's default unless given. */
  readonly nodeWriteTimeoutMs?: number;
  /** Milliseconds for which a proxy without a lease holds writes; the proxy's default unless given. */
  readonly writeHoldMs?: number;
  /** Clients' master key; none unless given. */
  readonly masterKey?: string;
  /** Nodes of a group that a read goes to; `few` unless given. */
  readonly readSpread?: "few" | "many";
  /** Seconds between two comparisons of the nodes' settings; the control plane's default unless given. */
  readonly settingsCheckSeconds?: number;
  /** Largest body that the proxy takes, in bytes; its default unless given. */
  readonly payloadLimitBytes?: number;
  /** Further members of the control plane's configuration. */
  readonly controlConfig?: Readonly<Record<string, unknown>>;
}

/** A whole fleet: nodes as processes, a control plane and a proxy over real sockets. */
export interface Fleet {
  /** The proxy, as a client sees it. */
  readonly api: MeilisearchHttp;
  /** What control plane and proxy log, at every level for whoever follows it. */
  readonly logs: LogOutput;
  /** `host:port` of the control plane. */
  controlAddress(): string;
  node(at: number): NodeProcess;
  /** Where the control plane keeps what it has, its backups too. */
  readonly dataDir: string;
  /** @throws Error where the fleet was started without relays */
  relay(at: number): Relay;
  stopControl(): Promise<void>;
  /** Starts the control plane again, on the same port and store. */
  startControl(): Promise<void>;
  /** Stops the proxy, where others are to do its work. */
  stopProxy(): Promise<void>;
  /** Stops the proxy and starts a new one (another session) on the same port. */
  restartProxy(): Promise<void>;
  /** Resolves once the condition holds, looked at every few milliseconds; rejects after 30 seconds. */
  until(condition: () => boolean): Promise<void>;
  /** The first value that is not undefined; rejects after 30 seconds with the last error. */
  eventually<T>(attempt: () => Promise<T | undefined>): Promise<T>;
  /** What `GET …/documents/{at}` gives on a plain node of its own for each of these documents, given as JSON texts. */
  plainNodeAnswers(documents: readonly string[]): Promise<readonly string[]>;
  stop(): Promise<void>;
}

const PATIENCE_MS = 30_000;
const LOOK_MS = 5;

/** Starts nodes, control plane and proxy, and resolves once the proxy holds the write lease. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const world = createSystemWorld();
  const config = configSchema.parse({ log_level: process.env.MIROIR_TEST_LOG ?? "silent" });
  const { logger, output: logs } = createLogger(config);
  const folder = mkdtempSync(join(tmpdir(), "miroir-fleet-"));
  const started = await startNodes(options.nodes, { args: options.nodeArgs ?? [] });
  const relays: Relay[] = [];
  let control: RunningControl | undefined;
  let proxy: RunningProxy | undefined;
  let grpc = "127.0.0.1:0";
  let http = "127.0.0.1:0";
  const groups = options.groups ?? 1;

  const startControl = async (): Promise<void> => {
    control = await runControl({
      config: configSchema.parse({
        grpc,
        data_dir: folder,
        groups,
        replication_factor: options.replicationFactor,
        shards: options.shards ?? 16,
        settings_check_seconds: options.settingsCheckSeconds,
        nodes: started.nodes.map((node, at) => ({
          id: `node-${at}`,
          url: relays[at]?.url ?? node.url,
          key: node.masterKey,
          group: at % groups,
        })),
        ...options.controlConfig,
      }),
      world,
      logger,
    });
    grpc = control.address;
  };
  const startProxy = async (): Promise<void> => {
    proxy = await runProxy({
      config: configSchema.parse({
        http,
        control: [grpc],
        data_dir: folder,
        proxy_id: "proxy-0",
        master_key: options.masterKey,
        http_payload_size_limit: options.payloadLimitBytes,
        read_spread: options.readSpread,
        node_write_timeout_ms: options.nodeWriteTimeoutMs,
        write_hold_ms: options.writeHoldMs,
      }),
      world,
      logger,
      logs,
    });
    http = new URL(proxy.url).host;
    await proxy.whenReady(AbortSignal.timeout(PATIENCE_MS));
  };
  const stop = async (): Promise<void> => {
    await proxy?.close();
    await control?.close();
    await Promise.all(relays.map((relay) => relay.close()));
    await started.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    if (options.relays === true) for (const node of started.nodes) relays.push(await startRelay(node.url));
    await options.prepare?.(folder);
    await startControl();
    await startProxy();
  } catch (error) {
    await stop();
    throw error;
  }
  const eventually = async <T>(attempt: () => Promise<T | undefined>): Promise<T> => {
    const deadline = world.clock.monotonic() + PATIENCE_MS;
    let last: unknown;
    while (world.clock.monotonic() < deadline) {
      try {
        const value = await attempt();
        if (value !== undefined) return value;
      } catch (error) {
        last = error;
      }
      await world.timers.sleep(LOOK_MS);
    }
    throw new Error(`nothing came of it in ${PATIENCE_MS} ms`, { cause: last });
  };
  return {
    api: meilisearchHttp(`http://${http}`, options.masterKey),
    logs,
    controlAddress: () => grpc,
    dataDir: folder,
    node: (at) => present(started.nodes[at], `node ${at}`),
    relay: (at) => present(relays[at], `relay ${at}`),
    stopControl: async () => {
      await control?.close();
      control = undefined;
    },
    startControl,
    stopProxy: async () => {
      await proxy?.close();
      proxy = undefined;
    },
    restartProxy: async () => {
      await proxy?.close();
      await startProxy();
    },
    eventually,
    until: async (condition) => {
      await eventually(() => Promise.resolve(condition() ? true : undefined));
    },
    plainNodeAnswers: async (documents) => {
      const plain = await startNodes(1);
      try {
        const node = present(plain.nodes[0], "the plain node");
        const http = meilisearchHttp(node.url, node.masterKey);
        const { taskUid } = await http.ok<{ taskUid: number }>(
          "POST",
          "/indexes/plain/documents?primaryKey=id",
          `[${documents.join(",")}]`,
        );
        await http.waitForTask(taskUid);
        return await Promise.all(
          documents.map(async (_, at) => (await http.send("GET", `/indexes/plain/documents/${at}`)).text),
        );
      } finally {
        await plain.stop();
      }
    },
    stop,
  };
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the fleet has no ${what}`);
  return value;
}
