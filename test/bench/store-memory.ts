import { leaseScope } from "../../src/store/task-store.js";
import { type RedisServer, startRedis } from "../support/redis-server.js";
import { loadParts, type StoreLoad } from "../unit/store/fill-store.js";
import { openBackend } from "../unit/store/open-backend.js";

/** What one kind of rows costs. */
export interface MemoryRow {
  readonly kind: string;
  readonly rows: number;
  /** By which the server's `used_memory` grew. */
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

/** Writes a load to a private server, part by part, and reads what the server says that it uses after each. */
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
    for (const part of loadParts(store, fence, load)) {
      const before = await usedMemory(server);
      await part.write();
      const bytes = (await usedMemory(server)) - before;
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

/** What the server uses beside the buffers of its clients and of its log, which come and go. */
async function usedMemory(server: RedisServer): Promise<number> {
  const client = server.client();
  const info = await client.info("memory");
  client.disconnect();
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
  return field("used_memory") - field("mem_clients_normal") - field("mem_aof_buffer");
}
