import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { FeatureService } from "../../gen/miroir/v1/features_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { FeatureRefusedError, switchFeatures } from "./node-features.js";

/** What {@link createFeatureService} works with. */
export interface FeatureServiceOptions {
  readonly topology: TopologyManager;
  /** A client of each node of the topology. */
  readonly nodes: () => readonly NodeClient[];
  readonly logger: Logger;
}

/** Serves Meilisearch's experimental features. Changes are made one after the other, so that all nodes end alike. */
export function createFeatureService(options: FeatureServiceOptions): ServiceImpl<typeof FeatureService> {
  const { topology, nodes, logger } = options;
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const run = last.then(work);
    last = run.catch(() => undefined);
    return run;
  };
  return {
    async getFeatures() {
      return { enabled: topology.current().experimentalFeatures };
    },
    setFeatures: ({ enable, disable }) =>
      alone(async () => {
        const features = Object.fromEntries([
          ...disable.map((name) => [name, false] as const),
          ...enable.map((name) => [name, true] as const),
        ]);
        try {
          await switchFeatures(nodes(), features, logger);
        } catch (error) {
          if (error instanceof FeatureRefusedError) {
            throw new ConnectError(error.message, Code.FailedPrecondition, undefined, undefined, error);
          }
          throw error;
        }
        const next = await topology.change("experimental features are switched", (draft) => {
          const enabled = new Set([...draft.experimentalFeatures, ...enable]);
          for (const name of disable) if (!enable.includes(name)) enabled.delete(name);
          draft.experimentalFeatures = [...enabled].sort();
        });
        const { epoch, experimentalFeatures: enabled } = next;
        return epoch === undefined ? { enabled } : { enabled, epoch };
      }),
  };
}
