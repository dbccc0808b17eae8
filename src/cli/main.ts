#!/usr/bin/env node
import { ConnectError } from "@connectrpc/connect";
import { CommanderError } from "commander";
import { NodeSetupError } from "../control/nodes/errors.js";
import { NodeLaunchError } from "../nodes/errors.js";
import { StoreError } from "../store/errors.js";
import { CommandError, ExitCode } from "./exit-codes.js";
import { createProgram } from "./program.js";
import { StoppedError } from "./shutdown.js";

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(ExitCode.ok);
  throw error;
});

try {
  await createProgram().parseAsync();
  process.exit(process.exitCode ?? ExitCode.ok);
} catch (error) {
  process.exit(report(error));
}

function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  if (error instanceof StoppedError) return ExitCode.ok;
  if (error instanceof CommandError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    return error.exitCode;
  }
  if (error instanceof NodeSetupError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    if (error.code === "unreachable") return ExitCode.unreachable;
    return error.code === "foreign_key" ? ExitCode.refused : ExitCode.usage;
  }
  if (error instanceof NodeLaunchError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    return ExitCode.failure;
  }
  if (error instanceof StoreError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    if (error.code === "unavailable") return ExitCode.unreachable;
    return error.code === "invalid_argument" ? ExitCode.usage : ExitCode.failure;
  }
  console.error("miroir:", error);
  return ExitCode.failure;
}

/** The messages of what led to an error, one a line, but for those that only say again what was said. */
function causes(error: Error): string {
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
