import { join } from "node:path";
import { findMeilisearchBinary } from "../../nodes/find-binary.js";
import { launchNode, type NodeProcess } from "../../nodes/launch.js";
import type { Config } from "../config.js";

/** The nodes of a development fleet. */
export interface DevNodes {
  /** What runs, for people: real binaries, embedded nodes, or servers that the operator named. */
  readonly description: string;
  /** As the control plane is configured with them. */
  readonly configured: Config["nodes"];
  /** The processes that were started here; empty where the operator named nodes. */
  readonly processes: readonly NodeProcess[];
  stop(): Promise<void>;
}

/** How many nodes are started where none is named, for each group. */
const NODES_PER_GROUP = 3;

/** Started nodes listen on loopback only, and their key is as open as the sample that they hold. */
const DEV_NODE_KEY = "miroir-development-node-key";

/** The nodes that a run of `miroir dev` has, before they are started. */
export function nodesToBe(config: Config): readonly Partial<Config["nodes"][number]>[] {
  if (config.nodes.length > 0) return config.nodes;
  return Array.from({ length: NODES_PER_GROUP * config.groups }, (_, at) => ({ id: `node-${at}` }));
}

/**
 * The nodes that the operator named, or three for each group, started here: real Meilisearch where a binary is
 * found (`MEILISEARCH_BIN`, `PATH`), else embedded ones.
 */
export async function startDevNodes(config: Config, environment: NodeJS.ProcessEnv): Promise<DevNodes> {
  if (config.nodes.length > 0) {
    return {
      description: `${config.nodes.length === 1 ? "the node" : `the ${config.nodes.length} nodes`} that you named`,
      configured: config.nodes,
      processes: [],
      stop: async () => {},
    };
  }
  const binary = await findMeilisearchBinary(environment);
  const count = NODES_PER_GROUP * config.groups;
  const launches = await Promise.allSettled(
    Array.from({ length: count }, (_, at) =>
      launchNode({
        kind: binary === undefined ? "embedded" : "binary",
        ...(binary === undefined ? {} : { binaryPath: binary }),
        dataDir: join(config.data_dir, `node-${at}`),
        masterKey: DEV_NODE_KEY,
      }),
    ),
  );
  const processes = launches.flatMap((launch) => (launch.status === "fulfilled" ? [launch.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((node) => node.stop()));
  };
  const failed = launches.find((launch) => launch.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return {
    description:
      binary === undefined
        ? `${count} embedded development nodes (no Meilisearch binary found: MEILISEARCH_BIN, PATH)`
        : `${count} Meilisearch ${processes[0]?.version ?? ""} nodes (${binary})`,
    configured: processes.map((node, at) => ({
      id: `node-${at}`,
      url: node.url,
      key: DEV_NODE_KEY,
      group: at % config.groups,
    })),
    processes,
    stop,
  };
}
