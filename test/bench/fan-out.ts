import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { startRig } from "../integration/protocol/rig.js";
import { bundleChild } from "../support/child-program.js";
import { largeTopology, type TopologySize } from "./large-topology.js";
import { forgetMost, memoryOf } from "./process-usage.js";
import { type Spread, spreadOf } from "./quantiles.js";

/** What many topology streams cost the control plane. CPU is that of its process. */
export interface FanOutCosts {
  readonly subscribers: number;
  readonly size: TopologySize;
  /** CPU, until all have subscribed, hold the topology and a lease. */
  readonly connectCpuMs: number;
  /** From the first connection until all hold the topology. */
  readonly connectMs: number;
  /** Streams that broke meanwhile, and were opened again. */
  readonly broken: number;
  /** Bytes of memory before the first connection, and the most until all had a lease; NaN where there is no Linux. */
  readonly memoryBefore: number;
  readonly memoryMost: number;
  /** From a change's beginning to the last subscriber's receipt. */
  readonly lastReceiptMs: Spread;
  /** CPU of a change with its acknowledgements. */
  readonly changeCpuMs: Spread;
  /** CPU of a second without changes: heartbeats and leases. */
  readonly idleCpuMsPerSecond: number;
  /** Bytes written in such a second, as Linux counts them; NaN elsewhere. */
  readonly idleBytesPerSecond: number;
}

/** How to measure the fan-out. */
export interface FanOutOptions {
  readonly subscribers: number;
  readonly size: TopologySize;
  /** Whether the subscribers are proxies that take snapshots whole, not in parts. */
  readonly wholeSnapshots: boolean;
  readonly changes: number;
  readonly idleSeconds: number;
}

/** Milliseconds for which subscribers may settle before leases are all granted. */
const SETTLE_MS = 3_000;

/** What the subscribers tell when all of them hold the same epoch: its counter, when the last one got it, and the streams that broke so far. */
interface Report {
  readonly counter: number;
  readonly at: number;
  readonly broken: number;
}

const isLinux = process.platform === "linux";

/** Measures changes that reach every one of many subscribers over gRPC, from another process. */
export async function benchFanOut(options: FanOutOptions): Promise<FanOutCosts> {
  const { subscribers, size } = options;
  const rig = await startRig({
    initial: largeTopology(size),
    maxProxies: subscribers,
    leaseMs: 3_000,
    graceMs: 2_000,
  });
  const connecting = process.cpuUsage();
  const memoryBefore = isLinux ? memoryOf(process.pid).now : Number.NaN;
  if (isLinux) forgetMost(process.pid);
  const child = spawn(
    process.execPath,
    [
      await bundleChild(new URL("subscribers-main.ts", import.meta.url)),
      rig.address,
      String(subscribers),
      options.wholeSnapshots ? "whole" : "parts",
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  const reports = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const allHold = async (counter: number): Promise<Report> => {
    for (;;) {
      const report = await Promise.race([
        reports.next(),
        exited.then(([code]) => Promise.reject(new Error(`the subscribers ended with ${code}`))),
      ]);
      if (report.done === true) throw new Error("the subscribers said no more");
      const held = JSON.parse(report.value) as Report;
      if (held.counter >= counter) return held;
    }
  };
  try {
    const began = now();
    const { at, broken } = await allHold(1);
    const connectMs = at - began;
    await sleep(SETTLE_MS);
    const connectCpuMs = since(connecting);
    const memoryMost = isLinux ? memoryOf(process.pid).most : Number.NaN;
    const idle = process.cpuUsage();
    const sentBefore = bytesWritten();
    await sleep(options.idleSeconds * 1_000);
    const idleCpuMsPerSecond = since(idle) / options.idleSeconds;
    const idleBytesPerSecond = (bytesWritten() - sentBefore) / options.idleSeconds;
    const receipts: number[] = [];
    const cpu: number[] = [];
    for (let change = 0; change < options.changes; change++) {
      const before = process.cpuUsage();
      const changing = now();
      const { epoch } = await rig.control.topology.change("measured", (draft) => {
        const index = draft.indexes[change % size.indexes];
        if (index !== undefined) index.generation += 1n;
      });
      receipts.push((await allHold(Number(epoch?.counter))).at - changing);
      cpu.push(since(before));
    }
    return {
      subscribers,
      size,
      connectCpuMs,
      connectMs,
      broken,
      memoryBefore,
      memoryMost,
      lastReceiptMs: spreadOf(receipts),
      changeCpuMs: spreadOf(cpu),
      idleCpuMsPerSecond,
      idleBytesPerSecond,
    };
  } finally {
    child.kill("SIGKILL");
    await exited;
    await rig.close();
  }
}

/** By this process so far, to sockets for the most part. */
function bytesWritten(): number {
  if (!isLinux) return Number.NaN;
  return Number(/^wchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
}

function since(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** On the clock that the machine's processes share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
