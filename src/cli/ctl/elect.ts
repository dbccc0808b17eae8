import type { Command } from "commander";
import { ElectReplicasResponseSchema, type ReplicaElection } from "../../gen/miroir/v1/indexes_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";

interface ElectOptions extends CtlOptions {
  readonly lost: readonly string[];
  readonly index?: readonly string[];
  readonly acceptLoss?: boolean;
}

/** `miroir ctl elect`: gives up the last copies in sync, on nodes that are gone for good; only says what would be lost unless told otherwise. */
export function addElectCommand(parent: Command): void {
  const collect = (value: string, all: readonly string[] = []) => [...all, value];
  const command = parent
    .command("elect")
    .description(
      "let replicas that are behind serve, because the last ones in sync are gone for good; writes that only those had are lost",
    )
    .requiredOption(
      "--lost <node>",
      "a node that does not answer and never will; give it once for each",
      collect,
    )
    .option("--index <uid>", "an index; give it once for each (default: all)", collect)
    .option("--accept-loss", "do it; without this, only what would happen is said");
  addCtlOptions(command).action((options: ElectOptions) =>
    runCtl(options, async ({ client, output }) => {
      const answer = await client.indexes.electReplicas({
        lostNodeIds: [...options.lost],
        indexUids: [...(options.index ?? [])],
        acceptLoss: options.acceptLoss === true,
      });
      output.result(messageJson(ElectReplicasResponseSchema, answer), () => {
        for (const election of answer.elections) output.line(describe(election));
        if (answer.elections.length === 0) output.line("no index has lost its last copy in sync");
        else if (options.acceptLoss !== true) output.line("nothing was changed; --accept-loss does it");
      });
      const bare = answer.elections.filter(({ bareShards }) => bareShards.length > 0);
      if (bare.length === 0 || options.acceptLoss !== true) return;
      throw new CommandError(
        ExitCode.failure,
        `${bare.length} ${bare.length === 1 ? "index has" : "indexes have"} shards without any replica on a node that answers; bring a node back, or restore them from a dump`,
      );
    }),
  );
}

function describe({ indexUid, lostNodeIds, shards, bareShards, held }: ReplicaElection): string {
  const lost = `gone with ${lostNodeIds.join(", ")}`;
  if (bareShards.length > 0) {
    return `index ${indexUid}: nothing is left of shards ${bareShards.join(", ")}, ${lost}`;
  }
  const elected = [...new Set(shards.flatMap(({ electedNodeIds }) => electedNodeIds))].sort();
  const verb = held ? "serve now" : "would serve";
  return `index ${indexUid}: the replicas on ${elected.join(", ")}, which are behind, ${verb} shards ${shards.map(({ shard }) => shard).join(", ")}; what was written to them since is ${lost}`;
}
