import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { NodeLaunchError } from "./errors.js";

/** The environment variable that names the Meilisearch binary to run. */
export const MEILISEARCH_BIN_VARIABLE = "MEILISEARCH_BIN";

/**
 * Finds the Meilisearch binary: the file that `MEILISEARCH_BIN` names, else `meilisearch` on `PATH`.
 *
 * @param env environment to look in, by default the process's own.
 * @returns the absolute path, or `undefined` where there is no binary.
 * @throws NodeLaunchError `binary_not_found` where `MEILISEARCH_BIN` is set but names nothing that can be
 *   executed: an explicit choice is never silently replaced.
 */
export function findMeilisearchBinary(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const chosen = env[MEILISEARCH_BIN_VARIABLE];
  if (chosen !== undefined && chosen !== "") {
    const path = isAbsolute(chosen) ? chosen : resolve(chosen);
    if (isExecutable(path)) return path;
    throw new NodeLaunchError(
      "binary_not_found",
      `${MEILISEARCH_BIN_VARIABLE} names ${path}, which is not an executable file; correct it or unset it`,
    );
  }
  for (const folder of (env.PATH ?? "").split(delimiter)) {
    if (folder === "") continue;
    const path = join(folder, "meilisearch");
    if (isExecutable(path)) return path;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
