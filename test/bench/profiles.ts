import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchFleet } from "./bench-fleet.js";

/** Time between two samples of a profile. */
const SAMPLE_MICROS = 500;

/**
 * Begins to profile the processor time of proxies. Resolves with what ends it and leaves a profile of each under its name in the folder
 * (`<name>.cpuprofile`, for `bench flame` and developer tools); does nothing where there is no folder.
 */
export async function beginProfiles(
  folder: string | undefined,
  fleets: readonly { readonly name: string; readonly fleet: BenchFleet }[],
): Promise<() => Promise<void>> {
  if (folder === undefined) return async () => {};
  mkdirSync(folder, { recursive: true });
  const profiled = await Promise.all(
    fleets.map(async ({ name, fleet }) => ({ name, inspected: await fleet.inspect("proxy") })),
  );
  for (const { inspected } of profiled) await inspected.startProfile(SAMPLE_MICROS);
  return async () => {
    for (const { name, inspected } of profiled) {
      writeFileSync(join(folder, `${name}.cpuprofile`), JSON.stringify(await inspected.stopProfile()));
      inspected.close();
    }
  };
}
