import { CommandError, ExitCode } from "./exit-codes.js";

/** Says what a failure to listen means, and what to do. */
export function listenError(flag: string, address: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") {
    return new CommandError(
      ExitCode.failure,
      `${address} is in use by another program; choose another with --${flag} HOST:PORT`,
      {
        cause: error,
      },
    );
  }
  if (code === "EADDRNOTAVAIL" || code === "EACCES" || code === "ENOTFOUND") {
    return new CommandError(
      ExitCode.failure,
      `cannot listen on ${address} (${String(code)}); choose another with --${flag} HOST:PORT`,
      {
        cause: error,
      },
    );
  }
  return error;
}
