import { existsSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import type { World } from "../../runtime/world.js";
import { openTaskStore } from "../../store/open-task-store.js";
import { describeLocation } from "../../store/store-location.js";
import type { Config } from "../config.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { type StoreSettings, storeOptions } from "../open-store.js";

/**
 * Refuses to run the fleet that the store remembers without some of its nodes: what they hold would be missing,
 * and every index with a shard there would answer in part or not at all.
 *
 * @param nodes the nodes of this run; where they are not started yet, their ids.
 * @throws CommandError (usage) that names the missing nodes and what to do.
 */
export async function assertSameFleet(
  settings: StoreSettings,
  nodes: readonly Partial<Config["nodes"][number]>[],
  world: Pick<World, "clock" | "timers">,
): Promise<void> {
  const options = storeOptions(settings, world);
  const { location } = options;
  if (location.kind === "sqlite" && !existsSync(location.path)) return;
  const store = await openTaskStore(options);
  try {
    const stored = await store.topology.load();
    if (stored === undefined) return;
    // One that came with a key of its own was added while the fleet ran, and is found where it is.
    const missing = fromBinary(TopologySchema, stored.document).nodes.filter(
      (known) => known.key === "" && !nodes.some((node) => node.id === known.id || node.url === known.url),
    );
    if (missing.length === 0) return;
    throw new CommandError(
      ExitCode.usage,
      `${describeLocation(location)} holds a fleet with other nodes: ${missing.map((node) => `${node.id} at ${node.url}`).join(", ")}; name them again, or take another ${location.kind === "sqlite" ? "folder with --data-dir" : "store with --store"}`,
    );
  } finally {
    await store.close();
  }
}
