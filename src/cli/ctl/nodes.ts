import { type Command, InvalidArgumentError } from "commander";
import {
  AddNodeResponseSchema,
  DrainNodeResponseSchema,
  RemoveNodeResponseSchema,
  ReplaceNodeResponseSchema,
} from "../../gen/miroir/v1/cluster_pb.js";
import {
  addFleetChangeOptions,
  type FleetChangeOptions,
  parseGroup,
  runFleetChange,
} from "./fleet-change.js";

interface NewNodeOptions extends FleetChangeOptions {
  readonly key?: string;
  readonly id?: string;
  readonly zone?: string;
  readonly weight?: number;
}

/** `miroir ctl node add|drain|remove|replace`. */
export function addNodeCommands(parent: Command): void {
  const node = parent.command("node").description("Meilisearch servers that join, leave and are replaced");
  const add = node
    .command("add")
    .description("take an empty Meilisearch server into the fleet and give it its share of the shards")
    .argument("<url>", "its base URL, as the control plane and the proxies reach it")
    .option("--group <number>", "the replica group that it joins (default: the only one)", parseGroup);
  addFleetChangeOptions(addNewNodeOptions(add)).action(
    (url: string, options: NewNodeOptions & { readonly group?: number }) =>
      runFleetChange(options, {
        schema: AddNodeResponseSchema,
        call: (client, mode, callOptions) => {
          const { group } = options;
          const request = { node: newNode(url, options), ...mode };
          return client.cluster.addNode(group === undefined ? request : { ...request, group }, callOptions);
        },
      }),
  );
  const drain = node
    .command("drain")
    .description("move all shards off a node, which stays in the fleet until it is removed or added again")
    .argument("<node>", "its id");
  addFleetChangeOptions(drain).action((nodeId: string, options: FleetChangeOptions) =>
    runFleetChange(options, {
      schema: DrainNodeResponseSchema,
      call: (client, mode, callOptions) => client.cluster.drainNode({ nodeId, ...mode }, callOptions),
    }),
  );
  const remove = node
    .command("remove")
    .description("take a drained node out of the fleet; what Miroir made on it is deleted")
    .argument("<node>", "its id")
    .option(
      "--force",
      "also where it still has shards: they are copied from others, as far as the nodes that are left can hold them",
    );
  addFleetChangeOptions(remove).action(
    (nodeId: string, options: FleetChangeOptions & { readonly force?: boolean }) =>
      runFleetChange(options, {
        schema: RemoveNodeResponseSchema,
        call: (client, mode, callOptions) =>
          client.cluster.removeNode({ nodeId, force: options.force === true, ...mode }, callOptions),
      }),
  );
  const replace = node
    .command("replace")
    .description("put another server in a node's place, or fill a node again that came back without its data")
    .argument("<node>", "the id of the node to replace; it need not answer")
    .argument("[url]", "base URL of the server that takes its place (default: the node itself, come back)");
  addFleetChangeOptions(addNewNodeOptions(replace)).action(
    (nodeId: string, url: string | undefined, options: NewNodeOptions) =>
      runFleetChange(options, {
        schema: ReplaceNodeResponseSchema,
        call: (client, mode, callOptions) => {
          const request = { nodeId, ...mode };
          const server = url === undefined ? {} : { node: newNode(url, options) };
          return client.cluster.replaceNode({ ...request, ...server }, callOptions);
        },
      }),
  );
}

/** Adds what can be said of a server that joins. */
export function addNewNodeOptions(command: Command): Command {
  return command
    .option(
      "--key <key>",
      "its master key, or MIROIR_NODE_KEY (default: the one that the control plane is configured with)",
    )
    .option("--id <id>", "Miroir's name of it (default: the first free of node-0, node-1 …)")
    .option("--zone <zone>", "where it stands; replicas of a shard go to different zones where they can")
    .option("--weight <number>", "its share of the shards beside the others' (default: 1)", parseWeight);
}

/** A server of the command line, as requests name it. */
export function newNode(url: string, { id, key, weight, zone }: NewNodeOptions) {
  return {
    url: /^https?:\/\//.test(url) ? url : `http://${url}`,
    key: key ?? process.env.MIROIR_NODE_KEY ?? "",
    id: id ?? "",
    zone: zone ?? "",
    weight: weight ?? 0,
  };
}

function parseWeight(text: string): number {
  const weight = Number(text);
  if (!(weight >= 0.01 && weight <= 1_000))
    throw new InvalidArgumentError("expected a number from 0.01 to 1000.");
  return weight;
}
