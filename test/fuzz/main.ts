// Sends seeded requests over all of Meilisearch's routes to a plain node and to a fleet, and looks for answers of
// the fleet that no node would give.
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { spawnMiroir } from "../integration/cli-process.js";
import { DEFAULT_MASTER_KEY, startNodes } from "../support/nodes.js";
import { operationsOfOpenApi } from "./openapi.js";
import { ownDescription } from "./own-description.js";
import { type FuzzSide, prepare, runFuzz, shown } from "./run.js";

const options = new Command("fuzz")
  .description(
    "sends wrong and right requests to a plain node and to a fleet, and looks for 5xx, crashes and hangs",
  )
  .option("--seed <number>", "seed of the requests", Number, 1)
  .option("--count <number>", "how many requests", Number, 2_000)
  .option("--openapi <file>", "an OpenAPI document of Meilisearch; Miroir's own description unless given")
  .option("--plain <url>", "a plain node; one is started unless given")
  .option("--fleet <url>", "a proxy; a fleet is started unless given")
  .option("--nodes <number>", "nodes of the fleet that is started", Number, 2)
  .option("--groups <number>", "replica groups of the fleet that is started", Number, 1)
  .option("--replication-factor <number>", "copies of a shard in each group", Number, 1)
  .option("--key <key>", "master key of both", DEFAULT_MASTER_KEY)
  .option("--log <file>", "write every request and both answers to a file")
  .option("--routes", "print every route, not only those with other statuses")
  .parse()
  .opts<{
    seed: number;
    count: number;
    openapi?: string;
    plain?: string;
    fleet?: string;
    nodes: number;
    groups: number;
    replicationFactor: number;
    key: string;
    log?: string;
    routes?: boolean;
  }>();

/** A side, the processes whose memory is watched, and how to be rid of it. */
interface Started {
  readonly side: FuzzSide;
  readonly processes: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

async function startPlain(): Promise<Started> {
  const started = await startNodes(1, { masterKey: options.key });
  const [node] = started.nodes;
  if (node === undefined) throw new Error("no node was started");
  return { side: { url: node.url, masterKey: options.key }, processes: new Map(), stop: started.stop };
}

async function startFleet(): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), "miroir-fuzz-"));
  const started = await startNodes(options.nodes);
  const environment = { MIROIR_MASTER_KEY: options.key, MIROIR_LOG_LEVEL: "info" };
  const control = spawnMiroir(
    [
      ...["control", "--grpc", "127.0.0.1:0", "--data-dir", join(folder, "control"), "--shards", "8"],
      ...["--groups", `${options.groups}`, "--replication-factor", `${options.replicationFactor}`],
      ...["--node-key", DEFAULT_MASTER_KEY],
      ...started.nodes.flatMap((node) => ["--node", node.url]),
    ],
    { MIROIR_LOG_LEVEL: "info" },
  );
  const { address } = await control.logged("control plane is serving");
  const proxy = spawnMiroir(["proxy", "--http", "127.0.0.1:0", "--control", String(address)], environment);
  const { url } = await proxy.logged("proxy is serving");
  return {
    side: { url: String(url), masterKey: options.key },
    processes: new Map([
      ["proxy", proxy.child.pid ?? 0],
      ["control", control.child.pid ?? 0],
    ]),
    stop: async () => {
      for (const { child, ended } of [proxy, control]) {
        child.kill("SIGTERM");
        await ended;
      }
      await started.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function given(url: string): Started {
  return { side: { url, masterKey: options.key }, processes: new Map(), stop: async () => undefined };
}

/** Resident memory of a process in MiB, as Linux tells it; undefined elsewhere, and where the process is gone. */
function residentMiB(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? undefined : Math.round(Number(kib) / 1_024);
  } catch {
    return undefined;
  }
}

const operations = options.openapi === undefined ? ownDescription : operationsOfOpenApi(options.openapi);
const [plain, fleet] = await Promise.all([
  options.plain === undefined ? startPlain() : given(options.plain),
  options.fleet === undefined ? startFleet() : given(options.fleet),
]);
const memory = new Map([...fleet.processes.keys()].map((name) => [name, [] as (number | undefined)[]]));
const look = (): void => {
  for (const [name, pid] of fleet.processes) memory.get(name)?.push(residentMiB(pid));
};
try {
  await prepare([plain.side, fleet.side]);
  look();
  let looked = 0;
  const began = performance.now();
  const report = await runFuzz({
    plain: plain.side,
    fleet: fleet.side,
    operations,
    seed: options.seed,
    count: options.count,
    note: ({ seed, request, reason }) =>
      console.error(
        `FAILED (seed ${seed}) ${request.method} ${request.path}\n  ${JSON.stringify(request.headers)} ${shown(request.body)}\n  ${reason}`,
      ),
    trace: ({ method, path, body }, wanted, got) => {
      if (options.log === undefined) return;
      appendFileSync(options.log, `${method} ${path} ${shown(body)}\n  node  ${wanted}\n  fleet ${got}\n`);
    },
    progress: async (sent) => {
      if (Math.floor((sent * 10) / options.count) === looked) return;
      looked = Math.floor((sent * 10) / options.count);
      look();
      console.error(`${sent} requests, ${Math.round((performance.now() - began) / 1_000)} s`);
    },
  });
  const rows = [...report.routes].sort(([a], [b]) => a.localeCompare(b));
  console.log(
    table(
      ["ROUTE", "SENT", "SAME STATUS", "NOT SERVED", "OTHERWISE (NODE / FLEET)"],
      rows
        .filter(([, { sent, same, unserved }]) => options.routes === true || same + unserved < sent)
        .map(([route, { sent, same, unserved, others }]) => [
          route,
          `${sent}`,
          `${same}`,
          `${unserved}`,
          [...others].map(([pair, { count, example }]) => `${pair}: ${count}, as ${example}`).join("\n"),
        ]),
    ),
  );
  const sum = (of: "same" | "unserved") => rows.reduce((total, [, counted]) => total + counted[of], 0);
  console.log(
    `${report.sent} requests over ${rows.length} routes: ${sum("same")} with the same status, ${sum("unserved")} not served, ` +
      `${report.failures.length} failures; the node answered ${[...report.classes].map(([kind, count]) => `${count} times ${kind}`).join(", ")}; slowest answer ${Math.round(report.slowestMs)} ms`,
  );
  for (const [name, sizes] of memory)
    console.log(`${name}: resident ${sizes.map((size) => size ?? "gone").join(" ")} MiB`);
  process.exitCode = report.failures.length === 0 ? 0 : 1;
} finally {
  await Promise.all([plain.stop(), fleet.stop()]);
}
