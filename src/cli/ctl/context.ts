import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import { createMiroirClient, type MiroirClient } from "../../client/index.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { createOutput, type Output } from "../output.js";

/** What every `miroir ctl` command works with. */
export interface CtlContext {
  readonly client: MiroirClient;
  readonly output: Output;
}

/** Options that every `miroir ctl` command takes. */
export interface CtlOptions {
  readonly server: string;
  readonly adminKey?: string;
  readonly json?: boolean;
}

/** Adds the options of {@link CtlOptions} to a command. */
export function addCtlOptions(command: Command): Command {
  return command
    .option("--server <url>", "the control plane", process.env.MIROIR_SERVER ?? "http://127.0.0.1:7800")
    .option("--admin-key <key>", "key of the admin API (or MIROIR_ADMIN_KEY)")
    .option("--json", "print one JSON document instead of tables");
}

/**
 * Runs a `miroir ctl` action against the control plane.
 *
 * @throws CommandError that names the server and what to do where the call fails.
 */
export async function runCtl(
  options: CtlOptions,
  action: (context: CtlContext) => Promise<void>,
): Promise<void> {
  const server = serverUrl(options.server);
  const adminKey = options.adminKey ?? process.env.MIROIR_ADMIN_KEY;
  const client = createMiroirClient({ baseUrl: server, ...(adminKey === undefined ? {} : { adminKey }) });
  try {
    await action({ client, output: createOutput(options.json === true) });
  } catch (error) {
    throw explain(error, server);
  }
}

/** The URL that a `--server` text means. @throws CommandError (usage) */
export function serverUrl(text: string): string {
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url)) {
    throw new CommandError(
      ExitCode.usage,
      `--server ${text}: expected HOST:PORT or a URL that begins with http:// or https://`,
    );
  }
  return url;
}

/** What went wrong with a call to the control plane at `server`, and what to do; any other error as it is. */
export function explain(error: unknown, server: string): unknown {
  if (!(error instanceof ConnectError)) return error;
  const options = { cause: error };
  switch (error.code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return new CommandError(
        ExitCode.unreachable,
        `the control plane at ${server} does not answer (${error.rawMessage}); is it running? --server names another one`,
        options,
      );
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return new CommandError(
        ExitCode.refused,
        `the control plane at ${server} refused the admin key: ${error.rawMessage}; give it with --admin-key or MIROIR_ADMIN_KEY`,
        options,
      );
    case Code.Unimplemented:
      return new CommandError(
        ExitCode.failure,
        `${server} is no control plane, or one of another version (${error.rawMessage}); name the control plane's address with --server`,
        options,
      );
    case Code.NotFound:
      return new CommandError(ExitCode.notFound, error.rawMessage, options);
    case Code.FailedPrecondition:
      return new CommandError(ExitCode.impossible, error.rawMessage, options);
    case Code.InvalidArgument:
      return new CommandError(ExitCode.usage, error.rawMessage, options);
    default:
      return new CommandError(ExitCode.failure, `${server}: ${error.rawMessage}`, options);
  }
}
