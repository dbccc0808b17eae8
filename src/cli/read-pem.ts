import { readFileSync } from "node:fs";
import { CommandError, ExitCode } from "./exit-codes.js";

/**
 * Reads a PEM file that a setting names.
 *
 * @throws CommandError (usage) where it cannot be read.
 */
export function readPem(path: string, setting: "grpc_tls" | "store_tls"): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CommandError(ExitCode.usage, `${setting}: cannot read ${path}`, { cause: error });
  }
}
