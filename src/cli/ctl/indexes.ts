import type { Command } from "commander";
import type { MiroirClient } from "../../client/index.js";
import { ExplainDocumentResponseSchema } from "../../gen/miroir/v1/indexes_pb.js";
import { type Index, IndexSchema } from "../../gen/miroir/v1/topology_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson, table } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";
import { replicaState, time } from "./labels.js";

/** `miroir ctl index list|show` and `miroir ctl explain`. */
export function addIndexCommands(parent: Command): void {
  const index = parent.command("index").description("the catalogue of indexes");
  addCtlOptions(index.command("list").description("every index")).action((options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const indexes = await allIndexes(client);
      output.result(
        indexes.map((entry) => messageJson(IndexSchema, entry)),
        () =>
          output.line(
            table(
              ["INDEX", "PRIMARY KEY", "SHARDS", "INSTANCE", "GENERATION", "SETTINGS", "REPLICAS", "UPDATED"],
              indexes.map((entry) => [
                entry.uid,
                entry.primaryKey ?? "-",
                entry.shards,
                entry.instance,
                entry.generation,
                entry.settingsVersion,
                replicaSummary(entry),
                time(entry.updatedAt),
              ]),
            ),
          ),
      );
    }),
  );
  addCtlOptions(
    index.command("show").description("one index: its shards and where they are").argument("<index>"),
  ).action((uid: string, options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const { index: entry } = await client.indexes.getIndex({ uid });
      if (entry === undefined) throw new CommandError(ExitCode.notFound, `there is no index ${uid}`);
      output.result(messageJson(IndexSchema, entry), () => {
        output.line(`index ${entry.uid}  primary key ${entry.primaryKey ?? "-"}  instance ${entry.instance}`);
        output.line(
          `generation ${entry.generation}  settings version ${entry.settingsVersion}  writer ${entry.writer?.proxyId ?? "-"}`,
        );
        output.line();
        output.line(
          table(
            ["NODE", "STATE"],
            entry.replicas.map((replica) => [replica.nodeId, replicaState(replica.state)]),
          ),
        );
        output.line();
        output.line(
          table(
            ["SHARD", "NODES"],
            entry.placement.map((row) => [row.shard, row.nodeIds.join(", ")]),
          ),
        );
      });
    }),
  );
  addCtlOptions(
    parent
      .command("explain")
      .description("where a document lives: its shard and replicas")
      .argument("<index>")
      .argument("<primary key>"),
  ).action((indexUid: string, primaryKey: string, options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const answer = await client.indexes.explainDocument({ indexUid, primaryKey });
      output.result(messageJson(ExplainDocumentResponseSchema, answer), () => {
        output.line(`document ${primaryKey} of ${indexUid} is in shard ${answer.shard}`);
        output.line(
          table(
            ["NODE", "GROUP", "STATE", "URL", "PHYSICAL INDEX"],
            answer.replicas.map((row) => [
              row.nodeId,
              row.group,
              replicaState(row.state),
              row.url,
              row.physicalIndex,
            ]),
          ),
        );
      });
    }),
  );
}

async function allIndexes(client: MiroirClient): Promise<Index[]> {
  const indexes: Index[] = [];
  let pageToken = "";
  do {
    const page = await client.indexes.listIndexes({ pageSize: 1_000, pageToken });
    indexes.push(...page.indexes);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return indexes;
}

function replicaSummary(index: Index): string {
  const counts = new Map<string, number>();
  for (const replica of index.replicas)
    counts.set(replicaState(replica.state), (counts.get(replicaState(replica.state)) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
}
