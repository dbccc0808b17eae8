import type { Command } from "commander";
import {
  DifferenceKind,
  type VerifyDifference,
  VerifyDifferenceSchema,
  type VerifySummary,
  VerifySummarySchema,
} from "../../gen/miroir/v1/verify_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";
import { differenceKind } from "./labels.js";

interface VerifyOptions extends CtlOptions {
  readonly index?: readonly string[];
  readonly deep?: boolean;
}

/** `miroir ctl verify`: exit code 0 where nothing differs, {@link ExitCode.different} where something does. */
export function addVerifyCommand(parent: Command): void {
  const command = parent
    .command("verify")
    .description("compare what the nodes hold with each other and with the catalogue; changes nothing")
    .option(
      "--index <uid>",
      "an index; give it once for each (default: all, and what else lies on the nodes)",
      (uid: string, all: readonly string[] = []) => [...all, uid],
    )
    .option("--deep", "compare whole documents rather than ids and sequences");
  addCtlOptions(command).action((options: VerifyOptions) =>
    runCtl(options, async ({ client, output }) => {
      const differences: VerifyDifference[] = [];
      let summary: VerifySummary | undefined;
      const showProgress = !output.json && process.stderr.isTTY === true;
      const request = { indexUids: [...(options.index ?? [])], deep: options.deep === true };
      for await (const { event } of client.verify.verify(request)) {
        if (event.case === "difference") {
          differences.push(event.value);
          if (!output.json) output.line(describe(event.value));
        } else if (event.case === "progress" && showProgress) {
          process.stderr.write(`\r\u001b[K${event.value.indexUid}: ${event.value.documents} documents`);
        } else if (event.case === "summary") summary = event.value;
      }
      if (showProgress) process.stderr.write("\r\u001b[K");
      if (summary === undefined) throw new CommandError(ExitCode.failure, "the verification broke off");
      const result = {
        differences: differences.map((difference) => messageJson(VerifyDifferenceSchema, difference)),
        summary: messageJson(VerifySummarySchema, summary),
      };
      const { indexes, replicas, documents } = summary;
      output.result(result, () =>
        output.line(
          `${differences.length === 0 ? "clean" : `${differences.length} differences`}: ${documents} documents of ${indexes} indexes on ${replicas} replicas compared`,
        ),
      );
      if (differences.length > 0) {
        throw new CommandError(ExitCode.different, `the nodes differ in ${differences.length} things`);
      }
    }),
  );
}

function describe({
  kind,
  indexUid,
  nodeId,
  shard,
  documentId,
  detail,
  unsettled,
}: VerifyDifference): string {
  const place = [
    ...(indexUid === "" ? [] : [`index ${indexUid}`]),
    ...(shard === undefined ? [] : [`shard ${shard}`]),
    ...(nodeId === "" ? [] : [nodeId]),
    ...(kind === DifferenceKind.DOCUMENT || documentId !== "" ? [`document ${documentId}`] : []),
  ].join("  ");
  return `${differenceKind(kind)}  ${place}: ${detail}${unsettled ? " (still changing)" : ""}`;
}
