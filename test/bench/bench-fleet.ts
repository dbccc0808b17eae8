import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../src/nodes/ports.js";
import { type Running, spawnMiroir } from "../integration/cli-process.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { imageEnvironment } from "./image-options.js";
import { InspectedProcess } from "./inspected-process.js";

/** A control plane and a proxy, each a process of its own, over nodes that somebody else started. */
export interface BenchFleet {
  readonly api: MeilisearchHttp;
  /** Base URL of the proxy. */
  readonly url: string;
  /** `host:port` of the control plane. */
  readonly controlAddress: string;
  readonly proxyPid: number;
  readonly controlPid: number;
  /** Opens a debugging connection to one of the processes, where the fleet was started for it. */
  inspect(process: "control" | "proxy"): Promise<InspectedProcess>;
  stop(): Promise<void>;
}

/** What fleet to start. */
export interface BenchFleetOptions {
  readonly nodeUrls: readonly string[];
  readonly nodeKey: string;
  /** 1 unless given. */
  readonly replicationFactor?: number;
  /** 64 unless given. */
  readonly shards?: number;
  /** Largest body that the proxy takes, in bytes; its default unless given. */
  readonly payloadLimitBytes?: number;
  /** Whether the processes can be inspected; false unless given. */
  readonly isInspected?: boolean;
}

const READY_ATTEMPTS = 300;

/** Starts the processes as the image does; resolves once the proxy is ready. */
export async function startBenchFleet(options: BenchFleetOptions): Promise<BenchFleet> {
  const folder = mkdtempSync(join(tmpdir(), "miroir-bench-"));
  const { payloadLimitBytes } = options;
  const processes: Running[] = [];
  const debugPorts = { control: await findFreePort(), proxy: await findFreePort() };
  const start = (process: "control" | "proxy", args: readonly string[]): Running => {
    const nodeArgs = options.isInspected === true ? [`--inspect=127.0.0.1:${debugPorts[process]}`] : [];
    const running = spawnMiroir([process, ...args], imageEnvironment(), nodeArgs);
    processes.unshift(running);
    return running;
  };
  const stop = async (): Promise<void> => {
    for (const { child, ended } of processes) {
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const control = start("control", [
      ...["--grpc", "127.0.0.1:0", "--data-dir", folder, "--node-key", options.nodeKey],
      ...["--replication-factor", `${options.replicationFactor ?? 1}`, "--shards", `${options.shards ?? 64}`],
      ...options.nodeUrls.flatMap((url) => ["--node", url]),
    ]);
    const { address } = await control.logged("control plane is serving");
    const proxy = start("proxy", [
      ...["--http", "127.0.0.1:0", "--control", String(address)],
      ...(payloadLimitBytes === undefined ? [] : ["--http-payload-size-limit", `${payloadLimitBytes}`]),
    ]);
    const { url } = await proxy.logged("proxy is serving");
    const api = meilisearchHttp(String(url));
    await untilReady(api);
    return {
      api,
      url: String(url),
      controlAddress: String(address),
      proxyPid: proxy.child.pid ?? 0,
      controlPid: control.child.pid ?? 0,
      inspect: (process) => InspectedProcess.open(debugPorts[process]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Resolves once a proxy serves and may write; rejects after half a minute. */
export async function untilReady(api: MeilisearchHttp): Promise<void> {
  for (let attempt = 0; attempt < READY_ATTEMPTS; attempt++) {
    const { status, text } = await api.send("GET", "/_miroir/ready");
    if (status === 200 && text.includes('"writes":"held"')) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the proxy has not become ready");
}
