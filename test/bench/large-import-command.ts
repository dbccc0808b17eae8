import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { readDocuments } from "./documents.js";
import { benchLargeImport } from "./large-import.js";
import { format, machine, progress } from "./output.js";

interface LargeImportFlags {
  readonly corpus?: readonly string[];
  readonly megabytes: number;
  readonly nodes: number;
  readonly json?: boolean;
}

/** `bench large-import`. */
export function addLargeImportCommand(program: Command): void {
  program
    .command("large-import")
    .description(
      "one large NDJSON body over nodes that drop what they are sent: the proxy's memory and processor time",
    )
    .option(
      "--corpus <files...>",
      "documents to repeat, JSON arrays or one a line (default: the shipped sample)",
    )
    .option("--megabytes <count>", "size of the body", Number, 1_000)
    .option("--nodes <count>", "nodes of the fleet", Number, 3)
    .option("--json", "print one JSON document")
    .action(async ({ corpus, megabytes, nodes, json }: LargeImportFlags) => {
      const documents = readDocuments(corpus);
      const result = await benchLargeImport({ documents, bytes: megabytes * 1e6, nodes, progress });
      if (json === true) {
        const report = { kind: "large-import", machine: machine(), settings: { megabytes, nodes }, result };
        console.log(JSON.stringify(report, null, 2));
        return;
      }
      const megabytesOf = (bytes: number) => format(bytes / 1e6);
      console.log(
        `${megabytesOf(result.bytes)} MB, ${result.documents} documents: ${format(result.seconds)} s, ${format(result.proxyCpuSeconds)} s of the proxy's CPU`,
      );
      console.log(
        table(
          ["PROXY'S MEMORY", "MB"],
          [
            ["before", megabytesOf(result.before)],
            ...result.mostByTenth.map((bytes, at) => [`most in tenth ${at + 1}`, megabytesOf(bytes)]),
            ["most", megabytesOf(result.most)],
          ],
        ),
      );
    });
}
