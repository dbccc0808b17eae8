import type { Command } from "commander";
import { GetStatusResponseSchema } from "../../gen/miroir/v1/cluster_pb.js";
import { messageJson, table } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";
import { epoch, nodeState, time } from "./labels.js";

/** `miroir ctl status`: nodes, groups, shards, epoch, and what each proxy acknowledged. */
export function addStatusCommand(parent: Command): void {
  addCtlOptions(
    parent.command("status").description("nodes, shards, epoch, proxies and what they acknowledged"),
  ).action((options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const status = await client.cluster.getStatus({});
      output.result(messageJson(GetStatusResponseSchema, status), () => {
        output.line(`cluster ${status.clusterId}  epoch ${epoch(status.epoch)}  version ${status.version}`);
        output.line(
          `${status.indexes} indexes, ${status.shards} shards: ${status.degradedShards} degraded, ${status.unavailableShards} unavailable; ${status.openTasks} open tasks`,
        );
        for (const warning of status.warnings) output.line(`warning: ${warning}`);
        output.line();
        output.line(
          table(
            ["NODE", "GROUP", "STATE", "URL", "VERSION", "SHARDS", "STALE", "OPEN TASKS", "LAST ERROR"],
            status.nodes.map((entry) => [
              entry.node?.id ?? "",
              entry.node?.group ?? 0,
              nodeState(entry.node?.state ?? 0),
              entry.node?.url ?? "",
              entry.node?.meilisearchVersion ?? "",
              entry.shardReplicas,
              entry.staleReplicas,
              entry.openNodeTasks,
              entry.lastError,
            ]),
          ),
        );
        output.line();
        output.line(
          table(
            ["PROXY", "ADDRESS", "ACKED", "NACKED", "LEASE UNTIL", "WRITER", "ERROR"],
            status.proxies.map((proxy) => [
              proxy.proxyId,
              proxy.address,
              epoch(proxy.acked),
              epoch(proxy.nacked),
              time(proxy.leaseUntil),
              proxy.writer ? "yes" : "no",
              proxy.error,
            ]),
          ),
        );
      });
    }),
  );
}
