import type { Command } from "commander";
import { createSystemWorld } from "../../runtime/world.js";
import type { Config } from "../config.js";
import { createLogger } from "../logger.js";
import {
  addCommonFlags,
  addControlFlags,
  addProxyFlags,
  configFromFlags,
  type SharedFlags,
} from "../options.js";
import { whenToldToStop } from "../shutdown.js";
import { checkFleet } from "./check.js";
import { type DevNodes, startDevNodes } from "./dev-nodes.js";
import { createProxyApi } from "./proxy-api.js";
import { importSample, SAMPLE_INDEX } from "./sample.js";

interface DevFlags extends SharedFlags {
  readonly sample: boolean;
  readonly check?: boolean;
}

const READY_TIMEOUT_MS = 30_000;

/** `miroir dev`: nodes, control plane, proxy and a sample corpus in one command. */
export function addDevCommand(program: Command): void {
  const command = program
    .command("dev")
    .description("run everything in one command: nodes, control plane, proxy, a sample corpus")
    .option("--no-sample", "do not import the sample corpus")
    .option("--check", "check the running fleet, then exit: 0 if all is well");
  addControlFlags(addProxyFlags(addCommonFlags(command))).action(async (flags: DevFlags) => {
    const config = configFromFlags({ logLevel: "warn", ...flags }, process.env);
    await runDev(config, flags);
  });
}

async function runDev(config: Config, flags: DevFlags): Promise<void> {
  // The servers are loaded where they run, so that the operator's tool starts fast.
  const [{ runControl }, { runProxy }] = await Promise.all([
    import("../run-control.js"),
    import("../run-proxy.js"),
  ]);
  const world = createSystemWorld();
  const logger = createLogger(config);
  const stop = whenToldToStop();
  const print = (line = ""): void => console.log(line);
  const closers: (() => Promise<void>)[] = [];
  try {
    print("starting nodes …");
    const nodes = await startDevNodes(config, process.env);
    closers.unshift(() => nodes.stop());
    print(`  ${nodes.description}`);
    const control = await runControl({ config: { ...config, nodes: nodes.configured }, world, logger });
    closers.unshift(() => control.close());
    print(`  control plane at ${control.address} (gRPC, gRPC-Web, Connect JSON)`);
    const proxy = await runProxy({ config: { ...config, control: [control.address] }, world, logger });
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
        {
          q: "star wars",
          limit: 3,
        },
      );
      print(`${verb} ${sample.documents} films; searching "star wars" in ${search.processingTimeMs} ms:`);
      for (const hit of search.hits) print(`  ${hit.title}`);
    }
    if (flags.check === true) {
      await checkFleet(api);
      print("check passed: wrote, searched, sorted, counted, deleted through the fleet");
      return;
    }
    printNextSteps(config, proxy.url, control.address, nodes);
    await stop;
    print("stopping …");
  } finally {
    for (const close of closers) {
      await close().catch((error: unknown) => logger.error({ err: error }, "could not stop cleanly"));
    }
  }
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
