import type { Command } from "commander";
import { TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson, table } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";
import { epoch, nodeState } from "./labels.js";

/** `miroir ctl topology show`. */
export function addTopologyCommands(parent: Command): void {
  const topology = parent.command("topology").description("the document that proxies follow");
  addCtlOptions(topology.command("show").description("the current topology")).action((options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const { topology: current } = await client.topology.getTopology({});
      if (current === undefined)
        throw new CommandError(ExitCode.notFound, "the control plane has no topology yet");
      output.result(messageJson(TopologySchema, current), () => {
        output.line(
          `epoch ${epoch(current.epoch)}  cluster ${current.epoch?.clusterId ?? "-"}  hash ${current.contentHash}`,
        );
        output.line(
          `replication factor ${current.replicationFactor}  default shards ${current.defaultShards}`,
        );
        output.line();
        output.line(
          table(
            ["GROUP", "NODE", "STATE", "URL"],
            current.nodes.map((node) => [node.group, node.id, nodeState(node.state), node.url]),
          ),
        );
        output.line();
        output.line(
          table(
            ["INDEX", "INSTANCE", "GENERATION", "SHARDS"],
            current.indexes.map((index) => [index.uid, index.instance, index.generation, index.shards]),
          ),
        );
      });
    }),
  );
}
