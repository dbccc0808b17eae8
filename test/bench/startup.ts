import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findFreePort } from "../../src/nodes/ports.js";
import { startRig } from "../integration/protocol/rig.js";
import { FIXED_NODE_KEY, startFixedNodes } from "./fixed-fleet.js";
import { largeTopology } from "./large-topology.js";
import { cpuMs, memoryOf } from "./process-usage.js";
import { type Spread, spreadOf } from "./quantiles.js";

/** What the start of one process takes, and what it holds when it has nothing to do. */
export interface StartCosts {
  readonly process: string;
  /** Milliseconds from the start of the program until it answers that it is ready. */
  readonly readyMs: Spread;
  /** Processor time until then, in milliseconds, of all threads. */
  readonly cpuMs: Spread;
  /** Bytes of memory when it has been idle for a while. */
  readonly idleBytes: Spread;
  /** Processor time of an idle second, in milliseconds. */
  readonly idleCpuMs: Spread;
}

/** How to measure starts. */
export interface StartupOptions {
  readonly repeats: number;
  /** Milliseconds for which a process that has started is left alone. */
  readonly idleMs: number;
  readonly progress: (text: string) => void;
}

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** Milliseconds between two looks at a process that starts. */
const LOOK_MS = 2;
/** Milliseconds that a start may take. */
const PATIENCE_MS = 60_000;
/** Indexes of the topologies that proxies start with. */
const INDEXES: readonly number[] = [1, 10_000];

/** Measures the programs as they are built, started again and again. */
export async function benchStartup(options: StartupOptions): Promise<StartCosts[]> {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is not there; npm run build makes it`);
  const costs = [await benchControl(options)];
  for (const indexes of INDEXES) costs.push(await benchProxy(indexes, options));
  return costs;
}

async function benchControl(options: StartupOptions): Promise<StartCosts> {
  const nodes = await startFixedNodes(3);
  const folder = mkdtempSync(join(tmpdir(), "miroir-startup-"));
  try {
    const port = await findFreePort();
    const args = [
      "control",
      "--grpc",
      `127.0.0.1:${port}`,
      "--data-dir",
      folder,
      "--node-key",
      FIXED_NODE_KEY,
    ];
    const withNodes = [...args, ...nodes.urls.flatMap((url) => ["--node", url])];
    const url = `http://127.0.0.1:${port}/health`;
    // The first start makes the store.
    await startOnce(withNodes, url, 0);
    return await measure("control, three nodes", withNodes, url, options);
  } finally {
    await nodes.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function benchProxy(indexes: number, options: StartupOptions): Promise<StartCosts> {
  const rig = await startRig({
    initial: largeTopology({ indexes, shards: 64, nodes: 12 }),
    leaseMs: 3_000,
    graceMs: 2_000,
  });
  try {
    const port = await findFreePort();
    const args = ["proxy", "--http", `127.0.0.1:${port}`, "--control", rig.address];
    const url = `http://127.0.0.1:${port}/_miroir/ready`;
    const name = `proxy, ${indexes} ${indexes === 1 ? "index" : "indexes"}`;
    return await measure(name, args, url, options);
  } finally {
    await rig.close();
  }
}

async function measure(
  name: string,
  args: readonly string[],
  readyUrl: string,
  { idleMs, progress, repeats }: StartupOptions,
): Promise<StartCosts> {
  const starts: Start[] = [];
  for (let repeat = 1; repeat <= repeats; repeat++) {
    starts.push(await startOnce(args, readyUrl, idleMs));
    progress(`${name}: ${repeat} of ${repeats}`);
  }
  return {
    process: name,
    readyMs: spreadOf(starts.map((start) => start.readyMs)),
    cpuMs: spreadOf(starts.map((start) => start.cpuMs)),
    idleBytes: spreadOf(starts.map((start) => start.idleBytes)),
    idleCpuMs: spreadOf(starts.map((start) => start.idleCpuMs)),
  };
}

interface Start {
  readonly readyMs: number;
  readonly cpuMs: number;
  readonly idleBytes: number;
  readonly idleCpuMs: number;
}

async function startOnce(args: readonly string[], readyUrl: string, idleMs: number): Promise<Start> {
  const began = performance.now();
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, MIROIR_LOG_LEVEL: "warn" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exited = once(child, "exit");
  try {
    const pid = child.pid ?? 0;
    await untilReady(child, readyUrl, began + PATIENCE_MS);
    const readyMs = performance.now() - began;
    const cpu = cpuMs(pid);
    await sleep(idleMs / 2);
    const idleCpu = cpuMs(pid);
    await sleep(idleMs / 2);
    return {
      readyMs,
      cpuMs: cpu,
      idleBytes: memoryOf(pid).now,
      idleCpuMs: ((cpuMs(pid) - idleCpu) * 1_000) / (idleMs / 2),
    };
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
}

async function untilReady(child: ChildProcess, url: string, deadline: number): Promise<void> {
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode} before it was ready`);
    if (performance.now() > deadline) throw new Error(`it was not ready after ${PATIENCE_MS} ms`);
    await sleep(LOOK_MS);
  }
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).once("error", () => resolve(false));
  });
}
