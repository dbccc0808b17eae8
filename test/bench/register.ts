import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { createGrpcServiceClient, type GrpcServiceClient } from "../../src/client/grpc-adapter.js";
import { TaskService } from "../../src/gen/miroir/v1/tasks_pb.js";
import { hasRedisBinary, startRedis } from "../support/redis-server.js";
import { startChildServer } from "./child-server.js";
import { largeTopology } from "./large-topology.js";
import { cpuMs } from "./process-usage.js";
import { quantile, type Spread, spreadOf } from "./quantiles.js";
import { REGISTERED_SIZE, registeredTask } from "./registered-tasks.js";
import { Started } from "./started.js";

/** What registering tasks takes where so many calls are under way at once. */
export interface RegisterCosts {
  readonly store: string;
  readonly atOnce: number;
  readonly tasksPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  /** Processor time of the control plane for each task, in milliseconds. */
  readonly cpuMs: Spread;
}

/** How to measure registrations. */
export interface RegisterOptions {
  readonly atOnce: readonly number[];
  readonly durationMs: number;
  readonly repeats: number;
  readonly progress: (text: string) => void;
}

type Tasks = GrpcServiceClient<typeof TaskService>;

/** Connections that calls are shared out to, as many proxies have one each. */
const MOST_CLIENTS = 8;
/** Uids that are taken at a time: the most that there are. */
const UIDS = 10_000;

const topology = largeTopology(REGISTERED_SIZE);

/** Measures proxies' registrations over gRPC at a control plane that is a process of its own, with each store that there is. */
export async function benchRegister(options: RegisterOptions): Promise<RegisterCosts[]> {
  const folder = mkdtempSync(join(tmpdir(), "miroir-register-"));
  const started = new Started();
  const program = new URL("registry-main.ts", import.meta.url);
  try {
    const costs: RegisterCosts[] = [];
    const stores = [{ name: "SQLite", url: `sqlite://${join(folder, "control.db")}` }];
    if (hasRedisBinary) {
      const redis = started.keep(await startRedis({ appendfsync: "everysec" }));
      stores.push({ name: "Redis everysec", url: redis.freshUrl() });
    }
    for (const { name, url } of stores) {
      const server = started.keep(await startChildServer(program, [url]));
      const [address = ""] = server.urls;
      costs.push(...(await benchStore(name, address, server.pid, options)));
    }
    return costs;
  } finally {
    await started.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function benchStore(
  store: string,
  address: string,
  pid: number,
  { atOnce, durationMs, progress, repeats }: RegisterOptions,
): Promise<RegisterCosts[]> {
  const channels = Array.from(
    { length: MOST_CLIENTS },
    () => new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 }),
  );
  const services = channels.map((channel) => createGrpcServiceClient(TaskService, channel));
  try {
    // Programs are compiled while they run.
    await round(services, pid, Math.max(...atOnce), durationMs);
    const costs: RegisterCosts[] = [];
    for (const calls of atOnce) {
      const rounds: Round[] = [];
      for (let repeat = 0; repeat < repeats; repeat++)
        rounds.push(await round(services, pid, calls, durationMs));
      const over = (figure: (round: Round) => number): Spread => spreadOf(rounds.map(figure));
      costs.push({
        store,
        atOnce: calls,
        tasksPerSecond: over(({ tasksPerSecond }) => tasksPerSecond),
        p50Ms: over(({ latencies }) => quantile(latencies, 0.5)),
        p99Ms: over(({ latencies }) => quantile(latencies, 0.99)),
        cpuMs: over((one) => one.cpuMs),
      });
      progress(`${store}: ${calls} at once measured`);
    }
    return costs;
  } finally {
    for (const channel of channels) channel.close();
  }
}

interface Round {
  readonly tasksPerSecond: number;
  /** Milliseconds, ascending. */
  readonly latencies: readonly number[];
  readonly cpuMs: number;
}

async function round(
  services: readonly Tasks[],
  pid: number,
  atOnce: number,
  durationMs: number,
): Promise<Round> {
  const latencies: number[] = [];
  const cpu = cpuMs(pid);
  const began = performance.now();
  const caller = async (number: number): Promise<void> => {
    const tasks = services[number % services.length];
    if (tasks === undefined) return;
    let { first, end } = await uids(tasks);
    while (performance.now() - began < durationMs) {
      if (first === end) ({ first, end } = await uids(tasks));
      const task = registeredTask(first, topology);
      first += 1n;
      const sent = performance.now();
      await tasks.registerTasks({ session: "bench", tasks: [task] });
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, number) => caller(number)));
  const elapsed = performance.now() - began;
  latencies.sort((left, right) => left - right);
  return {
    tasksPerSecond: (latencies.length * 1_000) / elapsed,
    latencies,
    cpuMs: (cpuMs(pid) - cpu) / latencies.length,
  };
}

async function uids(tasks: Tasks): Promise<{ first: bigint; end: bigint }> {
  const { count, firstUid } = await tasks.allocateTaskUids({ count: UIDS, session: "bench" });
  return { first: firstUid, end: firstUid + BigInt(count) };
}
