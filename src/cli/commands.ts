import type { Command } from "commander";
import { createSystemWorld } from "../runtime/world.js";
import { hostInUrl, loopbackOf, splitHostPort } from "./config.js";
import { CommandError, ExitCode } from "./exit-codes.js";
import { createLogger } from "./logger.js";
import {
  addCommonFlags,
  addControlFlags,
  addProxyFlags,
  collect,
  configFromFlags,
  type SharedFlags,
} from "./options.js";
import { untilStopped, whenToldToStop } from "./shutdown.js";

/** The commands that processes of a fleet are started with. */
export function addServerCommands(program: Command): void {
  addControlCommand(program);
  addProxyCommand(program);
  addHealthcheckCommand(program);
}

/** `miroir control`: the daemon that decides. */
function addControlCommand(program: Command): void {
  const command = program
    .command("control")
    .description("run the control plane: topology, tasks, planning; gRPC and Connect on one port");
  addControlFlags(addCommonFlags(command)).action(async (flags: SharedFlags) => {
    const config = configFromFlags(flags, process.env);
    if (config.nodes.length === 0) {
      throw new CommandError(
        ExitCode.usage,
        "no nodes are configured; name each with --node URL, or under nodes: in --config FILE",
      );
    }
    const { logger } = createLogger(config);
    const stop = whenToldToStop();
    const { runControl } = await import("./run-control.js");
    const control = await untilStopped(stop, runControl({ config, world: createSystemWorld(), logger }));
    try {
      logger.info({ signal: await Promise.race([stop, control.failed]) }, "stopping");
    } finally {
      await control.close();
    }
  });
}

/** `miroir proxy`: the stateless process that carries traffic. */
function addProxyCommand(program: Command): void {
  const command = program
    .command("proxy")
    .description("run a proxy: Meilisearch's HTTP API over the fleet")
    .option(
      "--control <host:port>",
      "a control plane; give it once for each (default: 127.0.0.1:7800)",
      collect,
    )
    .option("--proxy-id <name>", "stable name of this proxy (default: host name and port)")
    .option("--advertise <url>", "base URL under which other proxies reach this one");
  addProxyFlags(addCommonFlags(command)).action(async (flags: SharedFlags) => {
    const config = configFromFlags(flags, process.env);
    const { logger, output } = createLogger(config);
    const stop = whenToldToStop();
    const { runProxy } = await import("./run-proxy.js");
    const proxy = await untilStopped(
      stop,
      runProxy({ config, world: createSystemWorld(), logger, logs: output }),
    );
    logger.info({ url: proxy.url, control: config.control }, "proxy is serving");
    logger.info({ signal: await stop }, "stopping");
    await proxy.close();
  });
}

/** How long a healthy proxy may take to say so, in milliseconds. */
const ANSWER_MS = 2_000;

/** `miroir healthcheck`: for containers; exit code 0 where the proxy on this machine is ready. */
function addHealthcheckCommand(program: Command): void {
  program
    .command("healthcheck")
    .description("exit with 0 if the proxy on this machine is ready to serve")
    .option("--config <file>", "the proxy's YAML file, for its http setting")
    .option("--http <host:port>", "the proxy (default: MIROIR_HTTP or 127.0.0.1:7700)")
    .action(async (flags: SharedFlags) => {
      const { host, port } = splitHostPort(configFromFlags(flags, process.env).http);
      const url = `http://${hostInUrl(loopbackOf(host))}:${port}/_miroir/ready`;
      const { request } = await import("undici");
      const answer = await request(url, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(
        (error: unknown) => {
          throw new CommandError(ExitCode.unreachable, `${url} does not answer`, { cause: error });
        },
      );
      const text = await answer.body.text();
      if (answer.statusCode !== 200)
        throw new CommandError(ExitCode.failure, `${url} answered ${answer.statusCode}: ${text}`);
    });
}
