import { existsSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import { openSqliteTaskStore } from "../../store/sqlite/sqlite-task-store.js";
import type { Config } from "../config.js";
import { CommandError, ExitCode } from "../exit-codes.js";

/**
 * Refuses to run the fleet that `data_dir` remembers without some of its nodes: what they hold would be missing,
 * and every index with a shard there would answer in part or not at all.
 *
 * @param nodes the nodes of this run; where they are not started yet, their ids.
 * @throws CommandError (usage) that names the missing nodes and what to do.
 */
export async function assertSameFleet(
  dataDir: string,
  nodes: readonly Partial<Config["nodes"][number]>[],
  clock: Clock,
): Promise<void> {
  const path = join(dataDir, "control.db");
  if (!existsSync(path)) return;
  const store = await openSqliteTaskStore({ path, clock });
  try {
    const stored = await store.topology.load();
    if (stored === undefined) return;
    const missing = fromBinary(TopologySchema, stored.document).nodes.filter(
      (known) => !nodes.some((node) => node.id === known.id || node.url === known.url),
    );
    if (missing.length === 0) return;
    throw new CommandError(
      ExitCode.usage,
      `${dataDir} holds a fleet with other nodes: ${missing.map((node) => `${node.id} at ${node.url}`).join(", ")}; name them again, or take another folder with --data-dir`,
    );
  } finally {
    await store.close();
  }
}
