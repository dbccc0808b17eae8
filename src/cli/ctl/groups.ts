import type { Command } from "commander";
import { AddGroupResponseSchema, RemoveGroupResponseSchema } from "../../gen/miroir/v1/cluster_pb.js";
import {
  addFleetChangeOptions,
  type FleetChangeOptions,
  parseGroup,
  runFleetChange,
} from "./fleet-change.js";
import { newNode } from "./nodes.js";

interface AddGroupOptions extends FleetChangeOptions {
  readonly key?: string;
  readonly zone?: string;
  readonly group?: number;
}

/** `miroir ctl group add|remove`. */
export function addGroupCommands(parent: Command): void {
  const group = parent
    .command("group")
    .description("replica groups: sets of nodes that hold every shard and serve reads by themselves");
  const add = group
    .command("add")
    .description("make a further group of empty Meilisearch servers and copy every shard to it")
    .argument("<url...>", "base URLs; at least as many as there are replicas of a shard in a group")
    .option("--key <key>", "the servers' key, or MIROIR_NODE_KEY (default: the configured one)")
    .option("--zone <zone>", "where they stand")
    .option("--group <number>", "the group's number (default: the first free one)", parseGroup);
  addFleetChangeOptions(add).action((urls: readonly string[], options: AddGroupOptions) =>
    runFleetChange(options, {
      schema: AddGroupResponseSchema,
      call: (client, mode, callOptions) => {
        const { group: id } = options;
        const request = { nodes: urls.map((url) => newNode(url, options)), ...mode };
        return client.cluster.addGroup(id === undefined ? request : { ...request, group: id }, callOptions);
      },
    }),
  );
  const remove = group
    .command("remove")
    .description("give a group up and take its nodes out of the fleet")
    .argument("<group>", "its number", parseGroup);
  addFleetChangeOptions(remove).action((id: number, options: FleetChangeOptions) =>
    runFleetChange(options, {
      schema: RemoveGroupResponseSchema,
      call: (client, { dryRun }, callOptions) =>
        client.cluster.removeGroup({ group: id, dryRun }, callOptions),
    }),
  );
}
