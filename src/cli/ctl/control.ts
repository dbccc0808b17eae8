import type { Command } from "commander";
import { ListReplicasResponseSchema } from "../../gen/miroir/v1/control_pb.js";
import { messageJson, table } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";

/** `miroir ctl control list`. */
export function addControlListCommand(parent: Command): void {
  const control = parent.command("control").description("the processes of the control plane");
  addCtlOptions(
    control.command("list").description("which run, which one leads, and what they speak"),
  ).action((options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const answer = await client.control.listReplicas({});
      output.result(messageJson(ListReplicasResponseSchema, answer), () =>
        output.line(
          table(
            ["ADDRESS", "LEADER", "VERSION", "PROTOCOL"],
            answer.replicas.map((replica) => [
              replica.address,
              replica.leader ? "yes" : "no",
              replica.version,
              `${replica.protocolMin} to ${replica.protocolMax}`,
            ]),
          ),
        ),
      );
    }),
  );
}
