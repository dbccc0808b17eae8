import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { request } from "undici";
import { configSchema } from "../../src/cli/config.js";
import { type RunningProxy, runProxy } from "../../src/cli/run-proxy.js";
import type { NodeProcess } from "../../src/nodes/launch.js";
import { findFreePort } from "../../src/nodes/ports.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { type Running, spawnMiroir } from "../integration/cli-process.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";

/** A control process that can be hurt. */
export interface ControlReplica {
  readonly address: string;
  /** The present run of it. */
  process(): Running;
  /** Starts it again; resolves once it stands by or leads. */
  restart(): Promise<void>;
}

/** Control processes on one Redis, nodes, and proxies that know all of them. */
export interface ReplicatedFleet {
  readonly replicas: readonly ControlReplica[];
  readonly proxies: readonly RunningProxy[];
  readonly nodes: readonly NodeProcess[];
  /** The replica that serves as the leader; undefined where none does. */
  leader(): Promise<ControlReplica | undefined>;
  /** The leader, once there is one. @throws Error after 30 seconds */
  untilLed(): Promise<ControlReplica>;
  stop(): Promise<void>;
}

/** What fleet to start. */
export interface ReplicatedFleetOptions {
  /** `redis://…` of an empty keyspace. */
  readonly store: string;
  readonly replicas: number;
  readonly proxies: number;
  /** Embedded nodes; 2 unless given. Every shard has two replicas. */
  readonly nodes?: number;
  readonly leaderLeaseMs: number;
  /** Milliseconds that a node may take to accept a write; the proxies' default unless given. */
  readonly nodeWriteTimeoutMs?: number;
  /** Further variables of the control processes' environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

const READY_MS = 30_000;

/** Starts nodes, control processes and proxies; resolves once the proxies serve. */
export async function startReplicatedFleet(options: ReplicatedFleetOptions): Promise<ReplicatedFleet> {
  const folder = mkdtempSync(join(tmpdir(), "miroir-replicated-"));
  const nodes = await startNodes(options.nodes ?? 2, { backend: "embedded" });
  const replicas: ControlReplica[] = [];
  const proxies: RunningProxy[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    for (const replica of replicas) {
      const { child, ended } = replica.process();
      child.kill("SIGCONT");
      child.kill("SIGKILL");
      const { stderr } = await ended;
      if (process.env.MIROIR_TEST_LOG !== undefined) console.error(stderr);
    }
    await nodes.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const starting = Array.from({ length: options.replicas }, (_, at) =>
      startReplica(options, nodes, join(folder, `control-${at}`)),
    );
    replicas.push(...(await Promise.all(starting)));
    for (let at = 0; at < options.proxies; at++) {
      proxies.push(
        await runProxy({
          config: configSchema.parse({
            http: "127.0.0.1:0",
            proxy_id: `proxy-${at}`,
            control: replicas.map(({ address }) => address),
            node_write_timeout_ms: options.nodeWriteTimeoutMs,
          }),
          world: createSystemWorld(),
          logger: pino({ level: process.env.MIROIR_TEST_LOG ?? "silent" }, pino.destination(2)),
        }),
      );
    }
    for (const proxy of proxies) await proxy.whenReady(AbortSignal.timeout(READY_MS));
  } catch (error) {
    await stop();
    throw error;
  }
  const leader = async (): Promise<ControlReplica | undefined> => {
    const serving = await Promise.all(replicas.map(({ address }) => serves(address)));
    return replicas.find((_, at) => serving[at]);
  };
  return {
    replicas,
    proxies,
    nodes: nodes.nodes,
    leader,
    untilLed: async () => {
      for (const end = performance.now() + READY_MS; performance.now() < end; ) {
        const found = await leader();
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`no control process leads within ${READY_MS} ms`);
    },
    stop,
  };
}

async function startReplica(
  { store, replicas, leaderLeaseMs, environment }: ReplicatedFleetOptions,
  nodes: StartedNodes,
  folder: string,
): Promise<ControlReplica> {
  const address = `127.0.0.1:${await findFreePort()}`;
  const start = async (): Promise<Running> => {
    const running = spawnMiroir(
      [
        ...["control", "--grpc", address, "--data-dir", folder, "--control-replicas", String(replicas)],
        ...["--replication-factor", "2", "--shards", "4", "--node-key", DEFAULT_MASTER_KEY],
        ...nodes.nodes.flatMap((node) => ["--node", node.url]),
      ],
      {
        MIROIR_STORE: store,
        MIROIR_LEADER_LEASE_MS: String(leaderLeaseMs),
        MIROIR_LOG_LEVEL: process.env.MIROIR_TEST_LOG ?? "info",
        ...environment,
      },
    );
    const began = ["control plane is serving", "control plane is standing by: another one leads"];
    await Promise.any(began.map((message) => running.logged(message)));
    return running;
  };
  let running = await start();
  return {
    address,
    process: () => running,
    restart: async () => {
      running = await start();
    },
  };
}

async function serves(address: string): Promise<boolean> {
  try {
    const answer = await request(`http://${address}/health`, { headersTimeout: 1_000 });
    await answer.body.dump();
    return answer.statusCode === 200;
  } catch {
    return false;
  }
}
