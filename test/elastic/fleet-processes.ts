import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMiroirClient, type MiroirClient } from "../../src/client/index.js";
import { type Running, spawnMiroir } from "../integration/cli-process.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { DEFAULT_MASTER_KEY, type StartedNodes, startNodes } from "../support/nodes.js";

/** A log line of a process of the fleet. */
export interface LogLine {
  readonly time: string;
  readonly msg: string;
  readonly [member: string]: unknown;
}

/** A control plane and a proxy as processes of their own over some of the nodes. */
export interface ElasticFleet {
  readonly api: MeilisearchHttp;
  readonly client: MiroirClient;
  readonly nodes: StartedNodes;
  /** URL of the proxy. */
  readonly url: string;
  /** What the processes logged so far. */
  logs(): readonly LogLine[];
  stop(): Promise<void>;
}

/** Starts `spare` more nodes than the fleet begins with. */
export async function startElasticFleet(options: {
  readonly nodes: number;
  readonly spare: number;
  readonly shards: number;
  readonly replicationFactor: number;
}): Promise<ElasticFleet> {
  const folder = mkdtempSync(join(tmpdir(), "miroir-elastic-"));
  const nodes = await startNodes(options.nodes + options.spare);
  const processes: Running[] = [];
  const lines: string[] = [];
  const start = (args: readonly string[]): Running => {
    const running = spawnMiroir(args, { MIROIR_LOG_LEVEL: "info" });
    running.child.stderr?.on("data", (text: string) => lines.push(text));
    processes.push(running);
    return running;
  };
  const stop = async (): Promise<void> => {
    for (const { child, ended } of processes.reverse()) {
      child.kill("SIGTERM");
      await ended;
    }
    await nodes.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const control = start([
      ...["control", "--grpc", "127.0.0.1:0", "--data-dir", folder, "--node-key", DEFAULT_MASTER_KEY],
      ...["--replication-factor", `${options.replicationFactor}`, "--shards", `${options.shards}`],
      ...nodes.nodes.slice(0, options.nodes).flatMap((node) => ["--node", node.url]),
    ]);
    const { address } = await control.logged("control plane is serving");
    const proxy = start([
      "proxy",
      "--http",
      "127.0.0.1:0",
      "--control",
      String(address),
      "--proxy-id",
      "proxy-0",
    ]);
    const { url } = await proxy.logged("proxy is serving");
    const api = meilisearchHttp(String(url));
    await untilReady(api);
    return {
      api,
      client: createMiroirClient({ baseUrl: `http://${String(address)}`, timeoutMs: 120_000 }),
      nodes,
      url: String(url),
      logs: () => lines.join("").split("\n").flatMap(parse),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(api: MeilisearchHttp): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const { status } = await api.send("GET", "/_miroir/ready");
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the proxy has not become ready");
}

function parse(line: string): LogLine[] {
  if (!line.startsWith("{") || !line.endsWith("}")) return [];
  return [JSON.parse(line) as LogLine];
}
