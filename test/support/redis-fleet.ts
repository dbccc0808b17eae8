/** Several Redis servers that belong together: a primary with replicas and sentinels, or a cluster. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { findFreePort } from "../../src/nodes/ports.js";
import { type RedisServer, redisBackend, startRedis } from "./redis-server.js";

/** A primary, its replicas, and sentinels that watch them. */
export interface SentinelFleet {
  readonly primary: RedisServer;
  readonly replicas: readonly RedisServer[];
  /** `redis+sentinel://…` of a fresh keyspace. */
  freshUrl(parameters?: string): string;
  /** The port of the primary, as the sentinels see it. */
  currentPrimary(): Promise<number>;
  stop(): Promise<void>;
}

const primaryName = "store";

/** Starts them; resolves when every sentinel knows the replicas. A primary that is gone for 500 ms is replaced. */
export async function startSentinelFleet(
  options: { replicas?: number; sentinels?: number; args?: readonly string[] } = {},
): Promise<SentinelFleet> {
  if (redisBackend.kind !== "binary") throw new Error("there is no Redis binary on this machine");
  const { path } = redisBackend;
  const primary = await startRedis(options.args === undefined ? {} : { args: options.args });
  const replicas: RedisServer[] = [];
  for (let i = 0; i < (options.replicas ?? 1); i++) {
    replicas.push(
      await startRedis({ args: [...(options.args ?? []), "--replicaof", "127.0.0.1", String(primary.port)] }),
    );
  }
  await until(async () => {
    const info = await primary.client().info("replication");
    return (info.match(/state=online/g) ?? []).length === replicas.length;
  });
  const sentinels = await Promise.all(
    Array.from({ length: options.sentinels ?? 1 }, async () => {
      const directory = mkdtempSync(join(tmpdir(), "miroir-sentinel-"));
      const port = await findFreePort();
      const file = join(directory, "sentinel.conf");
      writeFileSync(
        file,
        `port ${port}
bind 127.0.0.1
dir ${directory}
sentinel monitor ${primaryName} 127.0.0.1 ${primary.port} ${options.sentinels ?? 1}
sentinel down-after-milliseconds ${primaryName} 500
sentinel failover-timeout ${primaryName} 3000
`,
      );
      const child = spawn(path, [file, "--sentinel"], { stdio: "ignore" });
      const client = new Redis({ host: "127.0.0.1", port, retryStrategy: () => 50 });
      client.on("error", () => undefined);
      return { port, directory, child, client };
    }),
  );
  const [first] = sentinels;
  if (first === undefined) throw new Error("a fleet has at least one sentinel");
  for (const { client } of sentinels) {
    await until(async () => {
      const known = (await client.call("SENTINEL", "REPLICAS", primaryName)) as unknown[];
      return known.length === replicas.length;
    });
  }
  let keyspaces = 0;
  return {
    primary,
    replicas,
    freshUrl: (parameters = "") => {
      keyspaces++;
      const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",");
      return `redis+sentinel://${hosts}/${primaryName}?key_prefix=test-${keyspaces}${parameters}`;
    },
    currentPrimary: async () => {
      const [, port] = (await first.client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", primaryName)) as [
        string,
        string,
      ];
      return Number(port);
    },
    stop: async () => {
      for (const { client, child, directory } of sentinels) {
        client.disconnect();
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
        rmSync(directory, { recursive: true, force: true });
      }
      for (const server of [...replicas, primary]) await server.stop();
    },
  };
}

