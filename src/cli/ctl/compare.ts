import type { Command } from "commander";
import { OddReplicaReason, type ShardCheck, ShardCheckSchema } from "../../gen/miroir/v1/verify_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson, table } from "../output.js";
import { addCtlOptions, type CtlContext, type CtlOptions, runCtl } from "./context.js";
import { parseWhole } from "./fleet-change.js";
import { time } from "./labels.js";

interface CompareOptions extends CtlOptions {
  readonly shard?: readonly number[];
  readonly repair?: boolean;
  readonly last?: boolean;
}

const REASONS: Readonly<Record<OddReplicaReason, string>> = {
  [OddReplicaReason.UNSPECIFIED]: "",
  [OddReplicaReason.MINORITY]: "most copies agree against it",
  [OddReplicaReason.DOUBTED]: "its node was restarted or suspected lately",
  [OddReplicaReason.BEHIND]: "it is older, or lacks documents",
  [OddReplicaReason.UNDECIDED]: "nothing tells it from the other one",
};

/** `miroir ctl compare`: exit code 0 where no replicas differ, {@link ExitCode.different} where some do. */
export function addCompareCommand(parent: Command): void {
  const command = parent
    .command("compare")
    .description(
      "compare the replicas of an index's shards, whole documents; --repair makes the wrong ones equal",
    )
    .argument("<index>", "its uid")
    .option(
      "--shard <number>",
      "a shard; give it once for each (default: all)",
      (value: string, all: readonly number[] = []) => [...all, parseWhole(value)],
    )
    .option("--repair", "give up the replica that is wrong where it can be spared, so that it is repaired")
    .option("--last", "show what was found last, in the background or on demand, and compare nothing");
  addCtlOptions(command).action((indexUid: string, options: CompareOptions) =>
    runCtl(options, async (context) => {
      const checks = await checksOf(context, indexUid, options);
      const differing = checks.filter((check) => check.differing > 0n || check.error !== "");
      const { output } = context;
      output.result(
        checks.map((check) => messageJson(ShardCheckSchema, check)),
        () => {
          if (differing.length > 0) output.line(tell(differing));
          const documents = checks.reduce((sum, check) => sum + check.documents, 0n);
          output.line(
            `${checks.length} shards, ${documents} documents compared: ${differing.length === 0 ? "no replicas differ" : `${differing.length} shards differ or could not be compared`}`,
          );
        },
      );
      if (differing.length === 0) return;
      throw new CommandError(ExitCode.different, `replicas of ${differing.length} shards differ`);
    }),
  );
}

async function checksOf(
  { client }: CtlContext,
  indexUid: string,
  { last, repair, shard = [] }: CompareOptions,
): Promise<readonly ShardCheck[]> {
  if (last === true) {
    const { checks } = await client.verify.listShardChecks({ indexUid });
    return checks.filter((check) => shard.length === 0 || shard.includes(check.shard));
  }
  const checks: ShardCheck[] = [];
  const request = { indexUid, shards: [...shard], repair: repair === true };
  for await (const { check } of client.verify.checkShards(request))
    if (check !== undefined) checks.push(check);
  return checks;
}

function tell(checks: readonly ShardCheck[]): string {
  return table(
    ["SHARD", "NODES", "DOCUMENTS", "DIFFERING", "WRONG", "WHY", "AT"],
    checks.map((check) => [
      check.shard,
      check.nodeIds.join(", "),
      check.documents,
      check.differing,
      `${check.oddNodeId}${check.marked ? " (given up)" : ""}`,
      check.error === "" ? REASONS[check.reason] : check.error,
      time(check.checkedAt),
    ]),
  );
}
