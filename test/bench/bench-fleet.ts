import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Running, spawnMiroir } from "../integration/cli-process.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";

/** A control plane and a proxy, each a process of its own, over nodes that somebody else started. */
export interface BenchFleet {
  readonly api: MeilisearchHttp;
  /** Base URL of the proxy. */
  readonly url: string;
  /** `host:port` of the control plane. */
  readonly controlAddress: string;
  readonly proxyPid: number;
  readonly controlPid: number;
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
  /** Where the proxy leaves a profile of its processor time when it ends; none unless given. */
  readonly profileFolder?: string;
}

const READY_ATTEMPTS = 300;

/** Starts the processes; resolves once the proxy is ready. */
export async function startBenchFleet(options: BenchFleetOptions): Promise<BenchFleet> {
  const folder = mkdtempSync(join(tmpdir(), "miroir-bench-"));
  const { payloadLimitBytes } = options;
  const processes: Running[] = [];
  const start = (args: readonly string[], nodeArgs: readonly string[] = []): Running => {
    const running = spawnMiroir(args, { MIROIR_LOG_LEVEL: "info" }, nodeArgs);
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
    const control = start([
      ...["control", "--grpc", "127.0.0.1:0", "--data-dir", folder, "--node-key", options.nodeKey],
      ...["--replication-factor", `${options.replicationFactor ?? 1}`, "--shards", `${options.shards ?? 64}`],
      ...options.nodeUrls.flatMap((url) => ["--node", url]),
    ]);
    const { address } = await control.logged("control plane is serving");
    const proxy = start(
      [
        ...["proxy", "--http", "127.0.0.1:0", "--control", String(address)],
        ...(payloadLimitBytes === undefined ? [] : ["--http-payload-size-limit", `${payloadLimitBytes}`]),
      ],
      options.profileFolder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profileFolder}`],
    );
    const { url } = await proxy.logged("proxy is serving");
    const api = meilisearchHttp(String(url));
    await untilReady(api);
    return {
      api,
      url: String(url),
      controlAddress: String(address),
      proxyPid: proxy.child.pid ?? 0,
      controlPid: control.child.pid ?? 0,
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