/** A cluster whose slots are spread over several primaries, each with at most one replica. */
export interface RedisCluster {
  readonly primaries: readonly RedisServer[];
  /** In the order of the primaries; empty without replicas. */
  readonly replicas: readonly RedisServer[];
  /** `redis+cluster://…` of a fresh keyspace. */
  freshUrl(parameters?: string): string;
  /** The server that serves the slot of a keyspace of `freshUrl`, as a node sees it that is not `except`. */
  ownerOf(url: string, except?: RedisServer): Promise<RedisServer>;
  /** The slot of such a keyspace. */
  slotOf(url: string): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a cluster; resolves when every node serves. A node that is gone for a second is replaced by its replica. */
export async function startRedisCluster(
  options: { primaries?: number; withReplicas?: boolean } = {},
): Promise<RedisCluster> {
  const count = options.primaries ?? 3;
  const start = (): Promise<RedisServer> =>
    startRedis({
      cluster: "member",
      args: ["--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"],
    });
  const primaries = await Promise.all(Array.from({ length: count }, start));
  const replicas = options.withReplicas ? await Promise.all(primaries.map(start)) : [];
  const nodes = [...primaries, ...replicas];
  const clients = new Map(nodes.map((node) => [node, node.client()]));
  const call = (node: RedisServer, ...args: (string | number)[]): Promise<unknown> => {
    const client = clients.get(node);
    if (client === undefined) throw new Error("this server is not of the cluster");
    return client.call("CLUSTER", ...args);
  };
  for (const [index, node] of primaries.entries()) {
    await call(node, "SET-CONFIG-EPOCH", index + 1);
    await call(
      node,
      "ADDSLOTSRANGE",
      Math.floor((16_384 * index) / count),
      Math.floor((16_384 * (index + 1)) / count) - 1,
    );
  }
  const [seed] = primaries;
  if (seed === undefined) throw new Error("a cluster has at least one node");
  for (const node of nodes) if (node !== seed) await call(node, "MEET", "127.0.0.1", seed.port);
  for (const node of nodes) {
    await until(async () => String(await call(node, "INFO")).includes(`cluster_known_nodes:${nodes.length}`));
  }
  for (const [index, replica] of replicas.entries()) {
    const primary = primaries[index];
    if (primary === undefined) continue;
    const id = String(await call(primary, "MYID"));
    await until(async () => String(await call(replica, "NODES")).includes(id));
    await call(replica, "REPLICATE", id);
  }
  for (const node of nodes) {
    await until(async () => String(await call(node, "INFO")).includes("cluster_state:ok"));
  }
  for (const replica of replicas) {
    await until(async () =>
      String(await clients.get(replica)?.info("replication")).includes("master_link_status:up"),
    );
  }
  let keyspaces = 0;
  const slotOf = async (url: string, asked = seed): Promise<number> => {
    const prefix = new URL(url.replace(/:\/\/[^/?]*/, "://host")).searchParams.get("key_prefix");
    return Number(await call(asked, "KEYSLOT", `{${prefix}}`));
  };
  return {
    primaries,
    replicas,
    freshUrl: (parameters = "") => {
      keyspaces++;
      const hosts = primaries.map(({ port }) => `127.0.0.1:${port}`).join(",");
      return `redis+cluster://${hosts}?key_prefix=test-${keyspaces}${parameters}`;
    },
    slotOf,
    ownerOf: async (url, except) => {
      const asked = nodes.find((node) => node !== except) ?? seed;
      const slot = await slotOf(url, asked);
      const ranges = (await call(asked, "SLOTS")) as [number, number, [string, number]][];
      const range = ranges.find(([first, last]) => first <= slot && slot <= last);
      const owner = nodes.find((node) => node.port === range?.[2][1]);
      if (owner === undefined) throw new Error(`no node of the cluster serves slot ${slot}`);
      return owner;
    },
    stop: async () => {
      for (const node of nodes) await node.stop();
    },
  };
}

/** Resolves when `condition` holds; what it throws counts as not yet. */
export async function until(condition: () => Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const holds = await condition().catch(() => false);
    if (holds) return;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Resolves when so many replicas have everything that a primary has written, by its own account. */
export function untilCaughtUp(primary: RedisServer, replicas: number): Promise<void> {
  return until(async () => {
    const info = await primary.client().info("replication");
    const written = /^master_repl_offset:(\d+)/m.exec(info)?.[1];
    const offsets = [...info.matchAll(/^slave\d+:.*state=online,offset=(\d+)/gm)].map(([, offset]) => offset);
    return offsets.length === replicas && offsets.every((offset) => offset === written);
  });
}
