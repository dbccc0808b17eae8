import { leaseScope } from "../../src/store/task-store.js";
import { type RedisServer, startRedis } from "../support/redis-server.js";
import { loadParts, type StoreLoad } from "../unit/store/fill-store.js";
import { openBackend } from "../unit/store/open-backend.js";

/** What one kind of rows costs. */
export interface MemoryRow {
  readonly kind: string;
  readonly rows: number;
  /** What the server says that their keys, and the indexes that find them, take (`MEMORY USAGE`). */
  readonly bytes: number;
  readonly bytesPerRow: number;
}

/** What a load costs a server that was empty. */
export interface MemoryReport {
  readonly version: string;
  readonly rows: readonly MemoryRow[];
  /** By which `used_memory` grew from the empty server to the loaded one, scripts and connections included. */
  readonly totalBytes: number;
}

/** Writes a load to a private server, part by part, and asks the server after each what its keys take. */
export async function measureMemory(load: StoreLoad): Promise<MemoryReport> {
  const server = await startRedis({ appendfsync: "no" });
  try {
    const empty = await usedMemory(server);
    const store = await openBackend({ url: server.freshUrl() }, undefined, {
      canaryRuns: load.runsPerCanary,
    });
    const fence = await store.lease.acquire({
      scope: leaseScope("leader"),
      holder: "control-1",
      ttlMs: 3_600_000,
    });
    if (fence === undefined) throw new Error("somebody else holds the lease");
    const rows: MemoryRow[] = [];
    let before = await bytesOfKeys(server);
    for (const part of loadParts(store, fence, load)) {
      await part.write();
      const after = await bytesOfKeys(server);
      const bytes = after - before;
      before = after;
      rows.push({ kind: part.name, rows: part.rows, bytes, bytesPerRow: bytes / Math.max(1, part.rows) });
    }
    const totalBytes = (await usedMemory(server)) - empty;
    const info = await server.client().info("server");
    const version =
      /^valkey_version:(\S+)/m.exec(info)?.[1] ?? /^redis_version:(\S+)/m.exec(info)?.[1] ?? "?";
    await store.close();
    return { version, rows, totalBytes };
  } finally {
    await server.stop();
  }
}

/** What all keys take, with their names and values. */
async function bytesOfKeys(server: RedisServer): Promise<number> {
  const client = server.client();
  let sum = 0;
  for await (const keys of client.scanStream({ count: 1_000 }) as AsyncIterable<string[]>) {
    const pipeline = client.pipeline();
    for (const key of keys) pipeline.call("MEMORY", "USAGE", key, "SAMPLES", "0");
    for (const [, bytes] of (await pipeline.exec()) ?? []) sum += Number(bytes ?? 0);
  }
  client.disconnect();
  return sum;
}

/** What the server uses beside the buffers of its clients and of its log, which come and go. */
async function usedMemory(server: RedisServer): Promise<number> {
  const client = server.client();
  const info = await client.info("memory");
  client.disconnect();
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
  return field("used_memory") - field("mem_clients_normal") - field("mem_aof_buffer");
}
