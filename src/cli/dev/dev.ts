import type { Command } from "commander";
import { NodeLaunchError } from "../../nodes/errors.js";
import { assertPortFree } from "../../nodes/ports.js";
import { createSystemWorld } from "../../runtime/world.js";
import { type Config, hostInUrl, loopbackOf, splitHostPort } from "../config.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { listenError } from "../listen-error.js";
import { createLogger, type ProcessLog } from "../logger.js";
import {
  addCommonFlags,
  addControlFlags,
  addProxyFlags,
  configFromFlags,
  type SharedFlags,
} from "../options.js";
import { createProxyApi } from "../proxy-api.js";
import type { RunningControl } from "../run-control.js";
import { StoppedError, untilStopped, whenToldToStop } from "../shutdown.js";
import { checkFleet } from "./check.js";
import { type DevNodes, nodesToBe, startDevNodes } from "./dev-nodes.js";
import { assertSameFleet } from "./same-fleet.js";
import { importSample, SAMPLE_INDEX } from "./sample.js";

interface DevFlags extends SharedFlags {
  readonly sample: boolean;
  readonly check?: boolean;
}

const READY_TIMEOUT_MS = 30_000;

/** What is printed for people would drown in the servers' usual log. */
const LOG_LEVEL = "warn";

/** `miroir dev`: nodes, control plane, proxy and a sample corpus in one command. */
export function addDevCommand(program: Command): void {
  const command = program
    .command("dev")
    .description(
      "run everything in one command: nodes (three for each group, unless named), control plane, proxy, a sample corpus",
    )
    .option("--no-sample", "do not import the sample corpus")
    .option("--check", "check the running fleet, then exit: 0 if all is well");
  addControlFlags(addProxyFlags(addCommonFlags(command, LOG_LEVEL))).action(async (flags: DevFlags) => {
    const config = configFromFlags(flags, process.env, { log_level: LOG_LEVEL });
    await runDev(config, flags);
  });
}

async function runDev(config: Config, flags: DevFlags): Promise<void> {
  const stop = whenToldToStop();
  const log = createLogger(config);
  const { logger } = log;
  const closers: (() => Promise<void>)[] = [];
  try {
    const control = await untilStopped(stop, start({ config, flags, log, closers }));
    if (flags.check === true) return;
    await Promise.race([stop, control.failed]);
    console.log("stopping …");
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error;
    console.log("stopping before everything had started …");
    if (flags.check === true)
      throw new CommandError(ExitCode.failure, "stopped before the check was done", { cause: error });
  } finally {
    for (const close of closers) {
      await close().catch((error: unknown) => logger.error({ err: error }, "could not stop cleanly"));
    }
  }
}

interface DevStart {
  readonly config: Config;
  readonly flags: DevFlags;
  readonly log: ProcessLog;
  /** Called in order at the end; what is started later goes in front. */
  readonly closers: (() => Promise<void>)[];
}

async function start({ config, flags, log, closers }: DevStart): Promise<RunningControl> {
  const { logger, output: logs } = log;
  await assertAddressesFree(config);
  // The servers are loaded where they run, so that the operator's tool starts fast.
  const [{ runControl }, { runProxy }] = await Promise.all([
    import("../run-control.js"),
    import("../run-proxy.js"),
  ]);
  const world = createSystemWorld();
  await assertSameFleet(config, nodesToBe(config), world);
  const print = (line: string): void => console.log(line);
  print("starting nodes …");
  const nodes = await startDevNodes(config, process.env);
  closers.unshift(() => nodes.stop());
  print(`  ${nodes.description}`);
  const control = await runControl({ config: { ...config, nodes: nodes.configured }, world, logger });
  closers.unshift(() => control.close());
  const grpc = reachable(control.address);
  print(`  control plane at ${grpc} (gRPC, gRPC-Web, Connect JSON)`);
  const proxy = await runProxy({ config: { ...config, control: [grpc] }, world, logger, logs });
  closers.unshift(() => proxy.close());
  await proxy.whenReady(AbortSignal.timeout(READY_TIMEOUT_MS));
  print(`  proxy at ${proxy.url} (Meilisearch's API)`);

  const api = createProxyApi(proxy.url, config.master_key, (delayMs) => world.timers.sleep(delayMs));
  if (flags.sample) {
    const sample = await importSample(api, () => world.clock.monotonic(), process.stdout);
    const verb = sample.kind === "imported" ? "imported" : "found";
    const search = await api.call<{ hits: { title: string }[]; processingTimeMs: number }>(
      "POST",
      `/indexes/${SAMPLE_INDEX}/search`,
      { q: "star wars", limit: 3 },
    );
    print(`${verb} ${sample.documents} films; searching "star wars" in ${search.processingTimeMs} ms:`);
    for (const hit of search.hits) print(`  ${hit.title}`);
  }
  if (flags.check === true) {
    await checkFleet(api);
    print("check passed: wrote, searched, sorted, counted, deleted through the fleet");
    return control;
  }
  printNextSteps(config, proxy.url, grpc, nodes);
  return control;
}

/** A busy port is found before any node is started. */
async function assertAddressesFree(config: Config): Promise<void> {
  const addresses = { http: splitHostPort(config.http), grpc: splitHostPort(config.grpc) };
  const { http, grpc } = addresses;
  if (http.port !== 0 && http.port === grpc.port && http.host === grpc.host) {
    throw new CommandError(
      ExitCode.usage,
      `--http and --grpc are both ${config.http}; the two servers need a port each`,
    );
  }
  for (const flag of ["http", "grpc"] as const) {
    const { host, port } = addresses[flag];
    try {
      await assertPortFree(host, port);
    } catch (error) {
      throw listenError(flag, config[flag], error instanceof NodeLaunchError ? error.cause : error);
    }
  }
}

/** The address at which this machine reaches a server that listens on `address`. */
function reachable(address: string): string {
  const { host, port } = splitHostPort(address);
  return `${hostInUrl(loopbackOf(host))}:${port}`;
}

function printNextSteps(config: Config, url: string, grpc: string, nodes: DevNodes): void {
  const auth = config.master_key === undefined ? "" : " -H 'Authorization: Bearer <master key>'";
  const adminKey = config.admin_key === undefined ? "" : " --admin-key <admin key>";
  const adminHeader = config.admin_key === undefined ? "" : " -H 'Authorization: Bearer <admin key>'";
  const search = `curl -s ${url}/indexes/${SAMPLE_INDEX}/search${auth} -H 'Content-Type: application/json' -d '{"q": "alien", "limit": 3}'`;
  const victim = nodes.processes[0];
  const lines = [
    "",
    "Everything runs. Try, in another terminal:",
    "",
    "  search",
    `    ${search}`,
    "  add a document",
    `    curl -s ${url}/indexes/${SAMPLE_INDEX}/documents${auth} -H 'Content-Type: application/json' -d '[{"id": 900001, "title": "Alien Miroir"}]'`,
    "  see the fleet",
    `    npx miroir ctl status --server http://${grpc}${adminKey}`,
    "  call the admin API without any files",
    `    grpcurl -plaintext${adminHeader} ${grpc} miroir.v1.ClusterService/GetStatus`,
    ...(victim?.pid === undefined
      ? []
      : ["  kill a node, and search again", `    kill -9 ${victim.pid}; ${search}`]),
    "",
    `Ctrl-C stops everything; data is kept in ${config.data_dir}`,
  ];
  for (const line of lines) console.log(line);
}
