import { CommanderError } from "commander";
import { NodeSetupError } from "../control/nodes/errors.js";
import { NodeLaunchError } from "../nodes/errors.js";
import { StoreError } from "../store/errors.js";
import { CommandError, ExitCode } from "./exit-codes.js";
import { createProgram } from "./program.js";
import { StoppedError } from "./shutdown.js";

/** Runs the command that this process was started for, and ends the process with its exit code. */
export async function runCommandLine(): Promise<never> {
  // A reader that has seen enough, such as `head`, is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(ExitCode.ok);
    throw error;
  });
  try {
    const program = await createProgram(process.argv.slice(2));
    await program.parseAsync();
    process.exit(process.exitCode ?? ExitCode.ok);
  } catch (error) {
    process.exit(await report(error));
  }
}

async function report(error: unknown): Promise<ExitCode> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  if (error instanceof StoppedError) return ExitCode.ok;
  const code = exitCodeOf(error);
  if (code === undefined || !(error instanceof Error)) {
    console.error("miroir:", error);
    return ExitCode.failure;
  }
  console.error(`miroir: ${error.message}${await causes(error)}`);
  return code;
}

/** Undefined for an error that says nothing to users. */
function exitCodeOf(error: unknown): ExitCode | undefined {
  if (error instanceof CommandError) return error.exitCode;
  if (error instanceof NodeSetupError) {
    if (error.code === "unreachable") return ExitCode.unreachable;
    return error.code === "foreign_key" ? ExitCode.refused : ExitCode.usage;
  }
  if (error instanceof NodeLaunchError) return ExitCode.failure;
  if (error instanceof StoreError) {
    if (error.code === "unavailable") return ExitCode.unreachable;
    return error.code === "invalid_argument" ? ExitCode.usage : ExitCode.failure;
  }
  return undefined;
}

/** The messages of what led to an error, one a line, but for those that only say again what was said. */
async function causes(error: Error): Promise<string> {
  const { ConnectError } = await import("@connectrpc/connect");
  let said = error.message;
  let text = "";
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    const message = cause instanceof ConnectError ? cause.rawMessage : cause.message;
    if (message === "" || said.includes(message)) continue;
    said += message;
    text += `\n  because: ${message}`;
  }
  return text;
}
