import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ResourceService } from "../../gen/miroir/v1/resources_pb.js";
import { ResourceSchema } from "../../gen/miroir/v1/topology_pb.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** Resources of one fleet; every proxy holds them all. */
const MAX_RESOURCES = 1_000;

/**
 * Serves what clients have set on the whole server: a part of the topology, which reaches the proxies as any other does. What the
 * documents mean is the proxies' business.
 */
export function createResourceService(topology: TopologyManager): ServiceImpl<typeof ResourceService> {
  return {
    async setResource({ name, expectedVersion, json }) {
      const next = await topology.change(`${name} is set`, (draft) => {
        const held = draft.resources.find((resource) => resource.name === name);
        const version = held?.version ?? 0n;
        if (version !== expectedVersion) {
          throw new ConnectError(`${name} is at version ${version}, not ${expectedVersion}`, Code.Aborted);
        }
        const others = draft.resources.filter((resource) => resource.name !== name);
        if (json !== undefined && others.length >= MAX_RESOURCES) {
          throw new ConnectError(
            `there are ${MAX_RESOURCES} resources, as many as there may be; delete some`,
            Code.ResourceExhausted,
          );
        }
        draft.resources =
          json === undefined
            ? others
            : [...others, create(ResourceSchema, { name, json, version: version + 1n })].sort((a, b) =>
                a.name < b.name ? -1 : 1,
              );
      });
      return next.epoch === undefined ? {} : { epoch: next.epoch };
    },
  };
}
